"""A real Cluster: each command finds its node, also when slots move and nodes are lost."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.abc
import pytest

from storage.errors import StorageUnavailableError
from storage.redis import RedisConnection, Script, Subscription, ask, ask_all
from tests.storage.redis_calls import (
    LIMIT_S,
    at_once,
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
from tests.support.redis import RedisServer
from tests.support.redis_ha import Cluster, running_cluster

pytestmark = [pytest.mark.services, pytest.mark.long]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of the test's own, with a replica of the first node."""
    with running_cluster(tmp_path, with_replica=True) as cluster:
        yield cluster


@pytest.fixture
def script(tmp_path: Path) -> Script:
    path = tmp_path / "tell.lua"
    path.write_text(
        "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[1])"
        "redis.call('PUBLISH', 'news', ARGV[1]) return ARGV[1]"
    )
    return Script(path)


async def test_each_command_finds_its_node_and_is_heard_everywhere(
    cluster: Cluster, script: Script
) -> None:
    keys = [cluster.key_of(node) for node in cluster.nodes]
    async with opened(cluster.url) as connection, connection.subscribe("news") as subscription:
        for key in keys:
            both = [f"{{{key}}}:a", f"{{{key}}}:b"]
            assert await connection.run(script, both, [key]) == key.encode()
            with anyio.fail_after(LIMIT_S):
                assert await subscription.get(LIMIT_S) == ("news", key.encode())

        async with connection.call() as client:
            answers = await ask_all(client, [("GET", f"{{{key}}}:b") for key in keys])
            pong = await ask(client, "PING")
    assert answers == [key.encode() for key in keys]
    assert pong


async def test_a_script_whose_keys_share_no_slot_is_refused(
    cluster: Cluster, script: Script
) -> None:
    keys = [cluster.key_of(node) for node in cluster.nodes[:2]]
    async with opened(cluster.url) as connection:
        said = await refusal(lambda: connection.run(script, keys, ["v"]))

    assert "same slot" in said


async def test_one_node_that_answers_is_enough_to_find_the_others(cluster: Cluster) -> None:
    _, alive = cluster.url.rsplit(",", 1)
    async with opened(f"redis+cluster://127.0.0.1:1,{alive}") as connection:
        for node in cluster.nodes:
            await put(connection, cluster.key_of(node), "v")


async def test_many_callers_at_once_learn_the_map_once(cluster: Cluster) -> None:
    before = _maps(cluster)
    async with opened(cluster.url) as connection:
        await at_once([partial(put, connection, f"many:{n}", "v") for n in range(200)])
        answers = [await get(connection, f"many:{n}") for n in range(200)]

    assert answers == [b"v"] * 200
    assert _maps(cluster) == before + 1


