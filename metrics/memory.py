"""The window in memory: a ring of buckets, each for a few seconds."""

import time
from collections.abc import Callable, Iterable

from metrics.base import Live, WindowTotals
from metrics.delta import Delta
from metrics.histogram import Histogram

WINDOW_S = 300.0
BUCKET_S = 5.0


class MemoryWindow:
    """What this process recorded lately.

    The window slides by whole buckets: it reaches back between `window_s - bucket_s` and
    `window_s`. At most `window_s / bucket_s` buckets of `delta.MAX_NAMES` names are held.

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
        self._started_at = clock()
        self._gauges: dict[str, float] = {}
        self._ring: list[tuple[int, Delta] | None] = [None] * max(1, round(window_s / bucket_s))

    def count(self, name: str, amount: float = 1) -> None:
        self._bucket().count(name, amount)

    def observe(self, name: str, values: Iterable[float]) -> None:
        self._bucket().observe(name, values)

    def merge(self, name: str, values: Histogram) -> None:
        self._bucket().merge(name, values)

    def hold(self, name: str, value: float) -> None:
        self._gauges[name] = value

    def read(self) -> WindowTotals:
        oldest = self._slot() - len(self._ring) + 1
        totals = Delta.total(held[1] for held in self._ring if held and held[0] >= oldest)
        return WindowTotals(self._window_s, totals.counters, totals.histograms, self.live())

    def live(self) -> Live:
        uptime_s = self._clock() - self._started_at
        return Live(1, dict(self._gauges), uptime_s, uptime_s)

    def _slot(self) -> int:
        return int(self._clock() // self._bucket_s)

    def _bucket(self) -> Delta:
        slot = self._slot()
        place = slot % len(self._ring)
        held = self._ring[place]
        if held is None or held[0] != slot:
            held = self._ring[place] = (slot, Delta())
        return held[1]
