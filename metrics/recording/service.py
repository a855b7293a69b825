"""What is recorded of the process: its requests, its event loop, its caches, its records."""

import time
from collections.abc import Callable

from metrics import labels
from metrics.base import Window
from metrics.labels import known
from metrics.recording.base import Recording, fails_open, valid
from metrics.series.service import ServiceSeries, SharingFigures, SharingSeries, WorkerSeries


class ServiceRecording(Recording):
    """Records how the process does."""

    def __init__(
        self, window: Window | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(window, clock=clock)
        self._service = ServiceSeries(self._registry)
        self._sharing = SharingSeries(self._registry)
        self._worker = WorkerSeries(self._registry)
        self._routes = labels.RouteLabels()

    @fails_open
    def loop_lag(self, seconds: float) -> None:
        """Record by how much a timer of the event loop came late."""
        self._window.observe("loop_lag", (valid(seconds),))
        self._service.loop_lag.observe(seconds)

    @fails_open
    def http_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Record an answered request.

        Args:
            route: The template of the route that matched, never the path itself.
            method: HTTP method.
            status: HTTP status.
            seconds: From receiving the request to the last byte of its answer.
        """
        route, status_label = self._routes.label(route), labels.status_label(status)
        self._window.count(f"requests.{labels.status_class(status)}")
        method = known(method, labels.METHODS)
        self._service.requests.labels(route, method, status_label).inc()
        self._service.request_duration.labels(route).observe(valid(seconds))

    @fails_open
    def cache_looked_up(self, cache: str, *, hit: bool) -> None:
        """Record a lookup in a cache that a page or a model would have waited for."""
        cache, result = known(cache, labels.CACHES), "hit" if hit else "miss"
        self._window.count(f"cache.{cache}.{result}")
        self._service.cache_lookups.labels(cache, result).inc()

    @fails_open
    def cache_failed(self, cache: str) -> None:
        """Record a call that a cache did not serve."""
        self._service.cache_failures.labels(known(cache, labels.CACHES)).inc()

    def introduce(self, version: str, python: str) -> None:
        """Say which release runs here."""
        self._worker.release = (version, python)

    def watch_sharing(self, figures: Callable[[], SharingFigures]) -> None:
        """Ask at each scrape which figures are still to be shared; must not block."""
        self._sharing.watched = figures
