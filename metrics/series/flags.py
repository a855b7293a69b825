"""The flags, and the rollout that moves one of them: asked for at each scrape."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from metrics import labels


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


@dataclass(frozen=True, slots=True)
class RolloutFigures:
    """Where the guarded rollout of `streaming` is, and whether this process decides on it.

    `state` is one of `labels.ROLLOUT_STATES`.
    """

    state: str
    is_leader: bool


class RolloutSeries(Collector):
    """The guarded rollout: asked for at each scrape, but for its moves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.watched: Callable[[], RolloutFigures] | None = None
        self.transitions = Counter(
            "chat_rollout_transitions_total",
            "Moves of the guarded rollout of streaming that this process made.",
            ["action"],
            registry=registry,
        )
        for action in labels.ROLLOUT_ACTIONS:
            self.transitions.labels(action)
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        if self.watched is None:
            return
        now = self.watched()
        known = labels.known(now.state, labels.ROLLOUT_STATES)
        meaning = "1 for the state that the guarded rollout of streaming is in, else 0."
        states = GaugeMetricFamily("chat_rollout_state", meaning, labels=["state"])
        for state in (*labels.ROLLOUT_STATES, labels.OTHER):
            if state != labels.OTHER or known == labels.OTHER:
                states.add_metric([state], float(state == known))
        yield states
        meaning = "1 while this process decides on the guarded rollout, else 0."
        yield GaugeMetricFamily("chat_rollout_leader", meaning, float(now.is_leader))
