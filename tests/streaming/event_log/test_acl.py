"""What docs/redis-keys.md says that an ACL has to allow is enough."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streaming.event_log.redis import attendance
from tests.streaming.event_log.workers import (
    END,
    TURN,
    claim,
    places,
    read_to_end,
    say,
    until,
    workers,
)
from tests.support.redis import RedisServer, running_redis

pytestmark = pytest.mark.services

PAGE = Path(__file__).parents[3] / "docs/redis-keys.md"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as redis:
        yield redis


def rules() -> list[str]:
    """Return what the page says of the event log."""
    section = PAGE.read_text(encoding="utf-8").partition("## Event log")[2].partition("\n## ")[0]
    told = re.search(r"Needed of an ACL: `([^`]+)`", section)
    assert told is not None
    return told.group(1).split()


async def test_a_user_with_these_rules_writes_reads_tells_and_takes_over(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendance, "LISTENED_S", 0.0)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "chat", "on", ">secret", *rules())

    async with workers(f"redis://chat:secret@127.0.0.1:{server.port}/0", "a", "b") as (a, b):
        writer = a.log.create(TURN)
        say(writer, 5)
        await until(lambda: claim(writer.flushed == 5))  # past what connecting takes
        reader = await b.reader()
        assert await b.leases.tell(TURN, b"cancel")
        await b.leases.tell_readers(read=[TURN], left=[TURN], for_s=1.0)

        async def is_told() -> bool:
            await a.leases.overdue()
            await b.leases.overdue()
            return a.commands == [(TURN, b"cancel")]

        await until(is_told)
        a.pause()

        async def is_overdue() -> bool:
            return TURN in await b.leases.overdue()

        await until(is_overdue)
        taken = await b.take(last_seq=5)
        taken.writer.append(END)
        taken.writer.close()

        assert await read_to_end(reader) == ([*places(1, 1, 5), *places(2, 6, 6)], False)
        await b.leases.unlist(TURN)

    with server.client() as client:
        denied = client.execute_command("ACL", "LOG")
    assert denied == []
