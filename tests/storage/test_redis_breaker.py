"""A Redis that keeps failing is left alone for a moment, and found again; refusals are answers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from resilience.breaker import Breaker, BreakerState
from storage.redis import RedisConnection, ask
from tests.storage.redis_calls import LIMIT_S, get, put, refusal, until_served
from tests.support.redis import RedisServer, running_redis

pytestmark = pytest.mark.services

FAILURES = 3
TIMEOUT_S = 0.3
LEFT_ALONE = "Redis keeps failing and is left alone for a moment"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as redis:
        yield redis


@asynccontextmanager
async def opened(url: str, open_s: float) -> AsyncIterator[tuple[RedisConnection, Breaker]]:
    breaker = Breaker("redis", failures=FAILURES, open_s=open_s, max_open_s=open_s)
    connection = RedisConnection(url, timeout_s=TIMEOUT_S, breaker=breaker)
    try:
        yield connection, breaker
    finally:
        await connection.close()


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "stopped"])
async def test_a_lost_redis_is_left_alone_after_some_failures_and_found_again(
    server: RedisServer, is_killed: bool
) -> None:
    async with opened(server.url, open_s=0.2) as (connection, breaker):
        await put(connection, "key", "value")
        server.kill() if is_killed else server.pause()
        told = [await refusal(lambda: get(connection, "key")) for _ in range(FAILURES + 1)]
        is_open = breaker.state is BreakerState.OPEN
        server.restart() if is_killed else server.resume()
        await until_served(lambda: get(connection, "key"))

    assert LEFT_ALONE not in told[:FAILURES]
    assert told[FAILURES] == LEFT_ALONE
    assert is_open
    assert breaker.state is BreakerState.CLOSED


async def test_what_redis_refuses_shows_that_it_is_there(server: RedisServer) -> None:
    async with opened(server.url, open_s=60) as (connection, breaker):
        await put(connection, "key", "text")
        for _ in range(2 * FAILURES):
            assert "WRONGTYPE" in await refusal(lambda: _push(connection))
        await get(connection, "key")

    assert breaker.snapshot().failures == 0


async def test_a_call_that_is_given_little_time_says_nothing_of_redis(server: RedisServer) -> None:
    async with opened(server.url, open_s=60) as (connection, breaker):
        await put(connection, "key", "text")
        server.pause()
        for _ in range(2 * FAILURES):
            await refusal(lambda: _hurry(connection))
        server.resume()
        with anyio.fail_after(LIMIT_S):
            await until_served(lambda: get(connection, "key"))

    assert breaker.state is BreakerState.CLOSED


async def test_in_a_cluster_one_lost_node_leaves_nothing_alone() -> None:
    breaker = Breaker("redis", failures=1, open_s=60)
    connection = RedisConnection("redis+cluster://127.0.0.1:1", timeout_s=0.2, breaker=breaker)
    for _ in range(2):
        assert await refusal(lambda: get(connection, "key")) != LEFT_ALONE
    await connection.close()

    assert breaker.state is BreakerState.CLOSED


async def _push(connection: RedisConnection) -> None:
    async with connection.call() as client:
        await ask(client, "RPUSH", "key", "value")


async def _hurry(connection: RedisConnection) -> None:
    async with connection.call(TIMEOUT_S / 20) as client:
        await ask(client, "GET", "key")
