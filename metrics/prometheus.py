"""The series for a monitoring server, on a registry of our own.

Base units (seconds, bytes), names that begin with `chat_`, label values from closed sets
(`metrics.labels`). Series whose labels are few and known start at zero, so that a first failure
shows as a rise. `docs/monitoring.md` lists them all; a test holds the two together.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client import Histogram as BucketHistogram
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from metrics import labels
from metrics.histogram import Histogram

_FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 30)
_TURN_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500)
_REQUEST_S = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 25, 100)
_FIRST_AUDIO_S = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 16, 30)
_SPEECH_CALL_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10)
_LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

GAP_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.315, 0.63, 1.25, 2.5, 5, 10)
"""Bounds of the gap series; each is one of `metrics.histogram.BOUNDS`."""


class Exposition:
    """A registry, and the text that a scrape is answered with."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def render(self) -> tuple[bytes, str]:
        """Return the series as text and its content type; about a millisecond of work.

        Always the one format that every scraper reads: the library's own choice by the `Accept`
        header raises on a version that is no number.
        """
        return generate_latest(_WithoutCreated(self.registry)), CONTENT_TYPE_PLAIN_0_0_4


class _WithoutCreated(CollectorRegistry):
    """A view of a registry that leaves out `_created`: a second series for each, of no use here.

    The library can only switch them off for the whole process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._source = registry

    def collect(self) -> Iterable[Metric]:
        for family in self._source.collect():
            family.samples = [s for s in family.samples if not s.name.endswith("_created")]
            yield family


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
            buckets=_FIRST_TOKEN_S,
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
        self.gaps = GapCollector(registry).gaps
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for cause in labels.CONTINUE_CAUSES:
            self.continued.labels(cause)
        for arm in labels.ARMS:
            self.first_token.labels(arm)
            for outcome in labels.OUTCOMES:
                self.turns.labels(outcome, arm)


class DependencySeries:
    """What turns are made with: the token sources, the history, Redis."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = Counter(
            "chat_source_calls_total",
            "Answers asked of a token source, by how they ended.",
            ["source", "outcome"],
            registry=registry,
        )
        self.retries = Counter(
            "chat_source_retries_total", "Times a token source was asked again.", registry=registry
        )
        self.breaker_open = Gauge(
            "chat_source_breaker_open",
            "Whether the breaker of a token source is open (1) or closed (0).",
            ["source"],
            registry=registry,
        )
        self.budget_exhausted = Counter(
            "chat_retry_budget_exhausted_total",
            "Further calls that the retry budget did not grant.",
            registry=registry,
        )
        self.history_failures = Counter(
            "chat_history_failures_total",
            "Calls to the history that failed.",
            ["operation"],
            registry=registry,
        )
        self.history_breaker_open = Gauge(
            "chat_history_breaker_open",
            "Whether the breaker of the history is open (1) or closed (0).",
            registry=registry,
        )
        self.redis_down = Gauge(
            "chat_redis_down",
            "1 while turns cannot be shared with other processes, as Redis is lost.",
            registry=registry,
        )
        self.redis_breaker_open = Gauge(
            "chat_redis_breaker_open",
            "Whether the breaker of Redis is open (1) or closed (0).",
            registry=registry,
        )


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
        self.failures = Counter(
            "chat_metrics_failures_total", "Records that could not be made.", registry=registry
        )


class SpeechSeries:
    """The spoken answer: its units, and the engines that are asked for them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.first_audio = BucketHistogram(
            "chat_time_to_first_audio_seconds",
            "Seconds from receiving the request to the first audio.",
            ["engine"],
            buckets=_FIRST_AUDIO_S,
            registry=registry,
        )
        self.units = Counter(
            "chat_speech_units_total",
            "Units of speech that were spoken or failed.",
            ["engine", "outcome"],
            registry=registry,
        )
        self.calls = Counter(
            "chat_speech_calls_total",
            "Calls to a speech engine, each try counted.",
            ["engine", "outcome"],
            registry=registry,
        )
        self.call_duration = BucketHistogram(
            "chat_speech_call_duration_seconds",
            "Seconds that a call to a speech engine took, unless it was cancelled.",
            ["engine"],
            buckets=_SPEECH_CALL_S,
            registry=registry,
        )
        self.breaker_open = Gauge(
            "chat_speech_breaker_open",
            "Whether the breaker of a speech engine is open (1) or closed (0).",
            ["engine"],
            registry=registry,
        )


@dataclass(frozen=True, slots=True)
class FlagFigures:
    """What the flags are now. `age_s`: since the store confirmed them, None where it never did."""

    version: int
    is_stale: bool
    age_s: float | None
    streaming_share: float
    is_streaming_killed: bool


class FlagSeries(Collector):
    """The flags: asked for at each scrape, so that they cannot be out of date."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.watched: Callable[[], FlagFigures] | None = None
        self.exposures = Counter(
            "chat_flag_exposures_total",
            "Users who were given a variant of the flag streaming, once an epoch.",
            ["variant"],
            registry=registry,
        )
        self.failures = Counter(
            "chat_flag_evaluation_failures_total",
            "Evaluations of the flag streaming that gave its default for a fault.",
            registry=registry,
        )
        for variant in labels.ARMS:
            self.exposures.labels(variant)
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        if self.watched is None:
            return
        now = self.watched()
        figures: tuple[tuple[str, str, float | None], ...] = (
            ("chat_flags_version", "Version of the flags that are served.", now.version),
            ("chat_flags_stale", "1 while the flags' store cannot be reached.", now.is_stale),
            ("chat_flags_age_seconds", "Seconds since the store confirmed the flags.", now.age_s),
            ("chat_streaming_rollout_ratio", "Share of users streamed to.", now.streaming_share),
            ("chat_streaming_killed", "1 while streaming is killed.", now.is_streaming_killed),
        )
        for name, meaning, value in figures:
            if value is not None:
                yield GaugeMetricFamily(name, meaning, float(value))


class PageSeries:
    """What pages report; anybody can send a beacon, so alert on none of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.first_token = BucketHistogram(
            "chat_page_time_to_first_token_seconds",
            "Seconds from sending a message to its first text, as a page saw it.",
            buckets=_FIRST_TOKEN_S,
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
