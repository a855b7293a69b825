"""What turns are made with: the token sources, the history, Redis."""

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client import Histogram as BucketHistogram

from metrics import labels

_CALL_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


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
        self.duration = BucketHistogram(
            "chat_dependency_duration_seconds",
            "Seconds that a call to a dependency took, whether it held or failed.",
            ["dependency"],
            buckets=_CALL_S,
            registry=registry,
        )
        self.errors = Counter(
            "chat_dependency_errors_total",
            "Calls to a dependency that failed.",
            ["dependency"],
            registry=registry,
        )
        for dependency in labels.DEPENDENCIES:
            self.errors.labels(dependency)
