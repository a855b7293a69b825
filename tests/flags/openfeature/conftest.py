"""A Redis for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis import RedisServer, running_redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder) as server:
        yield server
