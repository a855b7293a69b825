"""What operators are told of turns: figures, one line in the log, and whoever else watches them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import structlog

from metrics.turns import EndedTurn, FirstTokenParts, TurnMetrics
from streaming.ending import Ending
from streaming.turn import LiveTurn, TurnSpec

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TurnResult:
    """How a turn ended: as its record says, in how many seconds, and whether anything was amiss.

    `is_amiss`: it is completed, but without any text, or readers had to begin anew on the way.
    `asked_s` is when a model was first asked; it and the others count from the request. `gaps_s`
    are the seconds between its deltas.
    """

    outcome: str
    total_s: float
    ttft_s: float | None
    is_amiss: bool
    asked_s: float | None = None
    gaps_s: Sequence[float] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish_reason: str | None = None
    error_code: str | None = None


class TurnWatcher(Protocol):
    """Told of the turns of this process; must neither wait nor raise."""

    def began(self, spec: TurnSpec) -> None:
        """A turn runs here from now on, begun here or taken over."""
        ...

    def first_token(self, spec: TurnSpec, seconds: float) -> None:
        """A turn has its first text, `seconds` after its request."""
        ...

    def ended(self, spec: TurnSpec, result: TurnResult) -> None:
        """A turn has ended here."""
        ...

    def left(self, spec: TurnSpec) -> None:
        """A turn goes on elsewhere."""
        ...


class Operators:
    """Tells operators of the turns of this process.

    Args:
        metrics: Figures.
        watchers: Told of the same.
    """

    def __init__(self, metrics: TurnMetrics, watchers: Sequence[TurnWatcher] = ()) -> None:
        self._metrics = metrics
        self._watchers = watchers

    def began(self, spec: TurnSpec) -> None:
        """Tell that a turn runs here."""
        self._metrics.turn_started(streaming=spec.streaming)
        for watcher in self._watchers:
            watcher.began(spec)

    def continued(self) -> None:
        """Tell that a turn of a lost worker goes on here in the middle of its text."""
        self._metrics.turn_continued("worker_lost")

    def first_token(self, turn: LiveTurn) -> None:
        """Tell that a turn has its first text, which its readers are about to be sent."""
        spec, seconds = turn.spec, turn.ttft_s or 0.0
        self._metrics.first_delta(seconds, streaming=spec.streaming, parts=_parts(turn, seconds))
        if spec.streaming:
            # The readers that wait here were woken before: they are served before this is called.
            asyncio.get_running_loop().call_soon(self._flushed, spec.received_at + seconds)
        for watcher in self._watchers:
            watcher.first_token(spec, seconds)

    def ended(self, turn: LiveTurn, ending: Ending, total_s: float) -> None:
        """Tell of the end of a turn; `total_s` counts from its request."""
        end = ending.record()
        error_code = str(end.error["code"]) if end.error else None
        self._metrics.turn_ended(
            EndedTurn(
                outcome=counted_as(end.status.value, error_code),
                streaming=turn.spec.streaming,
                duration_s=total_s,
                ttft_s=turn.ttft_s,
                gaps_s=turn.gaps_s,
                input_tokens=end.usage.input_tokens,
                output_tokens=end.usage.output_tokens,
                usage_source=end.usage.source,
                error_code=error_code,
                queued_s=turn.spec.queued_s,
                repeated=turn.repeated,
            )
        )
        if turn.speech is not None:
            self._metrics.sentences_completed(turn.speech.sentence_count)
        log.info(
            "turn.ended",
            turn_id=end.turn_id,
            outcome=end.status.value,
            error_code=error_code,
            ttft_s=None if turn.ttft_s is None else round(turn.ttft_s, 3),
            total_s=round(total_s, 3),
            chars=len(end.text),
        )
        asked_at = turn.asking.asked_at
        result = TurnResult(
            outcome=end.status.value,
            total_s=total_s,
            ttft_s=turn.ttft_s,
            is_amiss=not end.text or turn.is_restarted,
            asked_s=None if asked_at is None else asked_at - turn.spec.received_at,
            gaps_s=turn.gaps_s,
            input_tokens=end.usage.input_tokens,
            output_tokens=end.usage.output_tokens,
            finish_reason=end.finish_reason,
            error_code=error_code,
        )
        for watcher in self._watchers:
            watcher.ended(turn.spec, result)

    def _flushed(self, shown_at: float) -> None:
        self._metrics.first_flush(max(0.0, monotonic() - shown_at))

    def left(self, spec: TurnSpec, reason: str) -> None:
        """Tell that a turn goes on elsewhere."""
        self._metrics.turn_left(streaming=spec.streaming)
        for watcher in self._watchers:
            watcher.left(spec)
        log.info("turn.left", turn_id=spec.turn_id, reason=reason)


def counted_as(outcome: str, error_code: str | None) -> str:
    """Return the outcome that an end is judged by.

    An answer that may not be said says no more of the service than one that somebody stopped.
    """
    return "cancelled" if error_code == "content_blocked" else outcome


def _parts(turn: LiveTurn, ttft_s: float) -> FirstTokenParts:
    """Cut a time to first token where a model was asked, and where it had begun to answer."""
    received_at = turn.spec.received_at
    asked_s = min(max((turn.asking.asked_at or received_at) - received_at, 0.0), ttft_s)
    opened_s = min(max((turn.asking.opened_at or received_at) - received_at, asked_s), ttft_s)
    return FirstTokenParts(asked_s, opened_s - asked_s, ttft_s - opened_s)
