"""What is kept for the charts: the few figures they draw, in coarse bins."""

from collections.abc import Iterable

from metrics import labels
from metrics.base import Live, Window, WindowTotals
from metrics.delta import Delta
from metrics.histogram import COARSE_BOUNDS, Histogram

COUNTERS = frozenset(
    {
        *(f"started.{arm}" for arm in labels.ARMS),
        *(f"ended.{arm}.{outcome}" for arm in labels.ARMS for outcome in labels.OUTCOMES),
        *(f"tokens.{kind}" for kind in labels.TOKEN_KINDS),
        *(f"cache.{cache}.{result}" for cache in labels.CACHES for result in ("hit", "miss")),
    }
)
HISTOGRAMS = frozenset({"ttft.on", "ttft.off", "gaps", "loop_lag", "page.ttft"})
PEAKS = ("active_turns", "active_readers")


class Chart:
    """Gathers what is kept, until it is taken; at most one entry for each of the names above."""

    def __init__(self) -> None:
        self._delta = Delta(COARSE_BOUNDS)

    def count(self, name: str, amount: float) -> None:
        """Add to a counter, if it is drawn."""
        if name in COUNTERS:
            self._delta.count(name, amount)

    def observe(self, name: str, values: Iterable[float]) -> None:
        """Add values to a histogram, if it is drawn."""
        if name in HISTOGRAMS:
            self._delta.observe(name, values)

    def merge(self, name: str, values: Histogram) -> None:
        """Add a histogram's values, if it is drawn."""
        if name in HISTOGRAMS:
            self._delta.merge(name, values.coarse())

    def see(self, live: Live) -> None:
        """Note who runs now: the most at once are kept."""
        for name in PEAKS:
            self._delta.peak(name, live.gauge(name))

    def take(self) -> Delta:
        """Return what was gathered, and begin anew."""
        delta, self._delta = self._delta, Delta(COARSE_BOUNDS)
        return delta


class ChartedWindow:
    """A window of which some is kept.

    Args:
        window: Told everything, and asked.
        chart: Told what it keeps.
    """

    def __init__(self, window: Window, chart: Chart) -> None:
        self._window = window
        self._chart = chart

    def count(self, name: str, amount: float = 1) -> None:
        self._window.count(name, amount)
        self._chart.count(name, amount)

    def observe(self, name: str, values: Iterable[float]) -> None:
        values = tuple(values)
        self._window.observe(name, values)
        self._chart.observe(name, values)

    def merge(self, name: str, values: Histogram) -> None:
        self._window.merge(name, values)
        self._chart.merge(name, values)

    def hold(self, name: str, value: float) -> None:
        self._window.hold(name, value)

    def read(self) -> WindowTotals:
        return self._window.read()

    def live(self) -> Live:
        return self._window.live()
