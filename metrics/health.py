"""Whether streaming is well, judged by the last minutes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from metrics.snapshot import StreamingSnapshot

MIN_SAMPLES = 10
"""Fewer say nothing: one failed turn in a quiet night is no incident."""


class HealthStatus(IntEnum):
    """How well it is; the worst of several counts."""

    HEALTHY = 0
    DEGRADED = 1
    UNHEALTHY = 2

    @property
    def word(self) -> str:
        """The status on the wire."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Check:
    """One figure against its two limits, in the figure's unit; None where there is no figure."""

    name: str
    value: float | None
    samples: int
    degraded_above: float
    unhealthy_above: float

    @property
    def status(self) -> HealthStatus:
        """Healthy where there is too little data to tell."""
        if self.value is None or self.samples < MIN_SAMPLES:
            return HealthStatus.HEALTHY
        if self.value > self.unhealthy_above:
            return HealthStatus.UNHEALTHY
        return HealthStatus.DEGRADED if self.value > self.degraded_above else HealthStatus.HEALTHY


def checks(snapshot: StreamingSnapshot) -> Sequence[Check]:
    """Return what health is derived from.

    Errors above 2 % and a mean first token above 2 s are where a rollout is rolled back; five
    times that is where users are no longer served. 50 ms of lag is felt at every token.
    """
    turns, lag = snapshot.all, snapshot.loop_lag
    return (
        Check("error_rate", turns.error_rate, turns.settled, 0.02, 0.10),
        Check("time_to_first_token_s", turns.ttft.mean_s, turns.ttft.count, 2.0, 10.0),
        Check("event_loop_lag_s", lag.p95_s, lag.count, 0.05, 0.5),
    )


def worst(made: Sequence[Check]) -> HealthStatus:
    """Return the worst status of the checks."""
    return max((check.status for check in made), default=HealthStatus.HEALTHY)
