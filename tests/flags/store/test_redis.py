"""The Redis store against a server that fails, stalls, refuses, or is none."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path

import anyio
import anyio.abc
import pytest
from redis import Redis

from flags.errors import FlagStoreDamagedError, FlagStoreError, FlagStoreUnavailableError
from flags.model import Ruleset
from flags.store.base import Claim
from flags.store.redis import RedisFlagStore
from flags.store.redis.connection import MAX_CONNECTIONS
from tests.support.commits import a_commit, a_flag
from tests.support.redis import RedisServer, running_redis

pytestmark = pytest.mark.services

LIMIT_S = 10.0
PATIENCE_S = 20.0
SECRET = "pass/w:rd@%äx"  # noqa: S105  # of a server that lives as long as this module's tests
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
def direct(server: RedisServer) -> Iterator[Redis]:
    with server.client() as client:
        client.flushall()
        yield client


@asynccontextmanager
async def opened(url: str, *, timeout_s: float = PATIENCE_S) -> AsyncIterator[RedisFlagStore]:
    store = RedisFlagStore(url, timeout_s=timeout_s)
    try:
        yield store
    finally:
        await store.close()


async def ask_everything(store: RedisFlagStore) -> list[str]:
    """Call each method of a store that must fail; return what it said."""
    calls = (
        store.read,
        lambda: store.commit(a_commit(0, a_flag("a"), claim=Claim("k", "c"))),
        lambda: store.next_version(0, timeout_s=PATIENCE_S),
        lambda: store.history("flag:a", limit=3),
    )
    said: list[str] = []
    for call in calls:
        with anyio.fail_after(LIMIT_S), pytest.raises(FlagStoreUnavailableError) as caught:
            await call()
        assert caught.value.retryable
        said.append(str(caught.value))
    return said


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "must begin redis://"),
        ("localhost:6379", "must begin redis://"),
        ("http://:secret@localhost", "must begin redis://"),
        ("redis://:sec/ret@localhost:6379", "numbers must be numbers"),
        ("redis://:secret@localhost:99999", "numbers must be numbers"),
        ("redis://:secret@localhost/main", "database number"),
        ("redis://:secret@localhost?db=x", "numbers must be numbers"),
        ("redis://:secret@localhost?ssl_ca_certs=x", "option is unknown"),
        ("rediss://:secret@localhost?ssl_colour=x", "option is unknown"),
        ("rediss://:secret@localhost?ssl_cert_reqs=x", "option is unknown"),
        ("unix://?password=secret", "names no socket"),
        ("redis://[::1", "must begin redis://"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_quoting_it(url: str, hint: str) -> None:
    with pytest.raises(FlagStoreError, match="The Redis address cannot be used") as caught:
        RedisFlagStore(url)

    assert hint in str(caught.value)
    assert "sec" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_making_a_store_connects_to_nothing(mortal: RedisServer) -> None:
    mortal.kill()

    for scheme in ("redis", "rediss"):
        await RedisFlagStore(f"{scheme}://127.0.0.1:{mortal.port}/3").close()
    await RedisFlagStore(mortal.socket_url).close()


async def test_the_address_names_the_database_and_says_nothing_of_timeouts(
    server: RedisServer, direct: Redis
) -> None:
    options = "socket_timeout=60&max_connections=1&decode_responses=1&protocol=3&foo=bar"
    async with opened(f"{server.url}/5?{options}") as store:
        await store.commit(a_commit(0, a_flag("a")))
        with anyio.fail_after(LIMIT_S):
            assert await store.next_version(0, timeout_s=PATIENCE_S) == 1

    assert direct.dbsize() == 0
    assert direct.info("keyspace")["db5"]["keys"] == 3


async def test_a_unix_socket_serves_as_well(server: RedisServer, direct: Redis) -> None:
    async with opened(server.socket_url) as store:
        await store.commit(a_commit(0, a_flag("a")))
        assert await store.next_version(0, timeout_s=PATIENCE_S) == 1
    assert direct.hkeys("{flags}:definitions") == [b"flag:a"]


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


@pytest.mark.parametrize("key", ["version", "definitions", "audit:flag:a", "idempotency:k"])
async def test_a_key_of_another_type_is_told_and_nothing_is_written(
    server: RedisServer, direct: Redis, key: str
) -> None:
    async with opened(server.url) as store:
        await store.commit(a_commit(0, a_flag("b")))
        direct.delete(f"{{flags}}:{key}")
        direct.sadd(f"{{flags}}:{key}", "other")
        before = everything(direct)
        expected = 1

        with pytest.raises(FlagStoreDamagedError, match="not of its type"):
            await store.commit(a_commit(expected, a_flag("c"), a_flag("a"), claim=Claim("k", "c")))

        assert everything(direct) == before


@pytest.mark.parametrize("stored", ["x", "-1", "?", "1.5", "\uff11"])
async def test_a_version_that_is_no_number_is_damage(
    server: RedisServer, direct: Redis, stored: str
) -> None:
    direct.set("{flags}:version", stored)
    async with opened(server.url) as store:
        for call in (
            store.read,
            lambda: store.next_version(0, timeout_s=PATIENCE_S),
            lambda: store.commit(a_commit(0, a_flag("a"))),
        ):
            with pytest.raises(FlagStoreDamagedError, match="set it to the last version"):
                await call()
        direct.set("{flags}:version", 4)
        assert await store.next_version(0, timeout_s=PATIENCE_S) == 4


async def test_a_version_behind_its_audit_is_told_and_nothing_is_written(
    server: RedisServer, direct: Redis
) -> None:
    async with opened(server.url) as store:
        for number in range(3):
            await store.commit(a_commit(number, a_flag("a")))
        direct.delete("{flags}:version")
        direct.xtrim("{flags}:audit:flag:a", maxlen=0, approximate=False)
        before = everything(direct)

        with pytest.raises(FlagStoreDamagedError, match=r"audit:flag:a is at version 3"):
            await store.commit(a_commit(0, a_flag("b"), a_flag("a")))
        assert everything(direct) == before

        direct.set("{flags}:version", 3)
        assert (await store.commit(a_commit(3, a_flag("b"), a_flag("a")))).held


async def test_the_audit_is_bounded_and_its_ids_are_versions(
    server: RedisServer, direct: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flags.store.redis.store.MAX_AUDIT_ENTRIES", 100)
    direct.config_set("stream-node-max-entries", 10)
    async with opened(server.url) as store:
        for number in range(300):
            await store.commit(a_commit(number, a_flag("a")))

        entries = await store.history("flag:a", limit=1000)

    assert 100 <= len(entries) <= 120
    assert entries[0].version == 300
    assert direct.xinfo_stream("{flags}:audit:flag:a")["last-generated-id"] == b"300-0"
    direct.config_set("stream-node-max-entries", 100)


async def test_an_audit_entry_that_cannot_be_read_is_left_out(
    server: RedisServer, direct: Redis
) -> None:
    async with opened(server.url) as store:
        await store.commit(a_commit(0, a_flag("a")))
        direct.xadd("{flags}:audit:flag:a", {"entry": "{"}, id="2-0")
        await store.commit(a_commit(1, a_flag("b"), version=5))

        assert [entry.version for entry in await store.history("flag:a", limit=9)] == [1]


async def test_announcements_of_others_do_not_end_a_wait(
    server: RedisServer, direct: Redis
) -> None:
    async def disturb() -> None:
        for message in ("7", "-1", "x", "", "\xff" * 1000):
            await anyio.wait_all_tasks_blocked()
            direct.publish("{flags}:changed", message)
        await anyio.wait_all_tasks_blocked()
        await writer.commit(a_commit(0, a_flag("a")))

    async with opened(server.url) as store, opened(server.url) as writer:
        await store.next_version(0, timeout_s=0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(disturb)
            with anyio.fail_after(LIMIT_S):
                assert await store.next_version(0, timeout_s=PATIENCE_S) == 1


async def test_the_store_subscribes_before_it_asks(server: RedisServer, direct: Redis) -> None:
    async with opened(server.url) as store:
        with direct.monitor() as monitor:  # type: ignore[no-untyped-call]  # the driver says no types
            await store.next_version(0, timeout_s=0)
            asked: list[str] = []
            while not asked or not asked[-1].startswith("GET"):
                asked.append(monitor.next_command()["command"])

    assert asked == ["SUBSCRIBE {flags}:changed", "GET {flags}:version"]


async def test_one_subscription_serves_many_waits(server: RedisServer, direct: Redis) -> None:
    async with opened(server.url) as store:
        for _ in range(50):
            await store.next_version(0, timeout_s=0)

        assert direct.pubsub_numsub("{flags}:changed") == [(b"{flags}:changed", 1)]
        assert len(direct.client_list()) <= 3

    assert direct.pubsub_numsub("{flags}:changed") == [(b"{flags}:changed", 0)]


async def test_closing_ends_a_wait(server: RedisServer) -> None:
    async with opened(server.url) as store:
        seen = await store.next_version(-1, timeout_s=0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(after_all_wait_async, store)
            with anyio.fail_after(LIMIT_S), pytest.raises(FlagStoreUnavailableError):
                await store.next_version(seen, timeout_s=PATIENCE_S)


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


FORKED = """
import asyncio, os, sys
from flags.store.redis import RedisFlagStore
from tests.support.commits import a_commit, a_flag

