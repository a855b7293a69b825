"""What a process takes at most: beside what it has now, it tells how full it is."""

from prometheus_client import CollectorRegistry, Gauge


class LimitSeries:
    """The bounds that the settings give a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._turns = Gauge(
            "chat_turns_limit", "Turns that may run at once in this process.", registry=registry
        )
        self._readers = Gauge(
            "chat_readers_limit",
            "Event streams that may be open at once in this process.",
            registry=registry,
        )

    def set(self, *, turns: int, readers: int) -> None:
        """Take the bounds; at the start, once."""
        self._turns.set(turns)
        self._readers.set(readers)
