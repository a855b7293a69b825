"""What docs/redis-keys.md says that an ACL has to allow is enough."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics.archive.base import MINUTE, Charted
from metrics.delta import Delta
from metrics.histogram import COARSE_BOUNDS
from metrics.redis.archive import RedisArchive
from metrics.redis.window import RedisWindow
from storage.redis import RedisConnection
from tests.support.redis import RedisServer, running_redis

pytestmark = pytest.mark.services

PAGE = Path(__file__).parents[3] / "docs/redis-keys.md"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as redis:
        yield redis


def section() -> str:
    """Return what the page says of figures."""
    return PAGE.read_text(encoding="utf-8").partition("## Figures")[2].partition("\n## ")[0]


async def test_a_user_with_these_rules_shares_and_archives_and_uses_no_other_keys(
    server: RedisServer,
) -> None:
    told = re.search(r"Needed of an ACL: `([^`]+)`", section())
    assert told is not None
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "chat", "on", ">secret", *told.group(1).split())
    connection = RedisConnection(f"redis://chat:secret@127.0.0.1:{server.port}/0", timeout_s=20)
    window, archive = RedisWindow(connection, worker_id="w"), RedisArchive(connection)
    figures = Delta(COARSE_BOUNDS)
    figures.count("started.on")

    for _ in range(2):
        window.count("turns")
        await window.flush()
    await window.leave()
    await archive.add([Charted("w", 1, 0.0, figures)])

    assert (window.behind_s, window.read().count("turns")) == (0, 2)
    assert len(await archive.read(MINUTE, 2)) == 1
    await connection.close()
    documented = set(re.findall(r"`({metrics}:[a-z_:]+)", section()))
    with server.client(decode_responses=True) as client:
        used = {re.sub(r"\d+$|(?<=:)w$", "", key) for key in client.scan_iter()}
    assert used <= documented