async def test_a_moved_slot_is_followed_and_the_map_learned_anew(
    cluster: Cluster, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.redis.cluster.LEARN_EVERY_S", 0.0)
    source, target = cluster.nodes[0], cluster.nodes[2]
    key = cluster.key_of(source)
    async with opened(cluster.url) as connection:
        await put(connection, key, "before")
        learned = _maps(cluster)
        cluster.move(key, target)

        async with connection.call() as client:
            assert await ask_all(client, [("GET", key), ("STRLEN", key)]) == [b"before", 6]
        await connection.run(script, [key, f"{{{key}}}:b"], ["after"])
        moved = _calls(source, "get")
        assert await get(connection, key) == b"after"
        assert _calls(source, "get") == moved  # it is asked no more
        assert _maps(cluster) == learned + 1


async def test_a_slot_that_is_just_moving_answers_from_both_nodes(cluster: Cluster) -> None:
    key = cluster.key_of(cluster.nodes[1])
    there, gone = f"{{{key}}}:there", f"{{{key}}}:gone"
    async with opened(cluster.url) as connection:
        await put(connection, there, "v")
        with cluster.moving(key, cluster.nodes[0]):
            await put(connection, gone, "w")
            assert await get(connection, there) == b"v"
            assert await get(connection, gone) == b"w"
            async with connection.call() as client:
                both = await ask_all(client, [("GET", there), ("GET", gone)])
            assert both == [b"v", b"w"]


async def test_a_node_that_is_silent_is_asked_for_the_map_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storage.redis.cluster.LEARN_EVERY_S", 0.0)
    asked: list[bytes] = []

    async def keep_silent(stream: anyio.abc.SocketStream) -> None:
        asked.append(await stream.receive())
        await anyio.sleep_forever()

    async with listening(keep_silent) as silent, a_node([b"-CLUSTERDOWN for a while"]) as down:
        url = f"redis+cluster://127.0.0.1:{silent},{down}"
        async with opened(url, timeout_s=1.0) as connection:
            for _ in range(30):
                assert "for a while" in await refusal(lambda: get(connection, "k"))

    assert len(asked) <= 1


async def test_a_node_that_asks_for_patience_is_asked_again() -> None:
    async with (
        a_node([b"-TRYAGAIN", b"-TRYAGAIN", b"$1\r\nv"]) as host,
        opened(f"redis+cluster://{host}") as connection,
    ):
        assert await get(connection, "k") == b"v"


async def test_nodes_that_send_a_command_in_circles_are_given_up() -> None:
    async with (
        a_node([b"-MOVED 7629 :{port}"]) as host,
        opened(f"redis+cluster://{host}") as connection,
    ):
        said = await refusal(lambda: get(connection, "k"))

    assert "do not agree" in said


async def test_a_key_that_no_node_has_is_unavailable_and_the_others_are_not() -> None:
    async with (
        a_node([b"$1\r\nv"], last_slot=10_000) as host,
        opened(f"redis+cluster://{host}") as connection,
    ):
        assert await get(connection, "k") == b"v"  # in slot 7629
        said = await refusal(lambda: get(connection, "foo"))  # in slot 12182

    assert "slot" in said


@asynccontextmanager
async def a_node(answers: Sequence[bytes], *, last_slot: int = 16_383) -> AsyncIterator[str]:
    """Serve the only node of a Cluster; each answer but the last is given once."""
    left = list(answers)

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async for each in stream:
            if b"CLUSTER" in each:
                answer = f"*1\r\n*3\r\n:0\r\n:{last_slot}\r\n*2\r\n$0\r\n\r\n:{port}".encode()
            else:
                answer = left.pop(0) if len(left) > 1 else left[0]
            await stream.send(answer.replace(b"{port}", b"%d" % port) + b"\r\n")

    async with listening(serve) as port:
        yield f"127.0.0.1:{port}"


@pytest.mark.long
async def test_a_silent_node_costs_the_calls_for_its_own_keys_only(mortal: Cluster) -> None:
    keys = [mortal.key_of(node) for node in mortal.nodes]
    async with opened(mortal.url, timeout_s=1.0) as connection:
        for key in keys:
            await put(connection, key, "v")
        mortal.nodes[1].pause()
        for _ in range(5):
            said = await refusal(lambda: get(connection, keys[1]))
            assert "did not answer" in said
            assert await get(connection, keys[0]) == await get(connection, keys[2]) == b"v"
            await until_served(lambda: subscribed(connection))
        mortal.nodes[1].resume()
        await until_served(lambda: get(connection, keys[1]))


@pytest.mark.long
async def test_a_killed_node_is_replaced_by_its_replica(mortal: Cluster, script: Script) -> None:
    replica = mortal.replica
    assert replica is not None
    key = mortal.key_of(mortal.nodes[0])
    async with opened(mortal.url, timeout_s=1.0) as connection:
        await put(connection, key, "v")
        mortal.nodes[0].kill()
        await refusal(lambda: get(connection, key))
        await until_served(lambda: connection.run(script, [key, f"{{{key}}}:b"], ["w"]))

        async with opened(replica.url) as direct:
            assert await get(direct, key) == b"w"


@pytest.mark.long
async def test_a_subscription_whose_node_is_lost_is_found_again(
    mortal: Cluster, script: Script
) -> None:
    key = mortal.key_of(mortal.nodes[2])
    async with opened(mortal.url, timeout_s=1.0) as connection, AsyncExitStack() as stack:
        subscriptions = [
            await stack.enter_async_context(connection.subscribe("news")) for _ in range(9)
        ]
        mortal.nodes[0].kill()
        await until_served(lambda: connection.run(script, [key, f"{{{key}}}:b"], ["said"]))
        for subscription in subscriptions:
            await hears_or_is_lost(subscription)

        for _ in range(9):
            await until_served(lambda: hears_itself(connection, script, key))


async def hears_or_is_lost(subscription: Subscription) -> None:
    with anyio.fail_after(LIMIT_S):
        try:
            assert await subscription.get(2 * LIMIT_S) == ("news", b"said")
        except StorageUnavailableError:
            return


async def hears_itself(connection: RedisConnection, script: Script, key: str) -> None:
    async with connection.subscribe("news") as subscription:
        await connection.run(script, [key, f"{{{key}}}:b"], ["said"])
        with anyio.fail_after(LIMIT_S):
            assert await subscription.get(LIMIT_S) == ("news", b"said")


@pytest.mark.long
async def test_nothing_is_left_open(cluster: Cluster) -> None:
    def held() -> int:
        return sum(len(links(node)) for node in cluster.nodes)

    async with opened(cluster.url) as connection:
        await at_once([partial(put, connection, f"many:{n}", "v") for n in range(200)])
        most = held()
    await until(lambda: not held())

    assert 3 <= most <= 3 * 32


def _maps(cluster: Cluster) -> int:
    """Return how often the nodes were asked for the map."""
    return sum(_calls(node, "cluster|slots") for node in cluster.nodes)


def _calls(node: RedisServer, command: str) -> int:
    with node.client() as client:
        stats = client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})
        return int(stats["calls"])
