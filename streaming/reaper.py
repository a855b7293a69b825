"""Ends the turns whose worker is gone: no turn stays `running` without one.

A turn is silent when its heartbeat is older than `SILENT_AFTER_S`; workers write one at least every
`keeper.HEARTBEAT_EVERY_S` seconds. The end is guarded by the epoch, so of two reapers one wins.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog

from history.base import History
from history.errors import TurnNotFoundError
from history.model import TurnRecord
from streaming.ending import interrupted_end

log = structlog.get_logger(__name__)

SILENT_AFTER_S = 10.0
"""More than three heartbeats: a worker that is slow is not taken for dead."""

REAP_EVERY_S = 5.0

WATCHED_S = 15.0
"""Five heartbeats: whoever changes nothing for so long writes none."""


class SilenceWatch:
    """Tells which turns show no life while somebody looks on, whatever the clocks say.

    A heartbeat is told by the clock of its worker, and may be an hour off ours.

    Args:
        watched_s: Seconds for which a record must not change.
    """

    def __init__(self, watched_s: float = WATCHED_S) -> None:
        self._watched_s = watched_s
        self._seen: dict[str, tuple[tuple[object, ...], float]] = {}

    def silent(self, records: Sequence[TurnRecord]) -> list[TurnRecord]:
        """Return those that have not changed; of others than these nothing is remembered."""
        now, before = monotonic(), self._seen
        self._seen = {}
        for record in records:
            life = (record.epoch, record.last_seq, record.heartbeat_at)
            known, since = before.get(record.turn_id, (life, now))
            self._seen[record.turn_id] = life, since if known == life else now
        return [each for each in records if now - self._seen[each.turn_id][1] >= self._watched_s]


async def reap(
    history: History,
    *,
    is_ours: Callable[[str], bool],
    silent_after_s: float | None,
    watch: SilenceWatch | None = None,
    on_reaped: Callable[[TurnRecord], None] = lambda _: None,
) -> int:
    """Interrupt running turns that nobody runs; return how many.

    Args:
        history: The record.
        is_ours: Whether this process runs a turn, or still has its end to store.
        silent_after_s: Seconds of silence; None takes every running turn, which is right at the
            start of the only process that uses the store.
        watch: Has to have seen the silence, too: other processes, with clocks of their own, may
            run turns.
        on_reaped: Told of each turn that ended so, as it was before; must neither wait nor raise.

    Raises:
        HistoryUnavailableError: try again in the next round.
    """
    now = datetime.now(UTC)
    since = None if silent_after_s is None else now - timedelta(seconds=silent_after_s)
    reaped = 0
    records = await history.turns.find_running(silent_since=since)
    for record in records if watch is None else watch.silent(records):
        if is_ours(record.turn_id):
            continue
        end = interrupted_end(record, at=now)
        try:
            stored = await history.turns.end(end)
        except TurnNotFoundError:
            continue
        if (stored.status, stored.epoch) == (end.status, end.epoch):  # else its worker was faster
            reaped += 1
            on_reaped(record)
            log.warning("turn.reaped", turn_id=record.turn_id, chars=len(record.text))
    return reaped
