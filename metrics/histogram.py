"""One histogram with fixed bins, so that any two can be added: over time, and over workers.

The bounds are the preferred numbers R20: twenty a decade, evenly spaced on a log scale and round.
A percentile is off by at most its bin's width (an eighth); the mean is exact.

Source: ISO 3:1973, preferred numbers.
"""

import operator
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import inf
from typing import Self

_R20 = (
    *(1.0, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.24, 2.5, 2.8),
    *(3.15, 3.55, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0),
)
_DECADES = range(-4, 3)

# Through text: each bound is the float nearest to its decimal, the same in every process.
BOUNDS = (*(float(f"{step}e{decade}") for decade in _DECADES for step in _R20), 1000.0)
"""Upper bounds, inclusive: 0.1 ms to 1000 s. A last bin takes what is above."""

COARSE_BOUNDS = BOUNDS[::2]
"""Every second one (the preferred numbers R10), for what is kept long."""


class Histogram:
    """Counts of values ≥ 0 by bin, and their sum. Values that are no such number are refused.

    Args:
        bounds: Upper bounds of the bins, ascending; only histograms of the same ones can be added.
    """

    __slots__ = ("bins", "bounds", "sum")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = bounds
        self.bins = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        """How many values were added."""
        return sum(self.bins)

    @property
    def mean(self) -> float | None:
        """The exact mean; None without values."""
        count = self.count
        return self.sum / count if count else None

    def add(self, values: Iterable[float]) -> int:
        """Add values; return how many were refused: negative, infinite, or not a number."""
        bins, bounds, refused, total = self.bins, self.bounds, 0, 0.0
        for value in values:
            if 0 <= value < inf:
                bins[bisect_left(bounds, value)] += 1
                total += value
            else:
                refused += 1
        self.sum += total
        return refused

    def merge(self, other: Self) -> None:
        """Add another histogram's values to this one's."""
        self.bins = list(map(operator.add, self.bins, other.bins))
        self.sum += other.sum

    @classmethod
    def total(cls, histograms: Sequence[Self]) -> Self:
        """Return the sum of one or more of the same bounds: faster than to merge them in turn."""
        total = cls(histograms[0].bounds)
        total.bins = list(map(sum, zip(*(each.bins for each in histograms), strict=True)))
        total.sum = sum(each.sum for each in histograms)
        return total

    def above(self, bound: float) -> int:
        """Return how many values are in bins that lie wholly above a value."""
        return sum(self.bins[bisect_left(self.bounds, bound) + 1 :])

    def coarse(self) -> "Histogram":
        """Return the same values in the bins of `COARSE_BOUNDS`; only where these are `BOUNDS`."""
        coarse = Histogram(COARSE_BOUNDS)
        coarse.bins = list(map(operator.add, [*self.bins[::2], 0], [0, *self.bins[1::2]]))
        coarse.sum = self.sum
        return coarse

    def percentile(self, share: float) -> float | None:
        """Return the value below which this share (0..1) lies; None without values.

        Within a bin values count as evenly spread. Above the last bound that bound is returned:
        the true value is at least that.
        """
        rank = share * self.count
        if not self.count:
            return None
        below = 0
        for place, held in enumerate(self.bins[:-1]):
            if held and below + held >= rank:
                lower = self.bounds[place - 1] if place else 0.0
                return lower + (self.bounds[place] - lower) * max(rank - below, 0.0) / held
            below += held
        return self.bounds[-1]

    def cumulative(self, bounds: Sequence[float]) -> list[tuple[str, float]]:
        """Return Prometheus' cumulative buckets for some of the bounds, ascending, `+Inf` last."""
        buckets: list[tuple[str, float]] = []
        below, start = 0, 0
        for bound in bounds:
            end = bisect_left(self.bounds, bound) + 1
            below += sum(self.bins[start:end])
            start = end
            buckets.append((str(bound), below))
        return [*buckets, ("+Inf", self.count)]
