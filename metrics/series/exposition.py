"""A registry, and the text that a scrape is answered with."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest


class Exposition:
    """A registry, and the text that a scrape is answered with; it counts what it lacks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.failures = Counter(
            "chat_metrics_failures_total",
            "Records that could not be made.",
            registry=self.registry,
        )

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
