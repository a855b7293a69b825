"""Redis behind a real Sentinel: who is lost is replaced, and calls work again by themselves."""

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from storage.redis import RedisConnection, Script
from tests.storage.redis_calls import (
    LIMIT_S,
    at_once,
    get,
    links,
    opened,
    put,
    refusal,
    subscribed,
    until,
    until_served,
    wait_for,
)
from tests.support.redis_ha import Watched, running_sentinel

pytestmark = pytest.mark.services


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with running_sentinel(tmp_path) as watched:
        yield watched


async def hears_itself(connection: RedisConnection, script: Script) -> None:
    async with connection.subscribe("news") as subscription:
        await connection.run(script, ["k"], ["said"])
        with anyio.fail_after(LIMIT_S):
            assert await subscription.get(LIMIT_S) == ("news", b"said")


@pytest.fixture
def script(tmp_path: Path) -> Script:
    path = tmp_path / "tell.lua"
    path.write_text(
        "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('PUBLISH', 'news', ARGV[1])"
    )
    return Script(path)


@pytest.mark.fault(23)
async def test_a_killed_primary_is_replaced(watched: Watched, script: Script) -> None:
    async with opened(watched.url, timeout_s=2.0) as connection:
        await hears_itself(connection, script)
        async with connection.subscribe("news") as subscription:
            watched.primary.kill()
            said = await refusal(lambda: subscription.get(LIMIT_S))
        await until_served(lambda: put(connection, "k", "v"))

        await hears_itself(connection, script)
        with watched.replica.client() as client:
            assert client.get("k") == b"said"

    assert "closed" in said


@pytest.mark.long
async def test_a_silent_sentinel_is_passed_over(watched: Watched) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and no more
        here = f"127.0.0.1:{silent.getsockname()[1]}"
        url = f"redis+sentinel://{here},127.0.0.1:{watched.sentinel_port}/main"
        async with opened(url, timeout_s=2.0) as connection:
            await put(connection, "k", "v")


@pytest.mark.long
async def test_a_silent_primary_costs_each_idle_link_nothing(watched: Watched) -> None:
    async with opened(watched.url, timeout_s=1.0) as connection:
        await at_once([partial(put, connection, f"k{n}", "v") for n in range(32)])
        watched.primary.pause()
        await refusal(lambda: get(connection, "k"))
        watched.wait_for_failover()
        await until_served(lambda: put(connection, "k", "v"))

        # None of the 31 other links to the silent one is tried.
        await at_once([partial(put, connection, f"k{n}", "w") for n in range(32)])
        watched.primary.resume()


@pytest.mark.long
async def test_a_primary_that_comes_back_as_a_replica_takes_no_writes(watched: Watched) -> None:
    async with opened(watched.url, timeout_s=2.0) as connection:
        await put(connection, "k", "first")
        watched.primary.pause()
        watched.wait_for_failover()
        await until_served(lambda: put(connection, "k", "second"))
        watched.primary.resume()
        watched.wait_until_followed()

        await until_served(lambda: put(connection, "k", "third"))
        for server in (watched.primary, watched.replica):
            async with opened(server.url) as direct:
                await wait_for(direct, "k", b"third")


@pytest.mark.long
async def test_passwords_of_the_servers_and_of_the_sentinels(tmp_path: Path) -> None:
    with running_sentinel(tmp_path, password="right") as watched:  # noqa: S106  # of these servers
        signed_in = watched.url + "?sentinel_password=right"
        async with opened(signed_in) as connection:
            await put(connection, "k", "v")
        for wrong in (
            watched.url,
            watched.url + "?sentinel_password=wrong",
            signed_in.replace(":right@", ":wrong@"),
        ):
            async with opened(wrong) as connection:
                said = await refusal(lambda c=connection: get(c, "k"))  # type: ignore[misc]  # bound now
            assert "uthentic" in said or "WRONGPASS" in said or "invalid" in said
            assert "wrong" not in said.replace("WRONGPASS", "")


@pytest.mark.long
async def test_a_service_that_the_sentinels_do_not_know_is_unavailable(watched: Watched) -> None:
    async with opened(watched.url.replace("/main/", "/other/")) as connection:
        said = await refusal(lambda: get(connection, "k"))
        await refusal(lambda: subscribed(connection))

    assert "other" in said


@pytest.mark.long
async def test_nothing_is_left_open_after_a_failover(watched: Watched) -> None:
    async with opened(watched.url, timeout_s=2.0) as connection:
        await at_once([partial(put, connection, f"k{n}", "v") for n in range(32)])
        watched.primary.kill()
        await until_served(lambda: put(connection, "k", "v"))
        most = len(links(watched.replica))
    await until(lambda: not links(watched.replica))

    assert most >= 1
