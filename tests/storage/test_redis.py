"""One Redis that dies, stalls, refuses, or is none; and calls that are cancelled or many."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from storage.redis import RedisConnection, Script, ask, ask_all
from tests.storage.redis_calls import (
    LIMIT_S,
    PATIENCE_S,
    at_once,
    blocked,
    get,
    links,
    listening,
    opened,
    put,
    refusal,
    subscribed,
    until,
    until_served,
)
from tests.support.redis import RedisServer, running_redis

pytestmark = [pytest.mark.services, pytest.mark.long]

SECRET = "pass/w:rd@%äx"  # noqa: S105  # of servers that live as long as a test
QUOTED = "pass%2Fw%3Ard%40%25%C3%A4x"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, to be killed."""
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def script(tmp_path: Path) -> Script:
    path = tmp_path / "put.lua"
    path.write_text("redis.call('SET', KEYS[1], ARGV[1]) return {KEYS[1], ARGV[1], 7}")
    return Script(path)


@pytest.mark.parametrize("address", ["url", "socket_url"])
async def test_answers_are_bytes_and_come_in_order(server: RedisServer, address: str) -> None:
    async with opened(getattr(server, address) + "?db=3") as connection:
        await put(connection, "k", b"\xff\x00")

        async with connection.call() as client:
            answers = await ask_all(client, [("GET", "k"), ("STRLEN", "k"), ("GET", "none")])
            nothing = await ask_all(client, [])

    assert answers == [b"\xff\x00", 2, None]
    assert nothing == []


async def test_a_script_runs_also_where_it_is_not_known(
    server: RedisServer, script: Script
) -> None:
    async with opened(server.url) as connection:
        first = await connection.run(script, ["k"], [b"\xff"])
        with server.client() as client:
            client.script_flush()
        again = await connection.run(script, ["k"], [5])

    assert (first, again) == ([b"k", b"\xff", 7], [b"k", b"5", 7])


async def test_the_first_error_of_several_commands_is_told_without_their_text(
    server: RedisServer,
) -> None:
    commands = [("SET", "text", "v"), ("LPUSH", "text", "what the user wrote"), ("PING",)]

    async def break_a_promise() -> None:
        async with opened(server.url) as connection, connection.call() as client:
            await ask_all(client, commands)

    said = await refusal(break_a_promise)
    assert "WRONGTYPE" in said
    assert "user" not in said


async def test_a_refusal_costs_no_links(server: RedisServer) -> None:
    async with opened(server.url) as connection:
        await put(connection, "text", "v")
        before = links(server)

        async def push() -> None:
            async with connection.call() as client:
                await ask(client, "LPUSH", "text", "v")

        await refusal(push)

        assert links(server) == before != []


async def test_a_killed_redis_is_told_at_once_and_found_again(mortal: RedisServer) -> None:
    async with opened(mortal.url) as connection:
        await put(connection, "k", "v")
        mortal.kill()

        said = [await refusal(lambda: get(connection, "k")) for _ in range(3)]
        mortal.restart()
        with anyio.fail_after(LIMIT_S):
            after = await get(connection, "k")

    assert all("Connect" in each for each in said)
    assert after is None  # it kept nothing


async def test_a_call_under_way_when_redis_dies_failsat_once(mortal: RedisServer) -> None:
    async with opened(mortal.url) as connection, anyio.create_task_group() as tasks:
        tasks.start_soon(refusal, lambda: _block(connection))
        await until(lambda: blocked(mortal) == 1)
        mortal.kill()


