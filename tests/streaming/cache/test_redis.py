"""The cache in Redis when Redis fails, is full, or is set up for something else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from resilience.breaker import BreakerState
from storage.redis import RedisConnection
from streaming.cache.redis import RedisCache
from tests.support.redis import RedisServer, running_redis

pytestmark = pytest.mark.services

LIMIT_S = 10.0
KIB = b"x" * 1024


class Failures:
    """Counts calls."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@asynccontextmanager
async def a_cache(
    server: RedisServer, failures: Failures, *, timeout_s: float = 5.0
) -> AsyncIterator[RedisCache]:
    connection = RedisConnection(server.url, timeout_s=timeout_s)
    yield RedisCache(connection, ttl_s=60, max_value_bytes=1_000_000, on_failure=failures)
    await connection.close()


async def test_keys_have_the_prefix_and_an_end(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        async with a_cache(server, Failures()) as cache:
            await cache.put("a:1", b"v")

        assert client.keys() == [b"chat:cache:a:1"]
        assert 50_000 < client.pttl("chat:cache:a:1") <= 60_000


async def test_a_lost_redis_is_no_error_but_counted_and_found_again(tmp_path: Path) -> None:
    failures = Failures()
    with running_redis(tmp_path) as server:
        async with a_cache(server, failures) as cache:
            await cache.put("k", b"v")
            server.kill()

            lost = [await cache.get("k") for _ in range(20)]
            await cache.put("k", b"v")
            counted = failures.count
            server.restart()
            await _put_until_it_is_there(cache, "k")

    assert lost == [None] * 20
    assert counted == 21
    assert cache.breaker.state is BreakerState.CLOSED


async def test_a_silent_redis_is_waited_for_by_few_callers_only(tmp_path: Path) -> None:
    failures = Failures()
    with running_redis(tmp_path) as server:
        async with a_cache(server, failures, timeout_s=0.2) as cache:
            await cache.put("k", b"v")
            server.pause()
            waited = [await _waits(cache) for _ in range(200)]
            server.resume()

    assert 3 <= sum(waited) <= 20
    assert failures.count == 200


async def test_a_full_redis_that_evicts_is_no_failure_and_keeps_what_came_last(
    tmp_path: Path,
) -> None:
    failures = Failures()
    limits = ("--maxmemory", "6mb", "--maxmemory-policy", "allkeys-lru")
    with running_redis(tmp_path, *limits) as server, server.client() as client:
        async with a_cache(server, failures) as cache:
            for n in range(400):
                await cache.put(f"k{n}", KIB * 32)
            last = await cache.get("k399")

        held = client.dbsize()

    assert failures.count == 0
    assert last == KIB * 32
    assert 10 < held < 200


async def test_a_full_redis_that_refuses_is_counted_and_still_read(tmp_path: Path) -> None:
    failures = Failures()
    with running_redis(tmp_path, "--maxmemory-policy", "noeviction") as server:
        async with a_cache(server, failures) as cache:
            await cache.put("k", b"v")
            with server.client() as client:
                client.config_set("maxmemory", 1)
            await cache.put("other", b"v")

            assert await cache.get("k") == b"v"
            assert await cache.get("other") is None

    assert failures.count == 1


@pytest.mark.parametrize(
    ("limit", "policy", "said"),
    [
        ("10mb", "allkeys-lru", None),
        ("10mb", "allkeys-lfu", None),
        ("10mb", "volatile-lru", "maxmemory-policy volatile-lru"),
        ("10mb", "noeviction", "maxmemory-policy noeviction"),
        ("0", "allkeys-lru", "no maxmemory"),
    ],
)
async def test_a_redis_that_does_not_make_room_is_told_of_at_the_start(
    tmp_path: Path, limit: str, policy: str, said: str | None
) -> None:
    limits = ("--maxmemory", limit, "--maxmemory-policy", policy)
    with running_redis(tmp_path, *limits) as server:
        async with a_cache(server, Failures()) as cache:
            warning = await cache.check_policy()

    assert (warning is None) == (said is None)
    assert (said or "") in (warning or "")


async def test_of_a_redis_that_is_not_there_nothing_is_said(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        server.kill()
        async with a_cache(server, Failures()) as cache:
            assert await cache.check_policy() is None


async def _waits(cache: RedisCache) -> bool:
    """Get a key; tell whether Redis was asked."""
    is_asked = cache.breaker.allows()
    with anyio.fail_after(LIMIT_S):
        assert await cache.get("k") is None
    return is_asked


async def _put_until_it_is_there(cache: RedisCache, key: str) -> None:
    with anyio.fail_after(LIMIT_S):
        while await cache.get(key) is None:
            await cache.put(key, b"v")
            await anyio.sleep(0.02)
