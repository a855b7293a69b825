"""What every cache promises: bytes for a while, bounded, and never an error."""

import random
from collections.abc import Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from streaming.cache.base import Cache
from streaming.cache.memory import MemoryCache

ROOM = 1_000_000
TTL_S = 60.0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


NewCache = Callable[..., Cache]


def _memory(
    *, max_bytes: int = ROOM, ttl_s: float = TTL_S, clock: Callable[[], float] | None = None
) -> Cache:
    return MemoryCache(max_bytes=max_bytes, ttl_s=ttl_s, clock=clock or Clock())


@pytest.fixture(params=[_memory], ids=["memory"], scope="module")
def new_cache(request: pytest.FixtureRequest) -> NewCache:
    made: NewCache = request.param
    return made


async def held(cache: Cache, keys: list[str]) -> list[str]:
    """Return which of the keys are there."""
    return [key for key in keys if await cache.get(key) is not None]


async def test_what_was_never_put_is_not_there(new_cache: NewCache) -> None:
    assert await new_cache().get("k") is None


@pytest.mark.parametrize("value", [b"", b"\x00", b"audio", bytes(range(256)) * 100])
async def test_a_value_comes_back_byte_for_byte(new_cache: NewCache, value: bytes) -> None:
    cache = new_cache()

    await cache.put("k", value)

    assert [await cache.get("k"), await cache.get("k")] == [value, value]
    assert await cache.get("other") is None


async def test_a_second_value_replaces_the_first(new_cache: NewCache) -> None:
    cache = new_cache()

    await cache.put("k", b"first")
    await cache.put("k", b"second")

    assert await cache.get("k") == b"second"


async def test_a_value_is_there_until_its_time_is_over(new_cache: NewCache) -> None:
    clock = Clock()
    cache = new_cache(clock=clock)
    await cache.put("k", b"v")

    clock.now += TTL_S - 1
    before = await cache.get("k")
    clock.now += 1

    assert before == b"v"
    assert await cache.get("k") is None


async def test_reading_does_not_prolong_a_value_but_putting_it_again_does(
    new_cache: NewCache,
) -> None:
    clock = Clock()
    cache = new_cache(clock=clock)
    await cache.put("read", b"v")
    await cache.put("put again", b"v")

    clock.now += TTL_S / 2
    await cache.get("read")
    await cache.put("put again", b"v")
    clock.now += TTL_S / 2

    assert await held(cache, ["read", "put again"]) == ["put again"]


async def test_the_least_recently_used_make_room(new_cache: NewCache) -> None:
    cache = new_cache(max_bytes=10_000)
    for key in "abcd":
        await cache.put(key, b"x" * 2_000)

    await cache.get("a")
    await cache.put("e", b"x" * 2_000)

    left = await held(cache, list("abcde"))
    assert "b" not in left
    assert {"a", "e"} <= set(left)


async def test_expired_values_make_room_before_living_ones(new_cache: NewCache) -> None:
    clock = Clock()
    cache = new_cache(max_bytes=10_000, clock=clock)
    await cache.put("old", b"x" * 4_000)
    clock.now += TTL_S - 1
    await cache.put("young", b"x" * 4_000)
    await cache.get("old")

    clock.now += 1
    await cache.put("new", b"x" * 4_000)

    assert await held(cache, ["old", "young", "new"]) == ["young", "new"]


async def test_a_value_larger_than_the_cache_is_not_kept_and_evicts_nothing(
    new_cache: NewCache,
) -> None:
    cache = new_cache(max_bytes=10_000)
    await cache.put("small", b"x" * 1_000)

    await cache.put("large", b"x" * 10_001)

    assert await held(cache, ["small", "large"]) == ["small"]


async def test_a_value_too_large_to_replace_the_old_one_removes_it(new_cache: NewCache) -> None:
    cache = new_cache(max_bytes=10_000)
    await cache.put("k", b"old")

    await cache.put("k", b"x" * 10_001)

    assert await cache.get("k") is None


async def test_what_is_held_is_never_more_than_the_bound(new_cache: NewCache) -> None:
    cache = new_cache(max_bytes=50_000)
    chance = random.Random(3)  # noqa: S311  # seeded, so that a failure can be repeated
    keys = [f"key {n}" for n in range(200)]

    for _ in range(1_000):
        await cache.put(chance.choice(keys), b"x" * chance.randrange(6_000))

    values = [await cache.get(key) for key in keys]
    total_bytes = sum(len(value) for value in values if value is not None)
    assert 25_000 < total_bytes <= 50_000


@pytest.mark.parametrize("key", ["", "ключ", "\ud800", "a\nb\x00c", "k" * 1_000])
async def test_any_text_is_a_key(new_cache: NewCache, key: str) -> None:
    cache = new_cache()

    await cache.put(key, b"v")

    assert await cache.get(key) == b"v"


async def test_many_at_once_each_read_a_value_that_was_put_whole(new_cache: NewCache) -> None:
    cache = new_cache(max_bytes=20_000)
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


async def test_closing_twice_is_safe_and_a_closed_cache_raises_nothing(new_cache: NewCache) -> None:
    cache = new_cache()
    await cache.put("k", b"v")

    await cache.close()
    await cache.close()

    assert await cache.get("k") is None
