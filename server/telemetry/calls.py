"""What is told of a turn: figures and names, taken at its end, off the way of its tokens."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streaming.operators import TurnResult
from streaming.turn import TurnSpec


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A turn that has ended, as a call of its model. No text is in it, and nobody's id.

    Seconds count from asking the model, `first_token_s` from the request. `ended_ns` is the time
    of day.
    """

    turn_id: str
    model: str
    streamed: bool
    outcome: str
    duration_s: float
    first_chunk_s: float | None
    first_token_s: float | None
    gaps_s: Sequence[float]
    input_tokens: int | None
    output_tokens: int | None
    finish_reason: str | None
    error_code: str | None
    ended_ns: int
    traceparent: str | None


class TurnTelemetry:
    """Watches turns, and hands on each that has ended here.

    Args:
        take: Takes a call; must neither wait nor raise.
    """

    def __init__(self, take: Callable[[ModelCall], None]) -> None:
        self._take = take

    def began(self, spec: TurnSpec) -> None:  # noqa: ARG002  # the seam's
        return

    def first_token(self, spec: TurnSpec, seconds: float) -> None:  # noqa: ARG002  # the seam's
        return

    def ended(self, spec: TurnSpec, result: TurnResult) -> None:
        asked_s = result.asked_s or 0.0
        ttft_s = result.ttft_s
        self._take(
            ModelCall(
                turn_id=spec.turn_id,
                model=spec.model,
                streamed=spec.streaming,
                outcome=result.outcome,
                duration_s=max(0.0, result.total_s - asked_s),
                first_chunk_s=None if ttft_s is None else max(0.0, ttft_s - asked_s),
                first_token_s=ttft_s,
                gaps_s=result.gaps_s,
                input_tokens=result.input_tokens,
                output_tokens=result.output_tokens,
                finish_reason=result.finish_reason,
                error_code=result.error_code,
                ended_ns=time.time_ns(),
                traceparent=spec.traceparent,
            )
        )

    def left(self, spec: TurnSpec) -> None:  # noqa: ARG002  # the seam's
        return
