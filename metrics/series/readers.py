"""Readers of turns, as this process and as their pages see them."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client import Histogram as BucketHistogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from metrics import labels
from metrics.series.turns import FIRST_TOKEN_S, GAP_BOUNDS_S


class ReaderSeries:
    """Readers of turns' logs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.active = Gauge("chat_readers_active", "Event streams open now.", registry=registry)
        self.attaches = Counter(
            "chat_attaches_total", "Attempts to read a log.", ["result"], registry=registry
        )
        self.resets = Counter(
            "chat_resets_total", "Resets sent to readers.", ["reason"], registry=registry
        )
        self.closed = Counter(
            "chat_readers_closed_total", "Event streams closed.", ["reason"], registry=registry
        )
        for reason in labels.CLOSE_REASONS:
            self.closed.labels(reason)


class LogSeries(Collector):
    """The logs held in memory: measured at each scrape. `watched` returns their bytes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.watched: Callable[[], int] | None = None
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        if self.watched is not None:
            meaning = "Bytes of turns' logs held in memory for readers."
            yield GaugeMetricFamily("chat_log_bytes", meaning, float(self.watched()))


class PageSeries:
    """What pages report; anybody can send a beacon, so alert on none of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.first_token = BucketHistogram(
            "chat_page_time_to_first_token_seconds",
            "Seconds from sending a message to its first text, as a page saw it.",
            buckets=FIRST_TOKEN_S,
            registry=registry,
        )
        self.gaps = BucketHistogram(
            "chat_page_gap_seconds",
            "Seconds between two deltas, one figure a turn, as a page saw it.",
            ["statistic"],
            buckets=GAP_BOUNDS_S,
            registry=registry,
        )
        self.reconnects = Counter(
            "chat_page_reconnects_total", "Times a page had to reconnect.", registry=registry
        )
