"""What every cache promises: bytes for a while, and never an error.

Who makes room is promised by the cache in memory alone; in Redis it is the server's policy
(`tests/streaming/cache/test_redis.py` shows that a full server is no fault).
"""

import random
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from storage.redis import RedisConnection
from streaming.cache.base import Cache
from streaming.cache.memory import MemoryCache
from streaming.cache.redis import RedisCache
from tests.support.redis import RedisServer, running_redis

ROOM = 1_000_000
TTL_S = 60.0
PATIENCE_S = 20.0


class Caches(ABC):
    """New caches, each empty, and the time that passes for them."""

    @abstractmethod
    def another(self, max_bytes: int = ROOM) -> Cache: ...

    @abstractmethod
    async def pass_time(self, seconds: float) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...


class MemoryCaches(Caches):
    def __init__(self) -> None:
        self._now = 1000.0

    def another(self, max_bytes: int = ROOM) -> Cache:
        return MemoryCache(max_bytes=max_bytes, ttl_s=TTL_S, clock=lambda: self._now)

    async def pass_time(self, seconds: float) -> None:
        self._now += seconds

    async def close(self) -> None:
        return


class RedisCaches(Caches):
    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._connection = RedisConnection(server.url, timeout_s=PATIENCE_S)

    def another(self, max_bytes: int = ROOM) -> Cache:
        return RedisCache(
            self._connection,
            ttl_s=TTL_S,
            max_value_bytes=max_bytes,
            prefix=f"{secrets.token_hex(4)}:",
        )

    async def pass_time(self, seconds: float) -> None:
        # Redis has no clock of ours: what it keeps comes that much closer to its end.
        with self._server.client() as client:
            for key in client.scan_iter():
                left_ms = client.pttl(key) - int(seconds * 1000)
                client.pexpire(key, left_ms)

    async def close(self) -> None:
        await self._connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
async def caches(request: pytest.FixtureRequest) -> AsyncIterator[Caches]:
    made: Caches = MemoryCaches()
    if request.param == "redis":
        made = RedisCaches(request.getfixturevalue("server"))
    yield made
    await made.close()


@pytest.fixture
def in_memory() -> MemoryCaches:
    return MemoryCaches()


async def held(cache: Cache, keys: list[str]) -> list[str]:
    """Return which of the keys are there."""
    return [key for key in keys if await cache.get(key) is not None]


async def test_what_was_never_put_is_not_there(caches: Caches) -> None:
    assert await caches.another().get("k") is None


@pytest.mark.parametrize("value", [b"", b"\x00", b"audio", bytes(range(256)) * 100])
async def test_a_value_comes_back_byte_for_byte(caches: Caches, value: bytes) -> None:
    cache = caches.another()

    await cache.put("k", value)

    assert [await cache.get("k"), await cache.get("k")] == [value, value]
    assert await cache.get("other") is None


async def test_a_second_value_replaces_the_first(caches: Caches) -> None:
    cache = caches.another()

    await cache.put("k", b"first")
    await cache.put("k", b"second")

    assert await cache.get("k") == b"second"


async def test_a_value_is_there_until_its_time_is_over(caches: Caches) -> None:
    cache = caches.another()
    await cache.put("k", b"v")

    await caches.pass_time(TTL_S - 10)
    before = await cache.get("k")
    await caches.pass_time(10)

    assert before == b"v"
    assert await cache.get("k") is None


async def test_reading_does_not_prolong_a_value_but_putting_it_again_does(
    caches: Caches,
) -> None:
    cache = caches.another()
    await cache.put("read", b"v")
    await cache.put("put again", b"v")

    await caches.pass_time(TTL_S / 2)
    await cache.get("read")
    await cache.put("put again", b"v")
    await caches.pass_time(TTL_S / 2)

    assert await held(cache, ["read", "put again"]) == ["put again"]


async def test_the_least_recently_used_make_room(in_memory: MemoryCaches) -> None:
    cache = in_memory.another(10_000)
    for key in "abcd":
        await cache.put(key, b"x" * 2_000)

    await cache.get("a")
    await cache.put("e", b"x" * 2_000)

    left = await held(cache, list("abcde"))
    assert "b" not in left
    assert {"a", "e"} <= set(left)


async def test_expired_values_make_room_before_living_ones(in_memory: MemoryCaches) -> None:
    cache = in_memory.another(10_000)
    await cache.put("old", b"x" * 4_000)
    await in_memory.pass_time(TTL_S - 1)
    await cache.put("young", b"x" * 4_000)
    await cache.get("old")

    await in_memory.pass_time(1)
    await cache.put("new", b"x" * 4_000)

    assert await held(cache, ["old", "young", "new"]) == ["young", "new"]


async def test_a_value_larger_than_the_cache_is_not_kept_and_evicts_nothing(
    caches: Caches,
) -> None:
    cache = caches.another(10_000)
    await cache.put("small", b"x" * 1_000)

    await cache.put("large", b"x" * 10_001)

    assert await held(cache, ["small", "large"]) == ["small"]


async def test_a_value_too_large_to_replace_the_old_one_removes_it(caches: Caches) -> None:
    cache = caches.another(10_000)
    await cache.put("k", b"old")

    await cache.put("k", b"x" * 10_001)

    assert await cache.get("k") is None


async def test_what_is_held_is_never_more_than_the_bound(in_memory: MemoryCaches) -> None:
    cache = in_memory.another(50_000)
    chance = random.Random(3)  # noqa: S311  # seeded, so that a failure can be repeated
    keys = [f"key {n}" for n in range(200)]

    for _ in range(1_000):
        await cache.put(chance.choice(keys), b"x" * chance.randrange(6_000))

    values = [await cache.get(key) for key in keys]
    total_bytes = sum(len(value) for value in values if value is not None)
    assert 25_000 < total_bytes <= 50_000


@pytest.mark.parametrize("key", ["", "ключ", "\ud800", "a\nb\x00c", "k" * 1_000])
async def test_any_text_is_a_key(caches: Caches, key: str) -> None:
    cache = caches.another()

    await cache.put(key, b"v")

    assert await cache.get(key) == b"v"


async def test_many_at_once_each_read_a_value_that_was_put_whole(caches: Caches) -> None:
    cache = caches.another(20_000)
    strange: list[bytes] = []

    async def use(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311  # seeded, so that a failure can be repeated
        for _ in range(50):
            key = f"k{chance.randrange(10)}"
            await cache.put(key, key.encode() * chance.randrange(1, 500))
            await checkpoint()
            value = await cache.get(f"k{chance.randrange(10)}")
            if value is not None and value != value[:2] * (len(value) // 2):
                strange.append(value)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for seed in range(20):
                tasks.start_soon(use, seed)

    assert strange == []


async def test_closing_twice_is_safe_and_a_closed_cache_raises_nothing(caches: Caches) -> None:
    cache = caches.another()
    await cache.put("k", b"v")

    await cache.close()
    await cache.close()

    assert await cache.get("k") is None
