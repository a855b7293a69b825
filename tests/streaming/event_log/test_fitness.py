"""A Redis that cannot keep logs is told of at the start."""

from collections.abc import Iterator

import pytest

from streaming.event_log.redis.fitness import faults_told, unfit
from tests.streaming.event_log.workers import claim, until, workers
from tests.support.redis import RedisServer, running_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.mark.parametrize(
    ("limit", "policy", "is_fit"),
    [
        ("0", "allkeys-lru", True),
        ("100mb", "noeviction", True),
        ("100mb", "allkeys-lru", False),
        ("100mb", "volatile-lru", False),
    ],
)
async def test_a_redis_that_would_drop_logs_is_named(
    server: RedisServer, limit: str, policy: str, is_fit: bool
) -> None:
    configure(server, limit, policy)

    async with workers(server.url, "a") as (a,):
        assert [policy in each for each in await unfit(a.connection)] == [True] * (not is_fit)


async def test_what_is_wrong_with_a_redis_is_told_once_it_is_there(
    server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(server, "100mb", "allkeys-lru")

    async with workers(server.url, "a"):
        await until(lambda: claim("event_log.redis_unfit" in capsys.readouterr().out))


def configure(server: RedisServer, limit: str, policy: str) -> None:
    with server.client() as client:
        client.config_set("maxmemory", limit)
        client.config_set("maxmemory-policy", policy)


async def test_a_redis_that_is_not_there_is_not_judged() -> None:
    async with workers("redis://127.0.0.1:1/0", "a") as (a,):
        assert await unfit(a.connection) == []


@pytest.mark.parametrize(
    ("version", "is_fit"), [("5.0.14", False), ("6.0.20", False), ("6.2.0", True), ("7.4.1", True)]
)
def test_a_redis_that_is_too_old_is_named(version: str, is_fit: bool) -> None:
    told = {"redis_version": version, "maxmemory": 0, "maxmemory_policy": "noeviction"}

    assert [version in each for each in faults_told(told)] == [True] * (not is_fit)
