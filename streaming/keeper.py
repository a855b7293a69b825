"""Keeps the record of the turns that run here: checkpoints while they run, and their ends.

What history cannot be told now is told later: an end is kept and retried until it holds.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from time import monotonic

import anyio
import structlog

from history.base import History
from history.errors import HistoryError, HistoryUnavailableError
from history.model import Checkpoint, TurnEnd, TurnRecord, TurnSeal
from metrics.turns import TurnMetrics
from streaming.ending import FENCED
from streaming.turn import Interrupted, LiveTurn

log = structlog.get_logger(__name__)

CHECKPOINT_EVERY_S = 0.9
"""With the write itself under a second: what a restart finds is at most 1 s old."""

HEARTBEAT_EVERY_S = 3.0
"""A silent turn's sign of life; well under `reaper.SILENT_AFTER_S`."""

_NEXT_SIGN = timedelta(milliseconds=1)

RETRY_EVERY_S = 1.0

SETTLE_EVERY_S = 0.2
"""The pace of retries while a process that is leaving waits for them."""


class RecordKeeper:
    """Writes the record; never raises, whatever the store does.

    Bound: an end or a seal that is not stored takes the place of the live turn it was, and no turn
    starts while history cannot be reached, so there are at most as many as may run at once.
    """

    def __init__(self, history: History, metrics: TurnMetrics) -> None:
        self._history = history
        self._metrics = metrics
        self._unstored: dict[str, TurnEnd] = {}
        self._unsealed: dict[str, TurnSeal] = {}
        self._signed_at = datetime.now(UTC)

    def unstored(self, turn_id: str) -> TurnEnd | None:
        """Return the end of a turn that history could not be told of yet."""
        return self._unstored.get(turn_id)

    @property
    def unstored_count(self) -> int:
        """Ends that wait for the store."""
        return len(self._unstored)

    async def store_end(self, end: TurnEnd) -> TurnRecord | None:
        """Return the record as it now is; None where history was not told."""
        record = None
        try:
            record = await self._history.turns.end(end)
        except HistoryUnavailableError:
            self._metrics.history_failed("end")
            self._unstored.pop(end.turn_id, None)
            self._unstored[end.turn_id] = end  # last in line: it may be this one that fails
            log.warning("turn.unstored", turn_id=end.turn_id)
            return None
        except HistoryError:  # the conversation was deleted meanwhile: nothing to keep
            log.info("turn.unwanted", turn_id=end.turn_id)
        except Exception:  # a bug, here or there; the reaper will free the record
            self._metrics.history_failed("end")
            log.exception("turn.unstorable", turn_id=end.turn_id)
        self._unstored.pop(end.turn_id, None)
        return record

    async def seal(self, seal: TurnSeal) -> None:
        """Tell history what a spoken turn's log came to; after its end, now or later."""
        self._unsealed[seal.turn_id] = seal
        if seal.turn_id not in self._unstored:
            await self._tell_seal(seal)

    async def _tell_seal(self, seal: TurnSeal) -> None:
        try:
            await self._history.turns.seal(seal)
        except HistoryUnavailableError:
            self._metrics.history_failed("seal")
            return
        except Exception:  # a bug, here or there; the answer itself is stored
            self._metrics.history_failed("seal")
            log.exception("turn.unsealable", turn_id=seal.turn_id)
        self._unsealed.pop(seal.turn_id, None)

    async def retry_ends(self) -> None:
        """Tell history of the ends it has missed; stops at the first that still fails."""
        for end in list(self._unstored.values()):
            record = await self.store_end(end)
            if end.turn_id in self._unstored:
                return
            if record is not None:
                log.info("turn.stored_late", turn_id=end.turn_id)
        for seal in list(self._unsealed.values()):
            await self._tell_seal(seal)
            if seal.turn_id in self._unsealed:
                return

    async def settle(self) -> None:
        """Retry until every end is stored; whoever waits bounds it."""
        await self.retry_ends()
        while self._unstored or self._unsealed:
            await anyio.sleep(SETTLE_EVERY_S)
            await self.retry_ends()

    async def checkpoint(self, turns: Iterable[LiveTurn]) -> None:
        """Write what has grown since the last time, and now and then a sign of life."""
        now = monotonic()
        silent_since = now - HEARTBEAT_EVERY_S
        due = {
            turn.spec.turn_id: turn
            for turn in turns
            if turn.checkpointed != turn.draft.length or turn.checkpointed_at < silent_since
        }
        if not due:
            return
        # Also by a clock that was set back each sign of life is a new one: the record takes later
        # ones only.
        self._signed_at = max(datetime.now(UTC), self._signed_at + _NEXT_SIGN)
        batch = [_checkpoint(turn, now, self._signed_at) for turn in due.values()]
        try:
            lost = await self._history.turns.checkpoint(batch)
        except HistoryUnavailableError:
            self._metrics.history_failed("checkpoint")
            for turn in due.values():
                turn.checkpointed = -1  # due again in the next round
            return
        for turn_id in lost:  # fenced: the record is somebody else's, or gone
            due[turn_id].stop(Interrupted(FENCED))


def _checkpoint(turn: LiveTurn, now: float, at: datetime) -> Checkpoint:
    # Invariant: text and cursor are read together, with no await between.
    turn.checkpointed, turn.checkpointed_at = turn.draft.length, now
    cursor = turn.writer.cursor
    return Checkpoint(
        turn_id=turn.spec.turn_id,
        epoch=cursor.epoch,
        last_seq=cursor.seq,
        text=turn.draft.text,
        at=at,
    )
