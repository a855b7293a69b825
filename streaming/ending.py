"""How a turn ends: from its outcome to the terminal event and the record's last write. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import assert_never

import msgspec

from history.model import TurnEnd, TurnRecord, TurnStatus, Usage
from streaming.cursor import Cursor
from streaming.events import (
    Event,
    TerminalEvent,
    TextDone,
    Timings,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnInterrupted,
    UsageData,
)
from streaming.llm.base import Prompt
from streaming.turn import Cancelled, Failed, Finished, Interrupted, LiveTurn, Outcome

WORKER_LOST = "worker_lost"
"""Why a reaper interrupts a turn."""

FENCED = "fenced"
"""Why a turn is interrupted whose record is another worker's, or gone."""

_CHARS_PER_TOKEN = 4
"""English text averages about four characters a token; only for usage marked `estimated`."""

_STATUS: dict[type[Event], TurnStatus] = {
    TurnCompleted: TurnStatus.COMPLETED,
    TurnFailed: TurnStatus.FAILED,
    TurnCancelled: TurnStatus.CANCELLED,
    TurnInterrupted: TurnStatus.INTERRUPTED,
}
_EVENT: dict[TurnStatus, type[TerminalEvent]] = {
    TurnStatus.COMPLETED: TurnCompleted,
    TurnStatus.FAILED: TurnFailed,
    TurnStatus.CANCELLED: TurnCancelled,
    TurnStatus.INTERRUPTED: TurnInterrupted,
}


class Ending:
    """What remains to be said of a turn: decided once, told to the record and then to readers."""

    def __init__(self, turn: LiveTurn, outcome: Outcome, *, total_s: float, at: datetime) -> None:
        self._turn = turn
        self._outcome = outcome
        self._total_s = total_s
        self._at = at
        self.text = _final_text(turn, outcome)
        held = "" if turn.gate is None else turn.gate.held
        self.usage = _usage(turn.spec.prompt, turn.draft.length + len(held), outcome)

    def events(self, *, stored: bool) -> list[Event]:
        """Return the last events, the terminal one at the end."""
        terminal = self._terminal(stored=stored)
        is_told = self._turn.is_text_told or not self._turn.spec.streaming
        if isinstance(terminal, TurnCompleted) and not is_told:
            return [TextDone(self.text, self._turn.spec.message_id, stored), terminal]
        return [terminal]

    def events_told(self, end: TurnEnd, record: TurnRecord | None) -> list[Event]:
        """Return the last events, as the record has it after `end` was offered; None: unreachable.

        Where the record is another's, readers are told its end, or that ours is none.
        """
        if record is None:
            return self.events(stored=False)
        if record.status is TurnStatus.RUNNING:  # another worker goes on with it
            message_id = self._turn.spec.message_id
            return [TurnInterrupted(message_id, False, self.text, self.usage, FENCED)]
        if (record.epoch, record.last_seq) != (end.epoch, end.last_seq):
            return [terminal_from_record(record)]  # somebody else ended it first
        return self.events(stored=True)

    def record(self) -> TurnEnd:
        """Return the record's last write; its cursor already counts the last events."""
        spec, cursor = self._turn.spec, self._turn.writer.cursor
        terminal = self._terminal(stored=True)
        events = self.events(stored=True)
        return TurnEnd(
            turn_id=spec.turn_id,
            expected_epoch=cursor.epoch,
            epoch=cursor.epoch,
            last_seq=cursor.seq + len(events),
            status=_STATUS[type(terminal)],
            text=self.text,
            ended_at=self._at,
            finish_reason=getattr(terminal, "finish_reason", None),
            usage=Usage(self.usage.input_tokens, self.usage.output_tokens, self.usage.source),
            error=_error(self._outcome),
            end=msgspec.to_builtins(terminal),
        )

    def _terminal(self, *, stored: bool) -> TerminalEvent:
        message_id, text, usage = self._turn.spec.message_id, self.text, self.usage
        match self._outcome:
            case Finished(reason=reason):
                timings = Timings(ttft_s=_rounded(self._turn.ttft_s), total_s=_ms(self._total_s))
                return TurnCompleted(message_id, stored, text, reason, usage, timings)
            case Failed(code=code, detail=detail, retryable=retryable):
                return TurnFailed(message_id, stored, text, usage, code, detail, retryable)
            case Cancelled(by=by):
                return TurnCancelled(message_id, stored, text, usage, by)
            case Interrupted(reason=reason):
                return TurnInterrupted(message_id, stored, text, usage, reason)
            case unexpected:  # pragma: no cover  # the types leave nothing
                assert_never(unexpected)


