"""When the links to a server are left behind, and what becomes of calls under way."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest
from redis.asyncio import Redis

from storage.redis.address import parse_address
from storage.redis.drivers import server_client
from storage.redis.server import FAULTS, Server
from tests.storage.redis_calls import at_once, blocked, listening, until
from tests.support.redis import RedisServer, running_redis

pytestmark = [pytest.mark.services, pytest.mark.long]

SILENT_S = 0.2


class Moody:
    """Answers PING on links made since it was last told to forget; the others hear nothing."""

    def __init__(self) -> None:
        self.port = 0
        self._era = 0

    def forget_links(self) -> None:
        self._era += 1

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        era = self._era
        async for _ in stream:
            if era == self._era:
                await stream.send(b"+PONG\r\n")


class Made:
    """Makes clients of a server at a port, and counts them."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self._port = port

    def __call__(self) -> Redis:
        self.count += 1
        address = parse_address(f"redis://127.0.0.1:{self._port}")
        return server_client(address, address.hosts[0], 1.0, 32)


@asynccontextmanager
async def a_moody() -> AsyncIterator[Moody]:
    moody = Moody()
    async with listening(moody.serve) as port:
        moody.port = port
        yield moody


@asynccontextmanager
async def a_server(made: Made) -> AsyncIterator[Server]:
    server = Server(made, patience_s=SILENT_S / 2)
    yield server
    await server.close()


async def is_silent(server: Server) -> bool:
    with anyio.move_on_after(SILENT_S) as scope:
        await server.execute(("PING",))
    return scope.cancelled_caught


@pytest.fixture
def at_any_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let links be left behind however new they are."""
    monkeypatch.setattr("storage.redis.server.FRESH_S", 0.0)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as redis:
        yield redis


@pytest.mark.usefixtures("at_any_age")
async def test_links_that_died_in_silence_cost_one_call() -> None:
    async with a_moody() as moody, a_server(Made(moody.port)) as server:
        await at_once([lambda: server.execute(("PING",))] * 8)
        moody.forget_links()

        silent = [await is_silent(server) for _ in range(8)]

    assert silent == [True] + [False] * 7


@pytest.mark.fault(20)
async def test_a_command_whose_answer_is_lost_is_not_sent_again() -> None:
    heard: list[bytes] = []

    async def take_and_hang_up(stream: anyio.abc.SocketStream) -> None:
        heard.append(await stream.receive())

    async with listening(take_and_hang_up) as port, a_server(Made(port)) as server:
        with pytest.raises(FAULTS):
            await server.execute(("INCR", "k"))
        with pytest.raises(FAULTS):
            await server.execute_all([("INCR", "k")])

    assert heard == [b"*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n"] * 2


@pytest.mark.usefixtures("at_any_age")
async def test_a_call_that_is_given_up_early_blames_nothing() -> None:
    async with a_moody() as moody:
        made = Made(moody.port)
        async with a_server(made) as server:
            moody.forget_links()
            with anyio.move_on_after(0):
                await server.execute(("PING",))
            await server.execute(("PING",))

    assert made.count == 1


@pytest.mark.usefixtures("at_any_age")
async def test_a_call_on_old_links_does_not_cost_the_new_ones() -> None:
    async with a_moody() as moody:
        made = Made(moody.port)
        async with a_server(made) as server:
            await at_once([lambda: server.execute(("PING",))] * 2)
            moody.forget_links()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.execute, ("PING",))  # on the old links, until cancelled
                assert await is_silent(server)
                await server.execute(("PING",))
                tasks.cancel_scope.cancel()
            await server.execute(("PING",))

    assert made.count == 2


async def test_a_server_that_is_down_has_no_caller_make_new_links(redis: RedisServer) -> None:
    redis.kill()
    made = Made(redis.port)
    async with a_server(made) as server:
        for _ in range(50):
            with pytest.raises(FAULTS):
                await server.execute(("PING",))

    assert made.count == 1


async def test_calls_under_way_end_on_the_links_they_began_on(redis: RedisServer) -> None:
    answers: list[object] = []

    async def wait_for_work(server: Server) -> None:
        answers.append(await server.execute(("BLPOP", "work", 0)))

    async with a_server(Made(redis.port)) as server, anyio.create_task_group() as tasks:
        tasks.start_soon(wait_for_work, server)
        await until(lambda: blocked(redis) == 1)
        await server.close()
        await server.execute(("RPUSH", "work", "done"))
        await until(lambda: bool(answers))

    assert answers == [(b"work", b"done")]
