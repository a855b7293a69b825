"""The Redis store against a server that fails, stalls, refuses, or is none."""

from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from redis import Redis

from flags.errors import FlagStoreError, FlagStoreUnavailableError
from flags.model import Ruleset
from flags.store.base import Claim
from flags.store.redis import RedisFlagStore
from flags.store.redis.connection import MAX_CONNECTIONS
from tests.flags.store.asking import (
    LIMIT_S,
    PATIENCE_S,
    answering,
    ask_everything,
    cutting_proxy,
    many_calls,
    opened,
    stalled,
)
from tests.support.commits import a_commit, a_flag
from tests.support.redis import RedisServer, running_redis

pytestmark = [pytest.mark.services, pytest.mark.long]

SECRET = "pass/w:rd@%äx"  # noqa: S105  # of a server that lives as long as this module's tests
QUOTED = "pass%2Fw%3Ard%40%25%C3%A4x"


async def test_a_server_that_is_not_there_is_told_at_once(mortal: RedisServer) -> None:
    mortal.kill()

    for url in (mortal.url, mortal.socket_url, mortal.url.replace("redis:", "rediss:")):
        async with opened(url) as store:
            said = await ask_everything(store)
            assert all("ConnectionError" in reason for reason in said)


async def test_a_server_that_was_killed_and_came_back_is_asked_anew(mortal: RedisServer) -> None:
    async with opened(mortal.url) as store:
        for number in range(3):
            await store.commit(a_commit(number, a_flag("a")))
        await store.next_version(0, timeout_s=0)
        await many_calls(store)
        mortal.kill()
        await ask_everything(store)
        mortal.restart()

        with anyio.fail_after(LIMIT_S):
            assert await store.next_version(3, timeout_s=PATIENCE_S) == 0
            assert await store.read() == Ruleset()
            assert (await store.commit(a_commit(0, a_flag("a"), version=9))).held
            assert await store.next_version(3, timeout_s=PATIENCE_S) == 9


async def test_a_server_killed_under_those_who_wait_is_told_to_them(mortal: RedisServer) -> None:
    async with opened(mortal.url) as store:
        await store.next_version(0, timeout_s=0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(after_all_wait, mortal.kill)
            with anyio.fail_after(LIMIT_S), pytest.raises(FlagStoreUnavailableError):
                await store.next_version(0, timeout_s=PATIENCE_S)
        mortal.restart()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.commit, a_commit(0, a_flag("a")))
            with anyio.fail_after(LIMIT_S):
                assert await store.next_version(0, timeout_s=PATIENCE_S) == 1


async def test_a_stalled_server_costs_the_deadline_and_not_the_loop(server: RedisServer) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await anyio.sleep(0.01)

    async with opened(server.url, timeout_s=0.3) as store:
        await store.read()
        await store.next_version(-1, timeout_s=0)
        async with stalled(server), anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            with anyio.fail_after(5):  # four calls, 0.3 s each
                await ask_stalled(store)
            tasks.cancel_scope.cancel()
        await until_answered(store)

    assert beats > 20


async def test_a_server_that_stalls_while_one_waits_is_told_after_the_wait(
    server: RedisServer,
) -> None:
    async with opened(server.url, timeout_s=0.3) as store:
        seen = await store.next_version(-1, timeout_s=0)
        async with stalled(server):
            with anyio.fail_after(5), pytest.raises(FlagStoreUnavailableError, match="within 0"):
                await store.next_version(seen, timeout_s=0.3)
        await until_answered(store)


async def test_many_calls_to_a_stalled_server_all_end_and_leave_the_store_usable(
    server: RedisServer,
) -> None:
    async with opened(server.url, timeout_s=0.3) as store:
        await store.read()
        async with stalled(server):
            with anyio.fail_after(5):
                await many_calls(store, must_fail=True)
        await until_answered(store)
        with anyio.fail_after(LIMIT_S):
            await many_calls(store)


async def test_calls_cancelled_anywhere_leave_answers_and_connections_in_order(
    server: RedisServer, direct: Redis
) -> None:
    async with opened(server.url) as store, opened(server.url) as reader:
        await store.commit(a_commit(0, a_flag("a")))
        for number in range(400):
            await calls_cancelled_after(number % 40, store)

        with anyio.fail_after(LIMIT_S):
            await many_calls(store)
            assert await store.read() == await reader.read()
            assert len(await store.history("flag:a", limit=1)) == 1
            assert await store.next_version(1, timeout_s=0.1) == 1
        assert len(direct.client_list()) <= 1 + MAX_CONNECTIONS + 1


async def test_a_write_whose_answer_is_lost_is_not_repeated(server: RedisServer) -> None:
    """A proxy lets the write through and cuts the answer off."""
    async with opened(server.url) as honest, cutting_proxy(server.port) as url:
        seen = (await honest.read()).version
        async with opened(url) as store:
            with pytest.raises(FlagStoreUnavailableError):
                await store.commit(a_commit(seen, a_flag("cut"), why="once"))

        entries = await honest.history("flag:cut", limit=9)
        assert [entry.author.why for entry in entries] == ["once"]
        assert (await honest.read()).version == seen + 1


