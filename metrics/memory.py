"""The window in memory: a ring of buckets, each for a few seconds."""

import time
from collections.abc import Callable, Iterable

from metrics.base import WindowTotals
from metrics.histogram import Histogram

WINDOW_S = 300.0
BUCKET_S = 5.0
MAX_NAMES = 256
"""Names a bucket holds; further ones are left out. The service's own are about a hundred."""


class MemoryWindow:
    """What this process recorded lately.

    The window slides by whole buckets: it reaches back between `window_s - bucket_s` and
    `window_s`. At most `window_s / bucket_s` buckets of `MAX_NAMES` names are held.

    Args:
        window_s: Seconds that a record counts.
        bucket_s: Seconds by which the window slides.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        window_s: float = WINDOW_S,
        bucket_s: float = BUCKET_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._window_s = window_s
        self._bucket_s = bucket_s
        self._clock = clock
        self._ring: list[_Bucket | None] = [None] * max(1, round(window_s / bucket_s))

    def count(self, name: str, amount: float = 1) -> None:
        counters = self._bucket().counters
        if name in counters:
            counters[name] += amount
        elif len(counters) < MAX_NAMES:
            counters[name] = amount

    def observe(self, name: str, values: Iterable[float]) -> None:
        histograms = self._bucket().histograms
        if name not in histograms:
            if len(histograms) >= MAX_NAMES:
                return
            histograms[name] = Histogram()
        histograms[name].add(values)

    def read(self) -> WindowTotals:
        oldest = self._slot() - len(self._ring) + 1
        counters: dict[str, float] = {}
        histograms: dict[str, Histogram] = {}
        for bucket in self._ring:
            if bucket is not None and bucket.slot >= oldest:
                bucket.add_to(counters, histograms)
        return WindowTotals(self._window_s, counters, histograms)

    def _slot(self) -> int:
        return int(self._clock() // self._bucket_s)

    def _bucket(self) -> "_Bucket":
        slot = self._slot()
        place = slot % len(self._ring)
        bucket = self._ring[place]
        if bucket is None or bucket.slot != slot:
            bucket = self._ring[place] = _Bucket(slot)
        return bucket


class _Bucket:
    """The records of one slot of time."""

    __slots__ = ("counters", "histograms", "slot")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.counters: dict[str, float] = {}
        self.histograms: dict[str, Histogram] = {}

    def add_to(self, counters: dict[str, float], histograms: dict[str, Histogram]) -> None:
        for name, amount in self.counters.items():
            counters[name] = counters.get(name, 0) + amount
        for name, histogram in self.histograms.items():
            histograms.setdefault(name, Histogram()).merge(histogram)
