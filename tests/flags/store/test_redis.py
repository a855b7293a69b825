"""The Redis store: addresses, what is stored, the subscription, forks."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.abc
import pytest
from redis import Redis

from flags.errors import FlagStoreDamagedError, FlagStoreError, FlagStoreUnavailableError
from flags.store.base import Claim
from flags.store.redis import RedisFlagStore
from tests.flags.store.asking import LIMIT_S, PATIENCE_S, listening, opened
from tests.support.chat import until
from tests.support.commits import a_commit, a_flag
from tests.support.redis import RedisServer

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.services


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


async def test_the_store_asks_only_once_its_subscription_is_confirmed() -> None:
    heard: list[str] = []

    async def serve(stream: anyio.abc.SocketStream) -> None:
        while True:
            asked = await stream.receive()
            if b"SUBSCRIBE" in asked:
                heard.append("subscribe")
                await anyio.sleep(0.1)  # time to ask too early
                heard.append("confirmed")
                await stream.send(b"*3\r\n$9\r\nsubscribe\r\n$7\r\nchanged\r\n:1\r\n")
            else:
                heard.append("get")
                await stream.send(b"$1\r\n5\r\n")

    async with listening(serve) as port, opened(f"redis://127.0.0.1:{port}") as store:
        assert await store.next_version(0, timeout_s=PATIENCE_S) == 5

    assert heard == ["subscribe", "confirmed", "get"]


async def test_the_rights_that_the_documents_name_are_enough(
    server: RedisServer, direct: Redis
) -> None:
    text = " ".join((ROOT / "docs" / "redis-keys.md").read_text(encoding="utf-8").split())
    rights = text.partition("Needed of an ACL: `")[2].partition("`")[0].split()
    direct.execute_command("ACL", "SETUSER", "few", "reset", "on", ">word", *rights)  # type: ignore[no-untyped-call]  # the driver says no types

    async with opened(f"redis://few:word@127.0.0.1:{server.port}/2") as store:
        claim = Claim("k", "c")
        for number, key in enumerate("aba"):
            await store.commit(a_commit(number, a_flag(key)))
        await store.commit(a_commit(3, "flag:a", claim=claim))
        repeated = await store.commit(a_commit(3, "flag:a", claim=claim))

        assert repeated.earlier == {"flag:a": None}
        assert (await store.read()).flags.keys() == {"b"}
        assert len(await store.history("flag:a", limit=9)) == 3
        assert await store.next_version(0, timeout_s=0) == 4


async def test_one_subscription_serves_many_waits(server: RedisServer, direct: Redis) -> None:
    async with opened(server.url) as store:
        for _ in range(50):
            await store.next_version(0, timeout_s=0)

        assert direct.pubsub_numsub("{flags}:changed") == [(b"{flags}:changed", 1)]
        assert len(direct.client_list()) <= 3

    # The link is closed on our side; the server notices it a moment later.
    await until(lambda: direct.pubsub_numsub("{flags}:changed") == [(b"{flags}:changed", 0)])


async def test_closing_ends_a_wait(server: RedisServer) -> None:
    async with opened(server.url) as store:
        seen = await store.next_version(-1, timeout_s=0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(after_all_wait_async, store)
            with anyio.fail_after(LIMIT_S), pytest.raises(FlagStoreUnavailableError):
                await store.next_version(seen, timeout_s=PATIENCE_S)


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
        cwd=ROOT,
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


async def after_all_wait_async(store: RedisFlagStore) -> None:
    await anyio.wait_all_tasks_blocked()
    await store.close()
