"""A Redis for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.support.redis import RedisServer, running_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, to be killed."""
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def direct(server: RedisServer) -> Iterator[Redis]:
    with server.client() as client:
        client.flushall()
        yield client