def terminal_from_record(record: TurnRecord) -> TerminalEvent:
    """Return the terminal event of a turn that has ended, as it was first told."""
    return msgspec.convert(record.end, _EVENT[record.status])


def end_from_terminal(
    record: TurnRecord, name: str, data: Mapping[str, object], *, last: Cursor
) -> TurnEnd:
    """Return the end that a log tells and the record does not know.

    Args:
        record: Still running.
        name: Of the terminal event.
        data: Of the terminal event.
        last: Epoch held now, and the terminal entry's seq.
    """
    event = next(kind for kind in _STATUS if kind.name == name)
    terminal = msgspec.convert({**data, "stored": True}, event)
    usage = getattr(terminal, "usage", UsageData(None, None, "unknown"))
    return TurnEnd(
        turn_id=record.turn_id,
        expected_epoch=last.epoch,
        epoch=last.epoch,
        last_seq=last.seq,
        status=_STATUS[event],
        text=getattr(terminal, "text", record.text),
        ended_at=datetime.now(UTC),
        finish_reason=getattr(terminal, "finish_reason", None),
        usage=Usage(usage.input_tokens, usage.output_tokens, usage.source),
        error=_error_told(terminal),
        end=msgspec.to_builtins(terminal),
    )


def _error_told(terminal: Event) -> dict[str, object] | None:
    match terminal:
        case TurnFailed(code=code, detail=detail, retryable=retryable):
            return {"code": code, "detail": detail, "retryable": retryable}
        case TurnInterrupted():
            return {"code": "turn_interrupted", "detail": _INTERRUPTED, "retryable": True}
        case _:
            return None


def last_covered(record: TurnRecord) -> Cursor:
    """Return the last entry before the terminal one: what the record's text covers."""
    is_reaped = record.end is not None and record.end.get("reason") == WORKER_LOST
    # A reaper's end is the first entry of its epoch.
    return Cursor(record.epoch - 1 if is_reaped else record.epoch, record.last_seq - 1)


def interrupted_end(record: TurnRecord, *, at: datetime) -> TurnEnd:
    """Return the end of a turn whose worker is gone: its checkpoint, in a new epoch."""
    text = record.text
    usage = UsageData(None, _estimate(len(text)), "estimated")
    event = TurnInterrupted(
        record.message_id, stored=True, text=text, usage=usage, reason=WORKER_LOST
    )
    return TurnEnd(
        turn_id=record.turn_id,
        expected_epoch=record.epoch,
        epoch=record.epoch + 1,
        last_seq=max(record.last_seq, 1) + 1,  # every log has begun with `turn.started`
        status=TurnStatus.INTERRUPTED,
        text=text,
        ended_at=at,
        finish_reason=None,
        usage=Usage(None, usage.output_tokens, "estimated"),
        error={"code": "turn_interrupted", "detail": _INTERRUPTED, "retryable": True},
        end=msgspec.to_builtins(event),
    )


_INTERRUPTED = "The server stopped before the answer was complete; ask again."


def _final_text(turn: LiveTurn, outcome: Outcome) -> str:
    """Clamp a cancelled text to what the page showed, where its cursor is one of ours.

    Also one of a former worker's epoch: the page may have stopped it while another took over.
    """
    seen = outcome.seen if isinstance(outcome, Cancelled) and turn.spec.streaming else None
    if seen is not None and turn.writer.holds(seen):
        return turn.draft.text_at(seen.seq)
    return turn.draft.text


def _usage(prompt: Prompt, written: int, outcome: Outcome) -> UsageData:
    """Return what the model used, also for what nobody was shown; `written` in characters."""
    finish = outcome.finish if isinstance(outcome, Finished) else None
    if finish is not None and finish.output_tokens is not None:
        return UsageData(finish.input_tokens, finish.output_tokens, "exact")
    asked = sum(len(message.text) for message in prompt.messages)
    return UsageData(_estimate(asked), _estimate(written), "estimated")


def _estimate(written: int) -> int:
    return -(-written // _CHARS_PER_TOKEN)


def _error(outcome: Outcome) -> dict[str, object] | None:
    match outcome:
        case Failed(code=code, detail=detail, retryable=retryable):
            return {"code": code, "detail": detail, "retryable": retryable}
        case Interrupted():
            return {"code": "turn_interrupted", "detail": _INTERRUPTED, "retryable": True}
        case _:
            return None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else _ms(seconds)


def _ms(seconds: float) -> float:
    return round(seconds, 3)
