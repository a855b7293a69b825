"""Moderated turns whose worker is gone: the next one goes on from what was checked and shown."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from history.model import TurnStatus
from streaming.turn import LiveTurn
from tests.streaming.event_log.workers import until, workers
from tests.streaming.harness import deltas, follow, opened_history
from tests.streaming.moderation.moderators import MarkModerator, checks_of
from tests.streaming.sites import Site
from tests.support.redis import RedisServer, running_redis
from tests.support.sources import STOP, ScriptedTokenSource, StallingTokenSource

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.mark.parametrize(
    ("rest", "shown", "code"),
    [
        (" Two is fine. Three.", "One is said. Two is fine. Three.", None),
        (" Two is BAD. Three.", "One is said.", "content_blocked"),
        (" and BAD it is. Three.", "One is said.", "content_blocked"),
    ],
)
async def test_a_lost_turn_goes_on_behind_the_gate(
    server: RedisServer, tmp_path: Path, rest: str, *, shown: str, code: str | None
) -> None:
    lost = StallingTokenSource(["One is said. ", "Two is ne", "ver shown"])
    next_one = ScriptedTokenSource([*(rest[at : at + 5] for at in range(0, len(rest), 5)), STOP])
    async with opened_history(tmp_path) as history, workers(server.url, "a", "b") as shared:
        a, b = (
            Site(worker, history, source, checks=checks_of(MarkModerator()))
            for worker, source in zip(shared, (lost, next_one), strict=True)
        )
        a.moderation = b.moderation = "block"
        async with anyio.create_task_group() as tasks:
            await tasks.start(a.run)
            await tasks.start(b.run)
            turn = await a.start()
            await lost.until_stalled()
            await until(partial(_is_shown, turn))
            await a.share()
            await a.lose(turn.spec.turn_id)
            await b.take()
            events = await follow(b.worker.log, turn.spec.turn_id)
            record = await b.record(turn.spec.turn_id)
            tasks.cancel_scope.cancel()

    assert next_one.asked[0].prefix == "One is said."
    assert deltas(events) == events[-1].data["text"] == record.text == shown
    assert events[-1].data.get("code") == code
    assert record.status is (TurnStatus.COMPLETED if code is None else TurnStatus.FAILED)


async def _is_shown(turn: LiveTurn) -> bool:
    return turn.draft.length > 0
