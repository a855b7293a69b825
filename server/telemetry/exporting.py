"""Sending calls to a collector, in threads of its own: what hangs there is waited for by nobody.

The only module that knows OpenTelemetry's packages. Everything is bounded: calls that wait, spans
that wait, each request, and the end.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from server.telemetry import names
from server.telemetry.calls import ModelCall
from server.telemetry.histograms import Histograms, Point

log = structlog.get_logger(__name__)

MAX_WAITING = 2048
"""Calls that wait to become spans, and spans that wait to be sent; the oldest are dropped."""

TAKE_EVERY_S = 0.5
METRICS_EVERY_S = 15.0
REQUEST_S = 5.0
FLUSH_S = 3.0
"""To send the last ones when the process ends; what is not sent then is lost."""

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Collector:
    """Where telemetry goes. `endpoint` is without the signal's path; `headers` may hold a key."""

    endpoint: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose telemetry it is: names of the service, its release, its process and its models."""

    service: str
    version: str
    worker_id: str
    provider: str


class Exporter:
    """Takes calls, and sends them as spans and metrics.

    Args:
        collector: Where to.
        origin: Whose they are.
    """

    def __init__(self, collector: Collector, origin: Origin) -> None:
        self._origin = origin
        base, headers = collector.endpoint.rstrip("/"), dict(collector.headers)
        self._resource = Resource.create(
            {
                "service.name": origin.service,
                "service.version": origin.version,
                "service.instance.id": origin.worker_id,
            }
        )
        spans = OTLPSpanExporter(f"{base}/v1/traces", headers=headers, timeout=REQUEST_S)
        self._tracers = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._tracers.add_span_processor(BatchSpanProcessor(spans, max_queue_size=MAX_WAITING))
        self._tracer = self._tracers.get_tracer("chatstream", origin.version)
        self._metrics = OTLPMetricExporter(f"{base}/v1/metrics", headers=headers, timeout=REQUEST_S)
        self._scope = InstrumentationScope("chatstream", origin.version)
        self._parents = TraceContextTextMapPropagator()
        self._histograms = Histograms(origin.provider)
        self._started_ns = time.time_ns()
        self._waiting: deque[ModelCall] = deque(maxlen=MAX_WAITING)
        self._adding = threading.Lock()
        self._ending, self._all_taken = threading.Event(), threading.Event()
        # Daemons: a process that ends does not wait for a collector that hangs.
        self._threads = [
            threading.Thread(target=self._take_all, name="telemetry spans", daemon=True),
            threading.Thread(target=self._send_metrics, name="telemetry metrics", daemon=True),
        ]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def take(self, call: ModelCall) -> None:
        """Take a call that has ended; in a microsecond, from any thread."""
        self._waiting.append(call)

    async def close(self) -> None:
        """Send what is left, for `FLUSH_S` at the most."""
        self._ending.set()
        with anyio.move_on_after(FLUSH_S, shield=True):
            while any(thread.is_alive() for thread in self._threads):  # noqa: ASYNC110  # threads
                await anyio.sleep(0.01)
            return
        log.warning("telemetry.not_flushed", waiting=len(self._waiting))

    def _take_all(self) -> None:
        while not self._ending.wait(TAKE_EVERY_S):
            self._take_waiting()
        self._take_waiting()
        self._all_taken.set()
        self._tracers.shutdown()

    def _take_waiting(self) -> None:
        while self._waiting:
            call = self._waiting.popleft()
            with self._adding:
                self._histograms.add(call)
            self._add_span(call)

    def _add_span(self, call: ModelCall) -> None:
        parent: Context | None = None
        if call.traceparent is not None:
            parent = self._parents.extract({"traceparent": call.traceparent})
        span = self._tracer.start_span(
            f"{names.OPERATION} {call.model}",
            context=parent or Context(),
            kind=SpanKind.CLIENT,
            attributes=self._attributes(call),
            start_time=call.ended_ns - round(call.duration_s * _NS),
        )
        if call.error_code is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=call.ended_ns)

    def _attributes(self, call: ModelCall) -> dict[str, AttributeValue]:
        known: dict[str, AttributeValue | None] = {
            names.OPERATION_NAME: names.OPERATION,
            names.PROVIDER_NAME: self._origin.provider,
            names.REQUEST_MODEL: call.model,
            names.REQUEST_STREAM: True,
            names.TIME_TO_FIRST_CHUNK: call.first_chunk_s,
            names.INPUT_TOKENS: call.input_tokens,
            names.OUTPUT_TOKENS: call.output_tokens,
            names.FINISH_REASONS: None if call.finish_reason is None else [call.finish_reason],
            names.ERROR_TYPE: call.error_code,
            names.TURN_ID: call.turn_id,
            names.TURN_OUTCOME: call.outcome,
            names.TURN_STREAMED: call.streamed,
        }
        return {name: value for name, value in known.items() if value is not None}

    def _send_metrics(self) -> None:
        while not self._ending.wait(METRICS_EVERY_S):
            self._metrics.export(self._metrics_data())
        self._all_taken.wait(FLUSH_S)
        self._metrics.export(self._metrics_data())
        self._metrics.shutdown()

    def _metrics_data(self) -> MetricsData:
        now_ns = time.time_ns()
        with self._adding:
            metrics = [
                Metric(
                    name, names.DESCRIPTIONS[name], names.UNITS[name], self._data(points, now_ns)
                )
                for name, points in self._histograms.points.items()
                if points
            ]
        scope = ScopeMetrics(self._scope, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])

    def _data(self, points: Mapping[tuple[tuple[str, str], ...], Point], now_ns: int) -> Histogram:
        return Histogram(
            [
                HistogramDataPoint(
                    attributes=dict(attributes),
                    start_time_unix_nano=self._started_ns,
                    time_unix_nano=now_ns,
                    count=sum(point.counts),
                    sum=point.sum,
                    bucket_counts=list(point.counts),
                    explicit_bounds=list(point.bounds),
                    min=point.least,
                    max=point.most,
                )
                for attributes, point in points.items()
            ],
            AggregationTemporality.CUMULATIVE,
        )
