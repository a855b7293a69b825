"""What operators are told of a turn that has ended: one line in the log, and its figures."""

import structlog

from metrics.turns import EndedTurn, TurnMetrics
from streaming.ending import Ending
from streaming.turn import LiveTurn

log = structlog.get_logger(__name__)


def tell_ended(metrics: TurnMetrics, turn: LiveTurn, ending: Ending, total_s: float) -> None:
    """Tell of the end of a turn; `total_s` counts from its request."""
    end = ending.record()
    error_code = str(end.error["code"]) if end.error else None
    metrics.turn_ended(
        EndedTurn(
            outcome=end.status.value,
            streaming=turn.spec.streaming,
            duration_s=total_s,
            ttft_s=turn.ttft_s,
            gaps_s=turn.gaps_s,
            input_tokens=end.usage.input_tokens,
            output_tokens=end.usage.output_tokens,
            usage_source=end.usage.source,
            error_code=error_code,
        )
    )
    log.info(
        "turn.ended",
        turn_id=end.turn_id,
        outcome=end.status.value,
        error_code=error_code,
        ttft_s=None if turn.ttft_s is None else round(turn.ttft_s, 3),
        total_s=round(total_s, 3),
        chars=len(end.text),
    )
