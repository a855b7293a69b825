"""The one recorder the service uses: everything goes to Prometheus and to the window.

Recording fails open: it never raises and never waits; what could not be recorded is counted
(`chat_metrics_failures_total`). Nothing is recorded per token: a turn's gaps come at its end.
"""

import time
from collections.abc import Callable

from metrics.alerts import AlertSeries
from metrics.base import Window
from metrics.limits import LimitSeries
from metrics.moderation import ModerationSeries
from metrics.recording.dependencies import DependencyRecording
from metrics.recording.flags import FlagRecording
from metrics.recording.readers import ReaderRecording
from metrics.recording.service import ServiceRecording
from metrics.recording.speech import SpeechRecording
from metrics.recording.turns import EndedTurn, FirstTokenParts, TurnRecording
from metrics.refusals import RefusalSeries
from metrics.snapshot import StreamingSnapshot, streaming_snapshot

__all__ = ["EndedTurn", "FirstTokenParts", "TurnMetrics"]


class TurnMetrics(
    TurnRecording,
    DependencyRecording,
    ReaderRecording,
    SpeechRecording,
    FlagRecording,
    ServiceRecording,
):
    """Records what happens to turns, readers and requests in one process.

    Each instance has its own registry and window; use it from the event loop's thread.

    Args:
        window: Where the last minutes are kept; in memory if None.
        clock: Monotonic seconds.

    Attributes:
        alerts: The series of messages to operators.
        limits: The series of what this process takes at most.
        moderation: The series of texts that were checked.
        refusals: The series of what limits refuse.
    """

    def __init__(
        self, window: Window | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(window, clock=clock)
        self._started_at = clock()
        self.alerts = AlertSeries(self._registry)
        self.limits = LimitSeries(self._registry)
        self.moderation = ModerationSeries(self._registry)
        self.refusals = RefusalSeries(self._registry)

    def snapshot(self) -> StreamingSnapshot:
        """Return what the window says now, of all workers it knows of; a few ms of work."""
        return streaming_snapshot(self._window.read())

    @property
    def uptime_s(self) -> float:
        """Seconds since this process began to record."""
        return self._clock() - self._started_at

    def exposition(self) -> tuple[bytes, str]:
        """Return the answer to a Prometheus scrape and its content type."""
        return self._exposition.render()
