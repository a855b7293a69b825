"""What the window says about streaming, as values; pure but for its arguments."""

from collections.abc import Mapping
from dataclasses import dataclass

from metrics import labels
from metrics.base import Live, WindowTotals
from metrics.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of seconds; None where nothing was recorded."""

    count: int
    mean_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class ArmSnapshot:
    """The turns of one arm of the rollout, or of both together.

    Rates leave cancelled turns out: that somebody pressed stop says nothing about the service.
    They are None where no turn ended otherwise.
    """

    started: int
    outcomes: Mapping[str, int]
    ttft: Latency
    duration: Latency

    @property
    def settled(self) -> int:
        """Turns that ended, but for the cancelled."""
        return sum(self.outcomes.values()) - self.outcomes.get("cancelled", 0)

    @property
    def success_rate(self) -> float | None:
        """Share of the settled turns that completed."""
        return self.outcomes.get("completed", 0) / self.settled if self.settled else None

    @property
    def error_rate(self) -> float | None:
        """Share of the settled turns that failed or were interrupted."""
        errors = self.settled - self.outcomes.get("completed", 0)
        return errors / self.settled if self.settled else None


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Lookups in one cache."""

    hits: int
    misses: int

    @property
    def hit_rate(self) -> float | None:
        """Share of the lookups that hit; None without any."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else None


@dataclass(frozen=True, slots=True)
class SpeechSnapshot:
    """The spoken answers. `units` and `calls` are by engine, then by outcome."""

    first_audio: Latency
    call_duration: Latency
    units: Mapping[str, Mapping[str, int]]
    calls: Mapping[str, Mapping[str, int]]
    sentences: int
    gaps: Latency


@dataclass(frozen=True, slots=True)
class DependencyUse:
    """Calls to something that turns are made with."""

    duration: Latency
    errors: int


@dataclass(frozen=True, slots=True)
class StreamingSnapshot:
    """The last minutes of all workers: everything counts within `window_s` but what is in `live`.

    Mappings name only what was counted. `ttft_parts` are by `labels.FIRST_TOKEN_PARTS`, `tokens` by
    kind; `output_tokens_per_s` is the pace of an answer from its first delta to its end, over all
    turns that tell.
    """

    window_s: float
    live: Live
    all: ArmSnapshot
    arms: Mapping[str, ArmSnapshot]
    queue_wait: Latency
    ttft_parts: Mapping[str, Latency]
    gaps: Latency
    stalls: int
    loop_lag: Latency
    page_ttft: Latency
    tokens: Mapping[str, int]
    output_tokens_per_s: float | None
    turns_without_text: int
    errors: Mapping[str, int]
    attaches: Mapping[str, int]
    resets: Mapping[str, int]
    readers_closed: Mapping[str, int]
    history_failures: Mapping[str, int]
    requests: Mapping[str, int]
    source_retries: int
    duplicates: Mapping[str, int]
    dependencies: Mapping[str, DependencyUse]
    page_reconnects: int
    caches: Mapping[str, CacheUse]
    speech: SpeechSnapshot

    @property
    def active_turns(self) -> int:
        """Turns that run now."""
        return self.live.gauge("active_turns")

    @property
    def active_readers(self) -> int:
        """Event streams that are open now."""
        return self.live.gauge("active_readers")


def streaming_snapshot(totals: WindowTotals) -> StreamingSnapshot:
    """Return what the window's totals say; the names are those that `TurnMetrics` records."""
    return StreamingSnapshot(
        window_s=totals.covers_s,
        live=totals.live,
        all=arm_snapshot(totals, *labels.ARMS),
        arms={arm: arm_snapshot(totals, arm) for arm in labels.ARMS},
        queue_wait=latency_of(totals.histogram("queue_wait")),
        ttft_parts={
            part: latency_of(totals.histogram(f"ttft_part.{part}"))
            for part in labels.FIRST_TOKEN_PARTS
        },
        gaps=latency_of(totals.histogram("gaps")),
        stalls=totals.count("stalls"),
        loop_lag=latency_of(totals.histogram("loop_lag")),
        page_ttft=latency_of(totals.histogram("page.ttft")),
        tokens={kind: totals.count(f"tokens.{kind}") for kind in labels.TOKEN_KINDS},
        output_tokens_per_s=_pace(totals),
        turns_without_text=totals.count("turns.without_text"),
        errors=totals.group("errors."),
        attaches=totals.group("attaches."),
        resets=totals.group("resets."),
        readers_closed=totals.group("readers_closed."),
        history_failures=totals.group("history_failures."),
        requests=totals.group("requests."),
        source_retries=totals.count("source_retries"),
        duplicates=totals.group("duplicates."),
        dependencies={name: _dependency(totals, name) for name in labels.DEPENDENCIES},
        page_reconnects=totals.count("page.reconnects"),
        caches={name: cache_use(totals, name) for name in labels.CACHES},
        speech=_speech(totals),
    )


def arm_snapshot(totals: WindowTotals, *arms: str) -> ArmSnapshot:
    """Return the turns of these arms together."""
    names = (*labels.OUTCOMES, labels.OTHER)
    return ArmSnapshot(
        started=sum(totals.count(f"started.{arm}") for arm in arms),
        outcomes={
            name: sum(totals.count(f"ended.{arm}.{name}") for arm in arms)
            for name in names
            if name in labels.OUTCOMES or any(totals.count(f"ended.{arm}.{name}") for arm in arms)
        },
        ttft=latency_of(totals.histogram(*(f"ttft.{arm}" for arm in arms))),
        duration=latency_of(totals.histogram(*(f"duration.{arm}" for arm in arms))),
    )


def latency_of(histogram: Histogram) -> Latency:
    """Return what a histogram says."""
    p50, p95, p99 = (histogram.percentile(share) for share in (0.5, 0.95, 0.99))
    return Latency(histogram.count, histogram.mean, p50, p95, p99)


def _pace(totals: WindowTotals) -> float | None:
    seconds = totals.counters.get("pace.seconds", 0)
    return totals.count("pace.tokens") / seconds if seconds > 0 else None


def cache_use(totals: WindowTotals, name: str) -> CacheUse:
    """Return the lookups in a cache."""
    return CacheUse(totals.count(f"cache.{name}.hit"), totals.count(f"cache.{name}.miss"))


def _dependency(totals: WindowTotals, name: str) -> DependencyUse:
    return DependencyUse(
        latency_of(totals.histogram(f"dependency.{name}")),
        totals.count(f"dependency_errors.{name}"),
    )


def _speech(totals: WindowTotals) -> SpeechSnapshot:
    return SpeechSnapshot(
        first_audio=latency_of(totals.histogram("speech.first_audio")),
        call_duration=latency_of(totals.histogram("speech.call_duration")),
        units=_by_engine(totals.group("speech.units.")),
        calls=_by_engine(totals.group("speech.calls.")),
        sentences=totals.count("speech.sentences"),
        gaps=latency_of(totals.histogram("speech.gaps")),
    )


def _by_engine(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for name, count in counts.items():
        engine, _, outcome = name.partition(".")
        nested.setdefault(engine, {})[outcome] = count
    return nested
