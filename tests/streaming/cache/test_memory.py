"""The cache in memory: what it counts is what it costs, and its bound holds at every step."""

import gc
import secrets
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.cache.memory import ENTRY_OVERHEAD_BYTES, MemoryCache

TTL_S = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_keys_and_entries_count_too() -> None:
    cache = MemoryCache(max_bytes=100_000, ttl_s=TTL_S)

    await cache.put("ключ", b"12345")

    assert cache.held_bytes == 8 + 5 + ENTRY_OVERHEAD_BYTES


async def test_a_value_fits_exactly_or_not_at_all() -> None:
    exact = MemoryCache(max_bytes=1 + 100 + ENTRY_OVERHEAD_BYTES, ttl_s=TTL_S)

    await exact.put("a", b"x" * 100)
    kept = await exact.get("a")
    await exact.put("a", b"x" * 101)

    assert kept is not None
    assert (await exact.get("a"), exact.held_bytes) == (None, 0)


async def test_expired_values_are_let_go_by_the_next_put() -> None:
    clock = Clock()
    cache = MemoryCache(max_bytes=100_000, ttl_s=TTL_S, clock=clock)
    for n in range(20):
        await cache.put(f"k{n:02}", b"x" * 1_000)

    clock.now += TTL_S
    await cache.put("new", b"")

    assert cache.held_bytes == 3 + ENTRY_OVERHEAD_BYTES


async def test_a_closed_cache_holds_nothing() -> None:
    cache = MemoryCache(max_bytes=100_000, ttl_s=TTL_S)
    await cache.put("k", b"v")

    await cache.close()

    assert cache.held_bytes == 0


@pytest.mark.parametrize("size_bytes", [0, 10_000])
async def test_what_is_counted_covers_what_python_really_holds(size_bytes: int) -> None:
    cache = MemoryCache(max_bytes=10_000_000, ttl_s=TTL_S)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(500):
            await cache.put(secrets.token_hex(32), secrets.token_bytes(size_bytes))
        held_bytes = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert held_bytes <= cache.held_bytes


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.integers(0, 3_000) | st.none(),
        st.sampled_from([0.0, 1.0, TTL_S / 2, TTL_S]),
    ),
    max_size=60,
)


@given(STEPS)
async def test_it_never_invents_a_value_and_never_breaks_its_bound(
    steps: list[tuple[str, int | None, float]],
) -> None:
    clock = Clock()
    cache = MemoryCache(max_bytes=6_000, ttl_s=TTL_S, clock=clock)
    latest: dict[str, tuple[bytes, float]] = {}

    for key, size_bytes, passes_s in steps:
        clock.now += passes_s
        if size_bytes is None:
            found = await cache.get(key)
            value, put_at = latest.get(key, (b"", -TTL_S))
            assert found is None or (found == value and clock.now < put_at + TTL_S)
        else:
            latest[key] = (key.encode() * size_bytes, clock.now)
            await cache.put(key, latest[key][0])
            assert await cache.get(key) == latest[key][0]
        assert cache.held_bytes <= 6_000
