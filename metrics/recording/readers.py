"""What is recorded of readers, and of what pages report."""

import time
from collections.abc import Callable, Mapping

from metrics import labels
from metrics.base import Window
from metrics.labels import known
from metrics.recording.base import Recording, fails_open, valid
from metrics.series.readers import LogSeries, PageSeries, ReaderSeries


class ReaderRecording(Recording):
    """Records who reads turns, and what they saw."""

    def __init__(
        self, window: Window | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(window, clock=clock)
        self._readers = ReaderSeries(self._registry)
        self._page = PageSeries(self._registry)
        self._logs = LogSeries(self._registry)
        self._active_readers = 0

    @fails_open
    def reader_opened(self) -> None:
        """Record an event stream that opens; exactly one `reader_closed` follows."""
        self._active_readers += 1
        self._readers.active.set(self._active_readers)
        self._window.hold("active_readers", self._active_readers)

    @fails_open
    def reader_closed(self, reason: str) -> None:
        """Record an event stream that closed: end, disconnect, slow or bye."""
        self._active_readers = max(0, self._active_readers - 1)
        self._readers.active.set(self._active_readers)
        self._window.hold("active_readers", self._active_readers)
        reason = known(reason, labels.CLOSE_REASONS)
        self._window.count(f"readers_closed.{reason}")
        self._readers.closed.labels(reason).inc()

    @fails_open
    def attached(self, result: str) -> None:
        """Record how an attempt to read a log was answered."""
        result = known(result, labels.ATTACH_RESULTS)
        self._window.count(f"attaches.{result}")
        self._readers.attaches.labels(result).inc()

    @fails_open
    def reset_sent(self, reason: str) -> None:
        """Record a reset that a reader was sent."""
        reason = known(reason, labels.RESET_REASONS)
        self._window.count(f"resets.{reason}")
        self._readers.resets.labels(reason).inc()

    @fails_open
    def page_reported(
        self, *, ttft_s: float | None, gaps_s: Mapping[str, float], reconnects: int
    ) -> None:
        """Record what a page saw of one turn; `gaps_s` by statistic: p50, p95, max."""
        if ttft_s is not None:
            self._window.observe("page.ttft", (valid(ttft_s),))
            self._page.first_token.observe(ttft_s)
        for statistic, seconds in gaps_s.items():
            self._page.gaps.labels(known(statistic, labels.PAGE_GAPS)).observe(valid(seconds))
        self._window.count("page.reconnects", reconnects)
        self._page.reconnects.inc(reconnects)

    @property
    def active_readers(self) -> int:
        """Event streams that are open in this process."""
        return self._active_readers

    def watch_logs(self, held_bytes: Callable[[], int]) -> None:
        """Ask for the bytes of the logs held in memory at each scrape and each `tell_logs`."""
        self._logs.watched = held_bytes

    @fails_open
    def tell_logs(self) -> None:
        """Let the window know how much the logs hold now."""
        if self._logs.watched is not None:
            self._window.hold("log_bytes", self._logs.watched())
