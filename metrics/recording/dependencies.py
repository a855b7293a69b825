"""What is recorded of the token sources, the history and Redis."""

import time
from collections.abc import Callable

from metrics import labels
from metrics.base import Window
from metrics.labels import known
from metrics.recording.base import Recording, fails_open, valid
from metrics.series.dependencies import DependencySeries


class DependencyRecording(Recording):  # one short method for each thing
    """Records calls to what turns are made with, and what became of them."""

    def __init__(
        self, window: Window | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(window, clock=clock)
        self._dependencies = DependencySeries(self._registry)

    @fails_open
    def source_retried(self) -> None:
        """Record that a token source was asked again."""
        self._window.count("source_retries")
        self._dependencies.retries.inc()

    @fails_open
    def source_called(self, source: str, outcome: str) -> None:
        """Record one answer of a token source: finished, left, or the code of its failure."""
        source = known(source, labels.SOURCES)
        outcome = known(outcome, labels.CALL_ENDS)
        self._dependencies.calls.labels(source, outcome).inc()

    @fails_open
    def source_breaker_changed(self, source: str, *, is_open: bool) -> None:
        """Record that a token source is left alone from now on (also while probed), or no more."""
        source = known(source, labels.SOURCES)
        self._dependencies.breaker_open.labels(source).set(is_open)

    @fails_open
    def retry_refused(self) -> None:
        """Record a further call that the retry budget did not grant."""
        self._dependencies.budget_exhausted.inc()

    @fails_open
    def history_failed(self, operation: str) -> None:
        """Record a call to the history that failed."""
        operation = known(operation, labels.HISTORY_OPERATIONS)
        self._window.count(f"history_failures.{operation}")
        self._dependencies.history_failures.labels(operation).inc()

    @fails_open
    def history_breaker_changed(self, *, is_open: bool) -> None:
        """Record that the history is left alone from now on (also while probed), or no more."""
        self._dependencies.history_breaker_open.set(is_open)

    @fails_open
    def redis_breaker_changed(self, *, is_open: bool) -> None:
        """Record that Redis is left alone from now on (also while probed), or no more."""
        self._dependencies.redis_breaker_open.set(is_open)

    @fails_open
    def redis_seen(self, *, is_down: bool) -> None:
        """Record whether turns can be shared with other processes through Redis now."""
        self._dependencies.redis_down.set(is_down)

    @fails_open
    def dependency_called(self, dependency: str, seconds: float, *, is_ok: bool) -> None:
        """Record a call to the history or to Redis, or the opening of a model's answer."""
        dependency = known(dependency, labels.DEPENDENCIES)
        self._window.observe(f"dependency.{dependency}", (valid(seconds),))
        self._dependencies.duration.labels(dependency).observe(seconds)
        if not is_ok:
            self._window.count(f"dependency_errors.{dependency}")
            self._dependencies.errors.labels(dependency).inc()
