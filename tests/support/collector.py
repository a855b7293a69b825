"""An OpenTelemetry collector: a real HTTP server that takes OTLP, and shows what came."""

import gzip
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketAttribute
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Collector:
    """What came, as it was sent and as it reads. One that `hangs` takes all and answers nothing."""

    port: int = 0
    hangs: bool = False
    requests: int = 0
    headers: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    traces: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[Any]:
        """Return all spans, in the order in which they came."""
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def newest_metrics(self) -> dict[str, Any]:
        """Return the metrics by name, as they were last sent."""
        return {
            metric.name: metric
            for request in self.metrics
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    async def until(self, claim: Callable[["Collector"], bool], *, within_s: float = 20.0) -> None:
        """Wait until something has come."""
        with anyio.fail_after(within_s):
            while not claim(self):  # noqa: ASYNC110  # it happens in another process
                await anyio.sleep(0.02)

    async def serve(self, stream: ByteStream) -> None:
        """Take the requests of one connection."""
        async with stream:
            try:
                while True:
                    await self._take(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async def _take(self, stream: ByteStream) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += await stream.receive()
        head, _, body = received.partition(b"\r\n\r\n")
        named = dict(_fields(head))
        while len(body) < int(named[b"content-length"]):
            body += await stream.receive()
        self.requests += 1
        if self.hangs:
            await anyio.sleep_forever()
        self.headers.append(head)
        if named.get(b"content-encoding") == b"gzip":
            body = gzip.decompress(body)
        self.bodies.append(body)
        if b" /v1/traces " in head:
            self.traces.append(ExportTraceServiceRequest.FromString(body))
        else:
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
        await stream.send(_OK)


def _fields(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        yield name.strip().lower(), value.strip()


def attributes_of(item: Any) -> dict[str, Any]:
    """Return the attributes of a span, a point or a resource, as plain values."""
    found = {}
    for each in item.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        found[each.key] = (
            [one.string_value for one in value.values] if kind == "array_value" else value
        )
    return found


@asynccontextmanager
async def collecting(*, hangs: bool = False) -> AsyncIterator[Collector]:
    """Run a collector until the block ends."""
    collector = Collector(hangs=hangs)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    collector.port = listener.extra_attributes[SocketAttribute.local_port]()
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, collector.serve)
        yield collector
        tasks.cancel_scope.cancel()
