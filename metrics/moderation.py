"""What became of texts that were checked before they were asked or shown."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from metrics.labels import known

STAGES = ("input", "output")
VERDICTS = ("passed", "flagged", "blocked", "unavailable")
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


class ModerationSeries:
    """Verdicts, and how long the moderators took; nothing is recorded where nothing is checked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._verdicts = Counter(
            "chat_moderation_verdicts_total",
            "Texts that were checked, by what became of them.",
            ["stage", "verdict"],
            registry=registry,
        )
        for stage in STAGES:
            for verdict in VERDICTS:
                self._verdicts.labels(stage, verdict)
        self._seconds = Histogram(
            "chat_moderation_check_seconds",
            "Seconds that one call of a moderator took, failed ones included.",
            buckets=_BUCKETS_S,
            registry=registry,
        )

    def judged(self, stage: str, verdict: str) -> None:
        """Count one text."""
        self._verdicts.labels(known(stage, STAGES), known(verdict, VERDICTS)).inc()

    def took(self, seconds: float) -> None:
        """Record one call of a moderator."""
        self._seconds.observe(seconds)
