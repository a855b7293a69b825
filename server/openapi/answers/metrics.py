"""Figures. Rates are shares of 1; null where nothing was counted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from server.openapi.answer import Maybe, Told

Counts = Mapping[str, int]
"""How often, by name; what never happened may be missing."""
Verdict = Literal["healthy", "degraded", "unhealthy"]


class Ages(Told):
    """Of the workers, in seconds."""

    longest: float
    shortest: float


class Deployment(Told):
    """All workers together."""

    workers: int
    active_turns: int
    active_readers: int
    uptime_s: Ages


class Connections(Told):
    """Of this worker."""

    sockets: int | None
    readers: int


class ServiceFigures(Told):
    """This process, and the totals of all."""

    service: Literal["chatstream"]
    version: str
    python_version: str
    uptime_s: float
    memory_bytes: int | None
    cpu_s: float
    connections: Connections
    active_turns: int
    requests: Mapping[str, float] = Field(
        description="`window_s`, and the answers in it by class of status, such as `2xx`."
    )
    deployment: Deployment


class HealthCheck(Told):
    """One figure against its two limits; the figures are for operators."""

    status: Verdict
    value: float | Maybe | None = None
    samples: int | Maybe = None
    degraded_above: float | Maybe = None
    unhealthy_above: float | Maybe = None


class StreamingHealth(Told):
    """Whether streaming is well."""

    status: Verdict
    checks: Mapping[str, HealthCheck]


class Distribution(Told):
    """Milliseconds."""

    p50: float | None
    p95: float | None
    p99: float | None
    avg: float | None
    count: int


class Streams(Told):
    """Turns, in the window and now."""

    active: int
    readers: int
    started: int
    completed: int
    failed: int
    cancelled: int
    interrupted: int
    without_text: int
    stalls: int
    duplicates_dropped: Counts
    log_bytes: float


class Latencies(Told):
    """How long things took, in milliseconds."""

    ttft_ms: Distribution
    queue_wait_ms: Distribution
    ttft_part_ms: Mapping[str, Distribution]
    inter_token_ms: Distribution
    turn_duration_ms: Distribution
    event_loop_lag_ms: Distribution
    page_ttft_ms: Distribution
    ttfa_ms: Distribution
    speech_call_ms: Distribution
    audio_gap_ms: Distribution


class SpeechFigures(Told):
    """By engine, then by outcome."""

    units: Mapping[str, Counts]
    calls: Mapping[str, Counts]
    sentences: int


class DependencyFigures(Told):
    """Calls to something that turns are made with."""

    duration_ms: Distribution
    errors: int


class CacheFigures(Told):
    """Lookups."""

    hits: int
    misses: int
    hit_rate: float | None = Field(alias="hitRate")


class ErrorFigures(Told):
    """What went wrong."""

    total: int
    by_code: Counts
    source_retries: int
    history_failures: Counts


class ReaderFigures(Told):
    """How readers came and went."""

    attaches: Counts
    resets: Counts
    closed: Counts
    page_reconnects: int


class StreamingFigures(Told):
    """All of the window."""

    streams: Streams
    latency: Latencies
    speech: SpeechFigures
    dependencies: Mapping[str, DependencyFigures]
    cache: Mapping[str, CacheFigures]
    tokens: Mapping[str, float | None] = Field(description="By kind, and `output_per_s`.")
    errors: ErrorFigures
    readers: ReaderFigures


class Streaming(Told):
    """Figures of all workers over the window."""

    window_s: float
    workers: int
    metrics: StreamingFigures


class ArmFigures(Told):
    """How an arm of the rollout does."""

    turns: int
    success_rate: float | None
    error_rate: float | None
    cancelled: int
    avg_ttft_ms: float | None
    avg_duration_ms: float | None


class StreamingSummary(ArmFigures):
    """What decides whether streaming does well."""

    window_s: float
    workers: int
    active_streams: int
    active_readers: int
    avg_inter_token_ms: float | None
    arms: Mapping[str, ArmFigures]


class ChartTurns(Told):
    """Turns by how they ended."""

    started: int
    completed: int
    failed: int
    cancelled: int
    interrupted: int


class ChartPoint(Told):
    """One step of the charts; what is by arm has `on` and `off`."""

    at: datetime
    turns: Mapping[str, ChartTurns]
    error_rate: Mapping[str, float | None]
    ttft_ms: Mapping[str, Mapping[str, float | None]]
    gap_ms: Mapping[str, float | None]
    active_turns: float | None
    active_readers: float | None
    tokens: Mapping[str, float]
    cache: Mapping[str, CacheFigures]
    event_loop_lag_ms: Mapping[str, float | None]
    page_ttft_ms: Mapping[str, float | None]


class Charts(Told):
    """Figures of the past, oldest first; steps without any worker are missing."""

    range: str
    step_s: int
    points: list[ChartPoint]
