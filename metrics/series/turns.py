"""Turns: their first and further tokens, and how they end."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client import Histogram as BucketHistogram
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from metrics import labels
from metrics.histogram import Histogram

FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 30)
_PART_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TURN_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500)

GAP_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.315, 0.63, 1.25, 2.5, 5, 10)
"""Bounds of the gap series; each is one of `metrics.histogram.BOUNDS`."""


class GapCollector(Collector):
    """The gaps between deltas: a turn's are added in one go, at a bisection each."""

    name = "chat_inter_token_latency_seconds"

    def __init__(self, registry: CollectorRegistry) -> None:
        self.gaps = Histogram()
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self.name, "Seconds between two deltas of one turn.")
        family.add_metric([], self.gaps.cumulative(GAP_BOUNDS_S), self.gaps.sum)
        yield family


class TurnSeries:
    """Turns, their first and further tokens, and how they end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.turns = Counter(
            "chat_turns_total", "Turns that ended.", ["outcome", "arm"], registry=registry
        )
        self.active = Gauge("chat_turns_active", "Turns that run now.", registry=registry)
        self.first_token = BucketHistogram(
            "chat_time_to_first_token_seconds",
            "Seconds from receiving the request to the first delta.",
            ["arm"],
            buckets=FIRST_TOKEN_S,
            registry=registry,
        )
        self.duration = BucketHistogram(
            "chat_turn_duration_seconds",
            "Seconds from receiving the request to the end of the turn.",
            ["outcome"],
            buckets=_TURN_S,
            registry=registry,
        )
        self.tokens = Counter(
            "chat_tokens_total", "Tokens of the model.", ["kind", "source"], registry=registry
        )
        self.errors = Counter(
            "chat_source_errors_total", "Turns that ended in an error.", ["code"], registry=registry
        )
        self.continued = Counter(
            "chat_turns_continued_total",
            "Answers that broke off and were gone on with.",
            ["cause"],
            registry=registry,
        )
        self.taken_over = Counter(
            "chat_turns_taken_over_total", "Turns of lost workers taken over.", registry=registry
        )
        self.queue_wait = BucketHistogram(
            "chat_turn_queue_wait_seconds",
            "Seconds that a request for a turn waited before anything was done for it.",
            buckets=_PART_S,
            registry=registry,
        )
        self.parts = BucketHistogram(
            "chat_time_to_first_token_part_seconds",
            "Seconds of the parts of the time to the first token.",
            ["part"],
            buckets=_PART_S,
            registry=registry,
        )
        self.stalls = Counter(
            "chat_stalls_total", "Gaps between two deltas of over 2 s.", registry=registry
        )
        self.duplicates = Counter(
            "chat_duplicates_dropped_total",
            "Text or entries that came a second time, and were left out.",
            ["where"],
            registry=registry,
        )
        self.gaps = GapCollector(registry).gaps
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for cause in labels.CONTINUE_CAUSES:
            self.continued.labels(cause)
        for part in labels.FIRST_TOKEN_PARTS:
            self.parts.labels(part)
        for where in labels.DUPLICATES:
            self.duplicates.labels(where)
        for arm in labels.ARMS:
            self.first_token.labels(arm)
            for outcome in labels.OUTCOMES:
                self.turns.labels(outcome, arm)