async def test_a_write_to_a_link_that_was_reset_a_moment_before_is_a_lost_call(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def as_uvloop_does(*_: object, **__: object) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    async with opened(server.url) as connection:
        await put(connection, "k", b"before")
        with monkeypatch.context() as faulty:
            faulty.setattr("storage.redis.links.TcpLink.send_packed_command", as_uvloop_does)

            assert "RuntimeError" in await refusal(partial(get, connection, "k"))

        assert await get(connection, "k") == b"before"


@pytest.mark.fault(19)
async def test_a_stalled_redis_holds_to_the_deadline_and_not_the_event_loop(
    mortal: RedisServer,
) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await anyio.sleep(0.01)
            beats += 1

    async with opened(mortal.url, timeout_s=0.5) as connection:
        await put(connection, "k", "v")
        mortal.pause()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            said = await refusal(lambda: get(connection, "k"))
            unconnected = await refusal(lambda: subscribed(connection))
            tasks.cancel_scope.cancel()
        mortal.resume()
        await until_served(lambda: get(connection, "k"))

    assert said == unconnected == "Redis did not answer within 0.5 s"
    assert beats > 10


async def test_all_calls_inside_share_one_deadline(server: RedisServer) -> None:
    async with opened(server.url) as connection:

        async def wait_thrice() -> None:
            async with connection.call(0.3) as client:
                for _ in range(3):
                    await ask(client, "BLPOP", "nothing", 0.2)

        said = await refusal(wait_thrice)

    assert said == "Redis did not answer within 0.3 s"


async def test_a_call_that_is_given_longer_has_it(server: RedisServer) -> None:
    async with opened(server.url, timeout_s=0.2) as connection, connection.call(LIMIT_S) as client:
        assert await ask(client, "BLPOP", "nothing", 0.6) is None


async def test_a_deadline_is_that_of_the_call_also_where_all_links_are_taken(
    server: RedisServer,
) -> None:
    async def get_soon() -> None:
        async with connection.call(0.2) as client:
            await ask(client, "GET", "k")

    async with (
        opened(server.url, max_connections=1) as connection,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_block, connection)
        await until(lambda: blocked(server) == 1)
        said = await refusal(get_soon)
        tasks.cancel_scope.cancel()

    assert said == "Redis did not answer within 0.2 s"


@pytest.mark.fault(25)
async def test_a_wrong_password_is_told_and_no_password_quoted(tmp_path: Path) -> None:
    with running_redis(tmp_path, password="right") as server:  # noqa: S106  # of this server
        host = f"127.0.0.1:{server.port}"
        for sign_in in ("", f":{QUOTED}@", f"me:{QUOTED}@"):
            async with opened(f"redis://{sign_in}{host}") as connection:
                said = await refusal(lambda c=connection: get(c, "k"))  # type: ignore[misc]  # bound now
            assert "uthenticat" in said or "WRONGPASS" in said
            assert SECRET not in said
        async with opened(f"redis://:right@{host}") as connection:
            assert await get(connection, "k") is None


@pytest.mark.fault(25)
async def test_a_replica_refuses_writes_until_it_is_the_primary(mortal: RedisServer) -> None:
    async with opened(mortal.url) as connection:
        await put(connection, "k", "v")
        with mortal.client() as client:
            client.replicaof("127.0.0.1", "1")
        said = await refusal(lambda: put(connection, "k", "w"))
        with mortal.client() as client:
            client.replicaof("NO", "ONE")
        await put(connection, "k", "w")

    assert "read only" in said


async def test_a_demoted_primary_costs_links_for_its_name_may_lead_elsewhere(
    mortal: RedisServer, monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    monkeypatch.setattr("storage.redis.server.FRESH_S", 0.0)
    async with opened(mortal.url) as connection:
        await put(connection, "k", "v")
        before = links(mortal)
        with mortal.client() as client:
            client.replicaof("127.0.0.1", "1")
        await refusal(lambda: connection.run(script, ["k"], ["v"]))
        await get(connection, "k")

        assert before
        assert not set(before) & set(links(mortal))


async def test_cancelled_calls_never_leave_a_reply_to_another(server: RedisServer) -> None:
    chance = random.Random(7)  # noqa: S311  # seeded, so that a failure can be repeated
    wrong: list[object] = []
    ended = {"answered": 0, "cancelled": 0}

    async def echo(n: int) -> None:
        expected = [f"{each}{n}".encode() for each in "abc"]
        first, *others = [("ECHO", each) for each in expected]
        # Every other one is let be; 1,500 are given up anywhere between first and last byte.
        with anyio.move_on_after(chance.random() * 0.02 if n % 2 else PATIENCE_S) as scope:
            async with connection.call() as client:
                said = [await ask(client, *first), *await ask_all(client, others)]
            ended["answered"] += 1
            wrong.extend([] if said == expected else [said])
        ended["cancelled"] += scope.cancelled_caught

    async with opened(server.url) as connection:
        for first in range(0, 3000, 100):
            await at_once([partial(echo, n) for n in range(first, first + 100)])
        await at_once([partial(put, connection, f"after:{n}", "v") for n in range(32)])

        assert wrong == []
        assert min(ended.values()) > 500
        assert len(links(server)) <= 32


async def test_more_callers_than_links_are_all_served(server: RedisServer) -> None:
    seen: list[int] = []

    async def use(n: int) -> None:
        await put(connection, f"many:{n}", str(n))
        if n % 20 == 0:
            seen.append(len(links(server)))
        assert await get(connection, f"many:{n}") == str(n).encode()

    async with opened(server.url, max_connections=32) as connection:
        await at_once([partial(use, n) for n in range(200)])

    assert 1 < max(seen) <= 32


async def test_waiting_callers_that_are_cancelled_hold_up_nobody(server: RedisServer) -> None:
    async def cancel_after(checkpoints: int) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(get, connection, "k")
            for _ in range(checkpoints):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    async with opened(server.url, max_connections=2) as connection:
        for checkpoints in range(50):
            await cancel_after(checkpoints)
            await at_once([partial(get, connection, "k")] * 2)


async def test_who_waits_for_a_link_has_it_when_the_one_before_is_cancelled_as_it_gets_it(
    server: RedisServer,
) -> None:
    first = anyio.CancelScope()

    async def occupy() -> None:
        async with connection.call() as client:
            await ask(client, "BLPOP", "work", 0)
        first.cancel()  # it was told of the free link, and has not run since

    async def wait_first() -> None:
        with first:
            await get(connection, "k")

    async with opened(server.url, max_connections=1) as connection:
        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(occupy)
                await until(lambda: blocked(server) == 1)
                tasks.start_soon(wait_first)
                await anyio.lowlevel.checkpoint()
                tasks.start_soon(get, connection, "k")
                await anyio.lowlevel.checkpoint()
                _push(server)


async def test_a_closed_connection_leaves_nothing_behind(server: RedisServer) -> None:
    async with opened(server.url) as connection:
        async with connection.call() as client:
            await connection.close()
            await connection.close()
            during = await ask(client, "PING")
        async with connection.subscribe("news"):
            await get(connection, "k")
            held = len(links(server))
        await connection.close()

        await until(lambda: not links(server))
    assert during
    assert held == 2


async def test_writing_to_a_stalled_redis_gathers_no_sockets(mortal: RedisServer) -> None:
    large = b"x" * 8_000_000
    async with opened(mortal.url, timeout_s=0.05) as connection:
        await until_served(lambda: put(connection, "k", "v"))
        before = _sockets()
        mortal.pause()
        for _ in range(20):
            await refusal(lambda: put(connection, "k", large))
        held = _sockets()
        mortal.resume()

    assert held <= before + 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\r\n",
        b"\x16\x03\x01\x02\x00",
        b":abc\r\n",
        b"$-5\r\n",
        b"$99999999999999\r\nx\r\n",
        b"*3\r\n$1\r\na\r\n",
        b"*1\r\n" * 5000,
        b"-\r\n",
        b"-MOVED nonsense\r\n",
        b"-ASK 1 host\r\n",
        b"",
    ],
)
async def test_what_is_no_redis_is_unavailable(garbage: bytes) -> None:
    async def answer(stream: anyio.abc.SocketStream) -> None:
        await stream.receive()
        await stream.send(garbage)

    async with listening(answer) as port:
        for url in (f"redis://127.0.0.1:{port}", f"redis+cluster://127.0.0.1:{port}"):
            async with opened(url, timeout_s=0.5) as connection:
                await refusal(lambda c=connection: get(c, "k"))  # type: ignore[misc]  # bound now
                await refusal(lambda c=connection: subscribed(c))  # type: ignore[misc]  # bound now


async def _block(connection: RedisConnection) -> None:
    async with connection.call() as client:
        await ask(client, "BLPOP", "nothing", 0)


def _push(server: RedisServer) -> None:
    with server.client() as client:
        client.rpush("work", "v")


def _sockets() -> int:
    """Return how many sockets this process has open."""
    return sum("socket:" in _link(each) for each in Path("/proc/self/fd").iterdir())


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""  # of the listing itself