async def main(url):
    store = RedisFlagStore(url)
    await store.commit(a_commit(0, a_flag("a")))
    await store.next_version(0, timeout_s=0)
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(use(store, "child"))
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    for _ in range(200):
        assert (await store.read()).flags.keys() == {"a"}
        assert len(await store.history("flag:a", limit=1)) == 1
    await asyncio.to_thread(os.waitpid, child, 0)
    await use(store, "parent")

async def use(store, who):
    for _ in range(200):
        assert (await store.read()).version == 1
        assert await store.next_version(1, timeout_s=0) == 1
    await store.close()
    print(who, "done", flush=True)

asyncio.run(main(sys.argv[1]))
"""


def test_a_forked_process_never_shares_a_connection(server: RedisServer, direct: Redis) -> None:
    assert direct.dbsize() == 0

    ended = subprocess.run(
        [sys.executable, "-c", FORKED, server.url],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONWARNINGS": "error"},  # noqa: TID251  # of a child process
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (ended.stdout.decode(), ended.stderr.decode()) == ("child done\nparent done\n", "")


async def test_what_a_parent_opened_is_not_touched_by_its_child(
    server: RedisServer, direct: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(server.url) as store:
        await store.next_version(-1, timeout_s=0)
        of_parent = {client["id"] for client in direct.client_list()}
        with monkeypatch.context() as fork:
            fork.setattr(os, "getpid", lambda: 0)
            await store.close()
            await store.next_version(-1, timeout_s=0)
            assert {client["id"] for client in direct.client_list()} > of_parent
            await store.close()
        assert {client["id"] for client in direct.client_list()} >= of_parent
        await store.read()


def everything(client: Redis) -> dict[bytes, object]:
    return {key: client.dump(key) for key in client.scan_iter("*")}


async def many_calls(store: RedisFlagStore, *, must_fail: bool = False) -> None:
    """Use all connections, and more than there are."""

    async def read() -> None:
        with pytest.raises(FlagStoreUnavailableError) if must_fail else nullcontext():
            await store.read()

    async with anyio.create_task_group() as tasks:
        for _ in range(10 * MAX_CONNECTIONS):
            tasks.start_soon(read)


async def calls_cancelled_after(steps: int, store: RedisFlagStore) -> None:
    async with anyio.create_task_group() as tasks:
        for method in (store.read, store.read, lambda: store.history("flag:a", limit=1)):
            tasks.start_soon(method)
        tasks.start_soon(lambda: store.next_version(1, timeout_s=PATIENCE_S))
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def stalled(server: RedisServer) -> AsyncIterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


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


async def after_all_wait_async(store: RedisFlagStore) -> None:
    await anyio.wait_all_tasks_blocked()
    await store.close()


Serve = Callable[[anyio.abc.SocketStream], Awaitable[None]]


@asynccontextmanager
async def answering(answer: bytes, secret: str = "") -> AsyncIterator[str]:
    """Run a peer that says the same to whatever it hears, or closes where that is nothing."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        while answer:
            await stream.receive()
            await stream.send(answer)

    async with listening(serve) as port:
        yield f"redis://:{secret}@127.0.0.1:{port}" if secret else f"redis://127.0.0.1:{port}"


@asynccontextmanager
async def cutting_proxy(server_port: int) -> AsyncIterator[str]:
    """Run a proxy that passes all on, but ends the connection instead of answering a script."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with await anyio.connect_tcp("127.0.0.1", server_port) as upstream:
            asked = b""
            while b"EVAL" not in asked:
                asked = await stream.receive()
                await upstream.send(asked)
                answer = await upstream.receive()
                if b"EVAL" not in asked:
                    await stream.send(answer)

    async with listening(serve) as port:
        yield f"redis://127.0.0.1:{port}"


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    async def serve_until_left(stream: anyio.abc.SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            async with stream:
                await serve(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve_until_left)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  # not Django's
        tasks.cancel_scope.cancel()
