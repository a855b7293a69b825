"""What was recorded together: counters, distributions, peaks. Any two of them add up.

On the wire it is JSON that a script in Redis can add up as well: `c` counters, `h` histograms as
their sum and their bins that are not empty, `m` maxima.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Self

import msgspec

from metrics.histogram import BOUNDS, Histogram

MAX_NAMES = 256
"""Names that are held of each kind; further ones are left out. The service's own are about 150."""


class _Wire(msgspec.Struct, omit_defaults=True):
    c: dict[str, float] = {}
    h: dict[str, tuple[float, dict[int, int]]] = {}
    m: dict[str, float] = {}


class Delta:
    """Counts and distributions, by name. Memory is bounded whatever is recorded.

    Args:
        bounds: Of its histograms.
    """

    __slots__ = ("bounds", "counters", "histograms", "maxima")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = bounds
        self.counters: dict[str, float] = {}
        self.histograms: dict[str, Histogram] = {}
        self.maxima: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self.counters or self.histograms or self.maxima)

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter."""
        counters = self.counters
        if name in counters:
            counters[name] += amount
        elif len(counters) < MAX_NAMES:
            counters[name] = amount

    def observe(self, name: str, values: Iterable[float]) -> None:
        """Add values to a histogram."""
        if (histogram := self._histogram(name)) is not None:
            histogram.add(values)

    def merge(self, name: str, values: Histogram) -> None:
        """Add the values of another histogram, of the same bounds."""
        if (histogram := self._histogram(name)) is not None:
            histogram.merge(values)

    def peak(self, name: str, value: float) -> None:
        """Keep the largest of the values."""
        if name in self.maxima or len(self.maxima) < MAX_NAMES:
            self.maxima[name] = max(value, self.maxima.get(name, value))

    def add(self, other: Self) -> None:
        """Add all of another one's records, of the same bounds."""
        for name, amount in other.counters.items():
            self.count(name, amount)
        for name, histogram in other.histograms.items():
            self.merge(name, histogram)
        for name, value in other.maxima.items():
            self.peak(name, value)

    @classmethod
    def total(cls, deltas: Iterable[Self]) -> Self:
        """Return all records of many, of the standard bounds.

        A window is added up several times a second: this takes half as long as `add` in turn.
        """
        total = cls()
        histograms: dict[str, list[Histogram]] = {}
        for delta in deltas:
            for name, amount in delta.counters.items():
                total.count(name, amount)
            for name, histogram in delta.histograms.items():
                histograms.setdefault(name, []).append(histogram)
            for name, value in delta.maxima.items():
                total.peak(name, value)
        for name, held in islice(histograms.items(), MAX_NAMES):
            total.histograms[name] = Histogram.total(held)
        return total

    def encode(self) -> bytes:
        """Return it as JSON."""
        histograms = {
            name: (
                histogram.sum,
                {place: count for place, count in enumerate(histogram.bins) if count},
            )
            for name, histogram in self.histograms.items()
        }
        return msgspec.json.encode(_Wire(self.counters, histograms, self.maxima))

    @classmethod
    def decode(cls, data: bytes, bounds: Sequence[float] = BOUNDS) -> Self:
        """Return what was encoded; empty where it is no such thing.

        What is stored is everybody's: nobody's figures are worth a failure of all.
        """
        delta = cls(bounds)
        try:
            wire = msgspec.json.decode(data, type=_Wire)
        except msgspec.MsgspecError:
            return delta
        delta.counters, delta.maxima = wire.c, wire.m
        for name, (total, bins) in wire.h.items():
            delta.histograms[name] = _histogram(total, bins, bounds)
        return delta

    def _histogram(self, name: str) -> Histogram | None:
        histogram = self.histograms.get(name)
        if histogram is None and len(self.histograms) < MAX_NAMES:
            histogram = self.histograms[name] = Histogram(self.bounds)
        return histogram


def _histogram(total: float, bins: Mapping[int, int], bounds: Sequence[float]) -> Histogram:
    histogram = Histogram(bounds)
    histogram.sum = total
    for place, count in bins.items():
        if 0 <= place < len(histogram.bins):
            histogram.bins[place] = count
    return histogram
