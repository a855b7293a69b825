"""The process: requests, its event loop, its caches, and its own recording."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter
from prometheus_client import Histogram as BucketHistogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_REQUEST_S = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 25, 100)
_LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class ServiceSeries:
    """The process: requests, its event loop, its caches, and its own recording."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "chat_http_requests_total",
            "HTTP requests answered.",
            ["route", "method", "status"],
            registry=registry,
        )
        self.request_duration = BucketHistogram(
            "chat_http_request_duration_seconds",
            "Seconds from receiving a request to the last byte of its answer.",
            ["route"],
            buckets=_REQUEST_S,
            registry=registry,
        )
        self.loop_lag = BucketHistogram(
            "chat_event_loop_lag_seconds",
            "Seconds by which a timer of the event loop came late.",
            buckets=_LAG_S,
            registry=registry,
        )
        self.cache_lookups = Counter(
            "chat_cache_lookups_total", "Cache lookups.", ["cache", "result"], registry=registry
        )
        self.cache_failures = Counter(
            "chat_cache_failures_total",
            "Calls that a cache did not serve, as it cannot be reached.",
            ["cache"],
            registry=registry,
        )


@dataclass(frozen=True, slots=True)
class SharingFigures:
    """Figures that are not where they belong: for how long some wait, and how many were dropped."""

    behind_s: float
    dropped: int


class SharingSeries(Collector):
    """Figures on their way to other workers and to the archive: asked for at each scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.watched: Callable[[], SharingFigures] | None = None
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        if self.watched is None:
            return
        now = self.watched()
        yield GaugeMetricFamily(
            "chat_metrics_behind_seconds",
            "Seconds for which the oldest figures have not reached other workers or the archive.",
            now.behind_s,
        )
        yield CounterMetricFamily(
            "chat_metrics_dropped_total",
            "Batches of figures dropped, as they could not be shared or archived for too long.",
            now.dropped,
        )


class WorkerSeries(Collector):
    """What runs here: a 1 with the release in its labels, to be joined with other series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.release: tuple[str, str] | None = None
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        if self.release is None:
            return
        meaning = "Release of the worker and of its Python."
        family = GaugeMetricFamily("chat_worker_info", meaning, labels=["version", "python"])
        family.add_metric(self.release, 1)
        yield family
