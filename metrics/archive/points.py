"""From periods to the points of a chart; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from metrics import labels
from metrics.archive.base import FIVE_MINUTES, HOUR, MINUTE, Level, Period
from metrics.base import WindowTotals
from metrics.delta import Delta
from metrics.histogram import COARSE_BOUNDS
from metrics.snapshot import (
    ArmSnapshot,
    CacheUse,
    Latency,
    arm_snapshot,
    cache_use,
    latency_of,
)


@dataclass(frozen=True, slots=True)
class Range:
    """How far a chart reaches back: `periods` of a level, `together` of them to a point."""

    level: Level
    periods: int
    together: int = 1

    @property
    def step_s(self) -> int:
        """Seconds from one point to the next."""
        return self.level.step_s * self.together


RANGES: Mapping[str, Range] = {
    "1h": Range(MINUTE, 60),
    "6h": Range(MINUTE, 360),
    "24h": Range(FIVE_MINUTES, 288),
    "7d": Range(HOUR, 168),
    "30d": Range(HOUR, 720, together=2),
}
"""At most 360 points each."""


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of one step, which began at `began_s`, in seconds since 1970.

    `active_turns` and `active_readers` are the most at once; None where nobody looked.
    """

    began_s: int
    arms: Mapping[str, ArmSnapshot]
    gaps: Latency
    loop_lag: Latency
    page_ttft: Latency
    tokens: Mapping[str, int]
    caches: Mapping[str, CacheUse]
    active_turns: int | None
    active_readers: int | None


def points(periods: Sequence[Period], step_s: int) -> Iterator[Point]:
    """Yield the points of these periods, oldest first; a step without any has none.

    Each takes about a tenth of a millisecond.

    Args:
        periods: In any order.
        step_s: Seconds of a step; a whole number of periods.
    """
    steps: dict[int, Delta] = {}
    for period in periods:
        began_s = period.began_s - period.began_s % step_s
        steps.setdefault(began_s, Delta(COARSE_BOUNDS)).add(period.delta)
    for began_s in sorted(steps):
        yield _point(began_s, steps[began_s], step_s)


def _point(began_s: int, delta: Delta, step_s: int) -> Point:
    totals = WindowTotals(step_s, delta.counters, delta.histograms, bounds=COARSE_BOUNDS)
    return Point(
        began_s=began_s,
        arms={arm: arm_snapshot(totals, arm) for arm in labels.ARMS},
        gaps=latency_of(totals.histogram("gaps")),
        loop_lag=latency_of(totals.histogram("loop_lag")),
        page_ttft=latency_of(totals.histogram("page.ttft")),
        tokens={kind: totals.count(f"tokens.{kind}") for kind in labels.TOKEN_KINDS},
        caches={cache: cache_use(totals, cache) for cache in labels.CACHES},
        active_turns=_peak(delta, "active_turns"),
        active_readers=_peak(delta, "active_readers"),
    )


def _peak(delta: Delta, name: str) -> int | None:
    value = delta.maxima.get(name)
    return None if value is None else round(value)
