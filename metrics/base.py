"""The seam: recent counts and distributions, over a sliding window of time.

What the Prometheus series are for a monitoring server, a window is for the service itself: health,
the operators' page and a rollout's controller ask «how were the last minutes». Histograms have
fixed bins and counters add up, so windows of several workers merge by addition.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from metrics.histogram import BOUNDS, Histogram

GAUGES = ("active_turns", "active_readers", "log_bytes")
"""What workers tell of now, in this order; a later release adds at the end."""


@dataclass(frozen=True, slots=True)
class Live:
    """The workers that run now, as far as is known; `gauges` are added up over them.

    The two ages are of the worker that runs longest, and of the one that was started last.
    """

    workers: int
    gauges: Mapping[str, float]
    oldest_s: float
    youngest_s: float

    def gauge(self, name: str) -> int:
        """Return a gauge over all workers; 0 where none tells of it."""
        return round(self.gauges.get(name, 0))


@dataclass(frozen=True, slots=True)
class WindowTotals:
    """Everything recorded within the window, added up; a reader's own copy.

    `covers_s` is the window's length; a process younger than that has recorded for less. `bounds`
    are those of all histograms.
    """

    covers_s: float
    counters: Mapping[str, float]
    histograms: Mapping[str, Histogram]
    live: Live = Live(1, {}, 0.0, 0.0)
    bounds: Sequence[float] = BOUNDS

    def count(self, name: str) -> int:
        """Return a counter; 0 where nothing was counted."""
        return round(self.counters.get(name, 0))

    def group(self, prefix: str) -> dict[str, int]:
        """Return the counters whose names start with the prefix, by the rest of their names."""
        return {
            name.removeprefix(prefix): self.count(name)
            for name in sorted(self.counters)
            if name.startswith(prefix)
        }

    def histogram(self, *names: str) -> Histogram:
        """Return the sum of the named histograms; empty where nothing was recorded."""
        merged = Histogram(self.bounds)
        for name in names:
            if name in self.histograms:
                merged.merge(self.histograms[name])
        return merged


class Window(Protocol):
    """Counts and distributions of the last minutes. Memory is bounded whatever is recorded.

    What one worker records shows in its own window at once, and in those of the others within
    seconds, exactly once. Nothing here waits: an implementation over several workers answers from
    what it last heard.
    """

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter, in O(1). Names come from closed sets."""
        ...

    def observe(self, name: str, values: Iterable[float]) -> None:
        """Add values ≥ 0 to a histogram, in O(1) each; others are left out."""
        ...

    def merge(self, name: str, values: Histogram) -> None:
        """Add a histogram's values, of the standard bounds, in O(1)."""
        ...

    def hold(self, name: str, value: float) -> None:
        """Set one of `GAUGES` for this worker; it counts for as long as the worker lives."""
        ...

    def read(self) -> WindowTotals:
        """Return what was recorded within the window; older records are never part of it."""
        ...

    def live(self) -> Live:
        """Return who runs now. A worker that was killed is not among them for more than 10 s."""
        ...
