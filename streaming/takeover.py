"""Turns whose worker is gone: gone on with here, begun anew, or ended.

A worker that dies stops renewing its leases; whoever takes one first goes on with the turn in the
next epoch, from what the shared log holds, and what the record has beyond it. Of a log that lost
entries the record's text is what counts. Where the shared log cannot be reached nothing is taken: a
lease cannot be judged then.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import anyio
import structlog

from history.base import History
from history.errors import HistoryError, TurnNotFoundError
from history.model import Checkpoint, TurnRecord, TurnStatus
from streaming.draft import Draft
from streaming.ending import end_from_terminal, interrupted_end, terminal_from_record
from streaming.errors import (
    BusyError,
    DrainingError,
    LogUnavailableError,
    SpecificationError,
    SpecificationLostError,
)
from streaming.event_log.base import OVERDUE_AT_ONCE, Leases, Taken
from streaming.event_log.replay import Replayed, replay
from streaming.events import TextDelta, TurnReset
from streaming.runner import TurnRunner
from streaming.turn import Interrupted, LiveTurn, TurnSpec

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.5
LOOK_FOR_SILENT_EVERY_S = 1.0
SILENT_AFTER_S = 5.0
"""A turn without any lease is taken once its record is so silent: its worker died before it had
told Redis of it, or Redis lost its data. A worker that lives has its lease, and is left alone."""

WORKER_LOST = "worker_lost"
LOG_LOST = "log_lost"
"""Why readers are reset where the shared log lost entries."""

_AT_ONCE = 20
"""Takeovers side by side in this process."""

_AGAIN_S = 1.0
"""A turn that a store keeps from being gone on with may be taken again after that."""


@dataclass(frozen=True, slots=True)
class TakeoverLimits:
    """`max_takeovers` of one turn; none is taken over that began longer ago than `max_age_s`."""

    max_takeovers: int
    max_age_s: float


class Takeovers:
    """Looks for turns whose lease has run out, and takes them.

    Args:
        history: The record.
        leases: Who holds what.
        runner: Runs turns here.
        specify: Makes a turn's specification anew from its record, or raises `SpecificationError`.
        limits: How often, and how old.
        on_taken: Told of each turn that was taken.
    """

    def __init__(
        self,
        history: History,
        leases: Leases,
        runner: TurnRunner,
        *,
        specify: Callable[[TurnRecord], Awaitable[TurnSpec]],
        limits: TakeoverLimits,
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        self._history = history
        self._leases = leases
        self._runner = runner
        self._specify = specify
        self._limits = limits
        self._on_taken = on_taken

    async def look(self) -> int:
        """Take what may be taken now; return how many.

        Raises:
            LogUnavailableError, HistoryUnavailableError: try again in the next round.
        """
        taken, found = 0, await self._leases.overdue()
        while now := await self._rescue_all(found):
            taken += now
            if len(found) < OVERDUE_AT_ONCE:
                break
            found = await self._leases.overdue()  # of hundreds none waits for the next round
        return taken

    async def look_for_silent(self) -> int:
        """Take turns that have no lease at all; for a shared log that lost its data."""
        since = datetime.now(UTC) - timedelta(seconds=SILENT_AFTER_S)
        silent = await self._history.turns.find_running(silent_since=since)
        return await self._rescue_all([record.turn_id for record in silent])

    async def _rescue_all(self, turn_ids: Sequence[str]) -> int:
        """Rescue what does not run here, as long as this process takes turns.

        Side by side: a worker that dies may leave hundreds, and each takes several round trips.
        """
        taken: list[str] = []
        errors: list[Exception] = []
        places = anyio.CapacityLimiter(_AT_ONCE)

        async def rescue(turn_id: str) -> None:
            try:
                async with places:
                    if await self._rescue_one(turn_id):
                        taken.append(turn_id)
            except (HistoryError, LogUnavailableError) as error:
                errors.append(error)
            except Exception:  # a bug may cost this turn, not those beside it
                log.exception("turn.takeover_failed", turn_id=turn_id)

        async with anyio.create_task_group() as tasks:
            for turn_id in turn_ids:
                tasks.start_soon(rescue, turn_id)
        if errors:
            raise errors[0]
        return len(taken)

    async def _rescue_one(self, turn_id: str) -> bool:
        if self._runner.is_ours(turn_id):
            return False
        try:
            with self._runner.admission():
                return await self._rescue(turn_id)
        except (DrainingError, BusyError):  # others take the rest
            return False
        except SpecificationError as error:
            log.info("turn.not_taken_yet", turn_id=turn_id, reason=str(error))
            return False

    async def _rescue(self, turn_id: str) -> bool:
        try:
            record = await self._history.turns.find(turn_id)
        except TurnNotFoundError:  # deleted with its conversation
            await self._leases.unlist(turn_id)
            return False
        turn: LiveTurn | None = None
        is_lost = False

        def lost() -> None:
            nonlocal is_lost
            is_lost = True
            if turn is not None:
                turn.lose()

        taken = await self._leases.take(
            turn_id, epoch=record.epoch, last_seq=record.last_seq, on_lost=lost
        )
        if taken is None:
            return False
        try:
            turn = await self._go_on_or_end(record, taken)
        except BaseException as error:  # else this process would keep a lease and run no turn
            taken.writer.abandon()
            if isinstance(error, HistoryError | SpecificationError):  # that is not the turn's fault
                epoch = taken.writer.cursor.epoch
                await self._leases.release(turn_id, epoch, after_s=_AGAIN_S)
            raise
        if turn is not None and is_lost:  # before there was a turn to tell
            turn.lose()
        log.warning(
            "turn.taken_over",
            turn_id=turn_id,
            epoch=taken.writer.cursor.epoch,
            last_seq=taken.writer.cursor.seq,
            takeovers=taken.takeovers + 1,
            status=record.status.value,
        )
        self._on_taken()
        return True

    async def _go_on_or_end(self, record: TurnRecord, taken: Taken) -> LiveTurn | None:
        state = replay(taken.frames, first_seq=taken.base + 1)
        if state.terminal is not None:
            await self._store_end(record, taken, state.terminal)
        elif record.status is not TurnStatus.RUNNING:
            _tell_end(taken, state, record)
        else:
            return await self._go_on(record, taken, state)
        return None

    async def _store_end(
        self, record: TurnRecord, taken: Taken, terminal: tuple[str, Mapping[str, object]]
    ) -> None:
        """Tell the record an end that its worker told readers, but could not store."""
        if record.status is TurnStatus.RUNNING:
            end = end_from_terminal(record, *terminal, last=taken.writer.cursor)
            await self._history.turns.end(end)
        taken.writer.close()

    async def _go_on(self, record: TurnRecord, taken: Taken, state: Replayed) -> LiveTurn | None:
        missing = _missing_text(record, taken, state)
        if missing is None or not record.streaming:
            state = _from_record(record)
        cursor, text = taken.writer.cursor, state.draft.text + (missing or "")
        fence = Checkpoint(record.turn_id, cursor.epoch, cursor.seq, text, datetime.now(UTC))
        if await self._history.turns.checkpoint([fence]):
            taken.writer.abandon()  # ended or taken meanwhile: the next round sees how
            return None
        if missing is None:
            reset = TurnReset(text, LOG_LOST, state.sentence, state.speech)
            state.draft.restart(text, taken.writer.append(reset))
        elif missing:
            state.draft.add(missing, taken.writer.append(TextDelta(missing)))
        if taken.takeovers > self._limits.max_takeovers:  # not even its end came of it
            await self._interrupt(record, taken, state)
            return None
        try:
            spec = await self._specify(record)
        except SpecificationLostError as error:
            log.warning("turn.given_up", turn_id=record.turn_id, reason=str(error))
            await self._interrupt(record, taken, state)
            return None
        is_stopped = spec.on_break == "interrupt" and state.draft.length > 0
        may_go_on = self._may_go_on(record, taken) and not is_stopped
        stop = None if may_go_on else Interrupted(WORKER_LOST)
        return self._runner.resume(spec, taken.writer, state, stop=stop)

    def _may_go_on(self, record: TurnRecord, taken: Taken) -> bool:
        age_s = (datetime.now(UTC) - record.started_at).total_seconds()
        limits = self._limits
        return taken.takeovers < limits.max_takeovers and age_s <= limits.max_age_s

    async def _interrupt(self, record: TurnRecord, taken: Taken, state: Replayed) -> None:
        """End a turn that nobody can go on with, with the text it has."""
        cursor, text = taken.writer.cursor, state.draft.text
        end = interrupted_end(replace(record, text=text), at=datetime.now(UTC))
        mine = replace(
            end, expected_epoch=cursor.epoch, epoch=cursor.epoch, last_seq=cursor.seq + 1
        )
        stored = await self._history.turns.end(mine)
        if stored.status is TurnStatus.RUNNING:  # taken meanwhile
            taken.writer.abandon()
        else:
            _tell_end(taken, state, stored)


def _missing_text(record: TurnRecord, taken: Taken, state: Replayed) -> str | None:
    """Return what the record has of the text and the log has not; None: the log cannot go on.

    A worker that dies may have told the record of words that it had not shared yet.
    """
    if taken.base or not taken.frames:
        return None
    if record.last_seq <= taken.base + len(taken.frames):
        return ""
    text = state.draft.text
    return record.text[len(text) :] if record.text.startswith(text) else None


def _from_record(record: TurnRecord) -> Replayed:
    draft = Draft()
    draft.add(record.text, 0)
    return Replayed(draft)


def _tell_end(taken: Taken, state: Replayed, record: TurnRecord) -> None:
    """Tell readers an end that the record has, and that its worker did not come to tell."""
    terminal = terminal_from_record(record)
    if state.draft.text != record.text:
        taken.writer.append(TurnReset(record.text, WORKER_LOST, state.sentence, state.speech))
    taken.writer.append(terminal)
    taken.writer.close()
