"""What became of the messages that operators are sent."""

from prometheus_client import CollectorRegistry, Counter

from metrics.labels import known

CHANNELS = ("webhook", "email", "none")
"""«none»: what no channel was tried for."""

OUTCOMES = ("sent", "failed", "held", "dropped")


class AlertSeries:
    """Messages to operators; each is counted on each channel that was tried.

    «held»: put off, as the hour had its fill; «dropped»: given up.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._told = Counter(
            "chat_alerts_total",
            "Messages to operators, by what became of them.",
            ["channel", "outcome"],
            registry=registry,
        )
        for channel in CHANNELS:
            outcomes = ("held", "dropped") if channel == "none" else ("sent", "failed")
            for outcome in outcomes:
                self._told.labels(channel, outcome)

    def count(self, channel: str, outcome: str) -> None:
        """Count one message on one channel."""
        self._told.labels(known(channel, CHANNELS), known(outcome, OUTCOMES)).inc()
