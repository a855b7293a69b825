"""The seam: recent counts and distributions, over a sliding window of time.

What the Prometheus series are for a monitoring server, a window is for the service itself: health,
the operators' page and a rollout's controller ask «how were the last minutes». Histograms have
fixed bins and counters add up, so windows of several workers merge by addition.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from metrics.histogram import Histogram


@dataclass(frozen=True, slots=True)
class WindowTotals:
    """Everything recorded within the window, added up; a reader's own copy.

    `covers_s` is the window's length; a process younger than that has recorded for less.
    """

    covers_s: float
    counters: Mapping[str, float]
    histograms: Mapping[str, Histogram]

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
        merged = Histogram()
        for name in names:
            if name in self.histograms:
                merged.merge(self.histograms[name])
        return merged


class Window(Protocol):
    """Counts and distributions of the last minutes. Memory is bounded whatever is recorded."""

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter, in O(1) and without waiting. Names come from closed sets."""
        ...

    def observe(self, name: str, values: Iterable[float]) -> None:
        """Add values ≥ 0 to a histogram, in O(1) each and without waiting; others are left out."""
        ...

    def read(self) -> WindowTotals:
        """Return what was recorded within the window; older records are never part of it.

        Without waiting: an implementation over several workers answers from what it last heard.
        """
        ...
