"""Ends the turns whose worker is gone: no turn stays `running` without one.

A turn is silent when its heartbeat is older than `SILENT_AFTER_S`; workers write one at least every
`keeper.HEARTBEAT_EVERY_S` seconds. The end is guarded by the epoch, so of two reapers one wins.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from history.base import History
from history.errors import TurnNotFoundError
from streaming.ending import interrupted_end

log = structlog.get_logger(__name__)

SILENT_AFTER_S = 10.0
"""More than three heartbeats: a worker that is slow is not taken for dead."""

REAP_EVERY_S = 5.0


async def reap(
    history: History, *, is_ours: Callable[[str], bool], silent_after_s: float | None
) -> int:
    """Interrupt running turns that nobody runs; return how many.

    Args:
        history: The record.
        is_ours: Whether this process runs a turn, or still has its end to store.
        silent_after_s: Seconds of silence; None takes every running turn, which is right at the
            start of the only process that uses the store.

    Raises:
        HistoryUnavailableError: try again in the next round.
    """
    now = datetime.now(UTC)
    since = None if silent_after_s is None else now - timedelta(seconds=silent_after_s)
    reaped = 0
    for record in await history.turns.find_running(silent_since=since):
        if is_ours(record.turn_id):
            continue
        end = interrupted_end(record, at=now)
        try:
            stored = await history.turns.end(end)
        except TurnNotFoundError:
            continue
        if (stored.status, stored.epoch) == (end.status, end.epoch):  # else its worker was faster
            reaped += 1
            log.warning("turn.reaped", turn_id=record.turn_id, chars=len(record.text))
    return reaped
