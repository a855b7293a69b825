"""The Redis store over several servers: watched over by a Sentinel, and in a Cluster."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest

from flags.errors import FlagStoreError, FlagStoreUnavailableError
from flags.store.redis import RedisFlagStore
from tests.flags.store.asking import LIMIT_S, PATIENCE_S, many_calls, opened
from tests.support.commits import a_commit, a_flag
from tests.support.redis_ha import Cluster, Watched, running_cluster, running_sentinel

pytestmark = [pytest.mark.services, pytest.mark.long]

CALL_S = 2.0
FOUND_S = 20.0
"""Bound of a failover on a busy machine."""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with running_sentinel(tmp_path) as watched:
        yield watched


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path, with_replica=True) as cluster:
        cluster.move("{flags}:version", cluster.nodes[0])
        yield cluster


@pytest.fixture(params=["watched", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    servers: Watched | Cluster = request.getfixturevalue(request.param)
    return servers.url


async def until_served(call: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(FOUND_S):
        while True:
            try:
                await call()
            except FlagStoreUnavailableError:
                await anyio.sleep(0.02)
            else:
                return


async def until_copied(watched: Watched) -> None:
    """Wait until the replica has the first write, too: it is copied behind the answer."""
    with anyio.fail_after(LIMIT_S), watched.replica.client() as client:
        while client.get("{flags}:version") != b"1":  # noqa: ASYNC110  another process copies
            await anyio.sleep(0.01)


async def test_what_is_written_is_heard_of_and_read_by_others(url: str) -> None:
    heard: list[int] = []
    async with opened(url) as writer, opened(url) as reader:
        await reader.next_version(0, timeout_s=0)

        async def hear() -> None:
            heard.append(await reader.next_version(0, timeout_s=PATIENCE_S))

        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hear)
                await many_calls(reader)
                assert (await writer.commit(a_commit(0, a_flag("a")))).held

        assert heard == [1]
        assert set((await reader.read()).flags) == {"a"}
        assert len(await reader.history("flag:a", limit=3)) == 1


async def test_a_primary_that_is_killed_is_replaced(watched: Watched) -> None:
    async with opened(watched.url, timeout_s=CALL_S) as store:
        await store.commit(a_commit(0, a_flag("a")))
        await until_copied(watched)
        watched.primary.kill()

        await until_served(lambda: store.commit(a_commit(1, a_flag("b"))))
        assert set((await store.read()).flags) == {"a", "b"}


@pytest.mark.long
async def test_a_primary_that_falls_silent_and_comes_back_as_a_replica_takes_no_writes(
    watched: Watched,
) -> None:
    async with opened(watched.url, timeout_s=CALL_S) as store:
        await store.commit(a_commit(0, a_flag("a")))
        await many_calls(store)
        await until_copied(watched)
        watched.primary.pause()
        await until_served(lambda: store.next_version(0, timeout_s=0))
        watched.primary.resume()
        watched.wait_until_followed()

        await until_served(lambda: store.commit(a_commit(1, a_flag("b"))))
        assert (await store.read()).version == 2


@pytest.mark.long
async def test_a_node_that_is_killed_is_replaced_by_its_replica(cluster: Cluster) -> None:
    async with opened(cluster.url, timeout_s=CALL_S) as store:
        await store.commit(a_commit(0, a_flag("a")))
        await many_calls(store)
        cluster.nodes[0].kill()

        await until_served(store.read)
        with anyio.fail_after(LIMIT_S):
            assert await store.next_version(0, timeout_s=0) in {0, 1}


async def test_a_slot_that_moved_is_found_at_the_price_of_a_call_for_each_link(
    cluster: Cluster,
) -> None:
    async with opened(cluster.url) as store:
        await store.commit(a_commit(0, a_flag("a")))
        cluster.move("{flags}:version", cluster.nodes[1])

        await until_served(store.read)
        assert (await store.commit(a_commit(1, a_flag("b")))).held
        assert set((await store.read()).flags) == {"a", "b"}


@pytest.mark.long
async def test_passwords_of_the_servers_and_of_the_sentinels(tmp_path: Path) -> None:
    with running_sentinel(tmp_path, password="right") as watched:  # noqa: S106  # of these servers
        signed_in = watched.url + "?sentinel_password=right"
        async with opened(signed_in) as store:
            assert (await store.read()).version == 0
        for wrong in (watched.url, signed_in.replace("=right", "=other")):
            said = await refusal(wrong)
            assert "right" not in said
            assert "nobody tells which server" in said


async def refusal(url: str) -> str:
    """Return what a store says that cannot be read."""
    async with opened(url) as store:
        with pytest.raises(FlagStoreUnavailableError) as caught:
            await store.read()
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("redis+sentinel://:secret@localhost", "must name the service"),
        ("redis+sentinel://:secret@localhost,/main", "a host is missing"),
        ("redis+sentinel://:sec/ret@localhost/main", "database number"),
        ("redis+sentinel://:secret@localhost/main/x", "database number"),
        ("redis+sentinel://:secret@localhost:x/main", "numbers must be numbers"),
        ("redis+cluster://:secret@localhost/1", "database 0 only"),
        ("redis+cluster://:secret@localhost?ssl_ca_certs=x", "option is unknown"),
        ("redis+other://:secret@localhost", "must begin redis://"),
    ],
)
def test_an_address_of_several_that_cannot_be_used_is_refused_without_quoting_it(
    url: str, hint: str
) -> None:
    with pytest.raises(FlagStoreError, match="The Redis address cannot be used") as caught:
        RedisFlagStore(url)

    assert hint in str(caught.value)
    assert "sec" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
