"""What limits refuse, and whether they are counted together."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from metrics.labels import LIMITS, known


class RefusalSeries:
    """Refusals by limit; how the counting is."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refused = Counter(
            "chat_limit_refusals_total",
            "Calls, streams, turns and speech that a limit refused.",
            ["limit"],
            registry=registry,
        )
        for limit in LIMITS:
            self._refused.labels(limit)
        self._alone = Gauge(
            "chat_limits_alone",
            "1 while this process counts limits by itself, as Redis is lost.",
            registry=registry,
        )

    def refused(self, limit: str) -> None:
        """Count one refusal."""
        self._refused.labels(known(limit, LIMITS)).inc()

    def alone(self, is_alone: bool) -> None:
        """Tell whether this process counts by itself."""
        self._alone.set(is_alone)