async def test_a_replica_refuses_writes_and_serves_reads(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--replicaof", "127.0.0.1", "1") as replica:
        async with opened(replica.url) as store:
            assert await store.read() == Ruleset()
            with pytest.raises(FlagStoreUnavailableError, match="read only replica"):
                await store.commit(a_commit(0, a_flag("a")))


async def test_a_server_without_memory_keeps_the_whole_write_or_nothing(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        async with opened(server.url) as store:
            await store.commit(a_commit(0, a_flag("a")))
            before = await store.read()
            client.config_set("maxmemory", 1)
            with pytest.raises(FlagStoreUnavailableError, match="maxmemory"):
                await store.commit(a_commit(1, a_flag("a", 9), claim=Claim("k", "c")))

            assert await store.read() == before
            assert len(await store.history("flag:a", limit=9)) == 1
            assert client.keys("*idempotency*") == []


async def test_a_password_never_shows(tmp_path: Path) -> None:
    with running_redis(tmp_path, password=SECRET) as server:
        host = f"127.0.0.1:{server.port}"
        async with opened(f"redis://:{QUOTED}@{host}") as store:
            assert (await store.commit(a_commit(0, a_flag("a")))).held
        async with opened(f"{server.socket_url}?password={QUOTED}") as store:
            assert (await store.read()).version == 1
        for url in (f"redis://{host}", f"redis://:wrong{QUOTED}@{host}"):
            async with opened(url) as store:
                said = " ".join([*await ask_everything(store), repr(store), repr(store.__dict__)])
                assert "Authentication" in said
                assert SECRET not in said
                assert QUOTED not in said


async def test_a_server_that_quotes_the_password_is_not_quoted() -> None:
    complaint = f"-ERR unknown command 'AUTH', args: '{SECRET}'\r\n".encode()
    async with answering(complaint, secret=QUOTED) as url, opened(url) as store:
        said = await ask_everything(store)

    assert all("***" in reason for reason in said)
    assert SECRET not in " ".join(said)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"220 mail ESMTP\r\n",
        b"-ERR no\r\n",
        b":\r\n",
        b":12x\r\n",
        b"*x\r\n",
        b"*3\r\n+QUEUED\r\n",
        b"\x00\xff\xfe\r\n",
        b"+\xff\r\n",
        b"*1\r\n" * 20_000,
        b"%2\r\n+a\r\n+b\r\n",
        b"-\xff\xfe\r\n",
        b"-MOVED 1 x:y\r\n",
    ],
)
async def test_a_peer_that_is_no_redis_is_a_fault_of_the_store(answer: bytes) -> None:
    async with answering(answer) as url, opened(url, timeout_s=0.5) as store:
        for call in (
            store.read,
            lambda: store.commit(a_commit(0, a_flag("a"))),
            lambda: store.next_version(0, timeout_s=PATIENCE_S),
            lambda: store.history("flag:a", limit=3),
        ):
            with anyio.fail_after(LIMIT_S), pytest.raises(FlagStoreError):
                await call()


@pytest.mark.parametrize("answer", [b"+OK\r\n", b"$2\r\nhi\r\n", b"*0\r\n", b":7\r\n", b"$-1\r\n"])
async def test_a_peer_that_says_yes_to_everything_holds_no_write(answer: bytes) -> None:
    async with answering(answer) as url, opened(url, timeout_s=0.5) as store:
        with anyio.fail_after(LIMIT_S), pytest.raises(FlagStoreError):
            await store.commit(a_commit(0, a_flag("a")))


async def test_closing_beside_a_stalled_server_ends(server: RedisServer) -> None:
    store = RedisFlagStore(server.url, timeout_s=0.3)
    await store.next_version(-1, timeout_s=0)
    server.pause()
    try:
        with anyio.fail_after(LIMIT_S):
            await store.close()
            await store.close()
    finally:
        server.resume()


async def calls_cancelled_after(steps: int, store: RedisFlagStore) -> None:
    async with anyio.create_task_group() as tasks:
        for method in (store.read, store.read, lambda: store.history("flag:a", limit=1)):
            tasks.start_soon(method)
        tasks.start_soon(lambda: store.next_version(1, timeout_s=PATIENCE_S))
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def ask_stalled(store: RedisFlagStore) -> None:
    for said in await ask_everything(store):
        assert said == "Redis did not answer within 0.3 s" or "TimeoutError" in said


async def until_answered(store: RedisFlagStore) -> None:
    with anyio.fail_after(LIMIT_S):
        while True:
            with suppress(FlagStoreUnavailableError):
                await store.next_version(-1, timeout_s=0)
                await store.read()
                return


async def after_all_wait(act: object) -> None:
    await anyio.wait_all_tasks_blocked()
    assert callable(act)
    act()
