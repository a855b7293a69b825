"""Calls as a collector gets them, over a real socket, decoded by OpenTelemetry's own protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from server.telemetry import names
from server.telemetry.calls import ModelCall
from server.telemetry.exporting import FLUSH_S, MAX_WAITING, Collector, Exporter, Origin
from server.telemetry.histograms import MAX_POINTS, Histograms, Point
from tests.support import collector as support

CALL = ModelCall(
    turn_id="turn_1",
    model="gpt-5-mini",
    streamed=True,
    outcome="completed",
    duration_s=2.0,
    first_chunk_s=0.3,
    first_token_s=0.4,
    gaps_s=(0.02, 0.03, 0.5),
    input_tokens=12,
    output_tokens=35,
    finish_reason="stop",
    error_code=None,
    ended_ns=1_800_000_000_000_000_000,
    traceparent=None,
)
FAILED = replace(
    CALL,
    turn_id="turn_2",
    outcome="failed",
    first_chunk_s=None,
    first_token_s=None,
    gaps_s=(),
    finish_reason=None,
    error_code="upstream_timeout",
)


@asynccontextmanager
async def exporting(collector: support.Collector) -> AsyncIterator[Exporter]:
    """Run an exporter to a collector until the block ends; then all is sent."""
    where = Collector(collector.url + "/", {"authorization": "Bearer canary"})
    exporter = Exporter(where, Origin("shop", "1.2.3", "worker_1", "openai"))
    exporter.start()
    yield exporter
    await exporter.close()


async def test_a_call_is_one_span_with_the_names_of_the_conventions() -> None:
    async with support.collecting() as collector, exporting(collector) as exporter:
        exporter.take(CALL)

    (span,) = collector.spans()
    assert span.name == "chat gpt-5-mini"
    assert span.kind == 3  # client
    assert span.end_time_unix_nano == CALL.ended_ns
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2_000_000_000
    assert support.attributes_of(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.3,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 35,
        "chatstream.turn.id": "turn_1",
        "chatstream.turn.outcome": "completed",
        "chatstream.turn.streamed": True,
    }
    assert span.status.code == 0


async def test_what_failed_says_by_which_code() -> None:
    async with support.collecting() as collector, exporting(collector) as exporter:
        exporter.take(FAILED)

    (span,) = collector.spans()
    attributes = support.attributes_of(span)
    assert attributes["error.type"] == "upstream_timeout"
    assert span.status.code == 2
    assert "gen_ai.response.finish_reasons" not in attributes
    assert "gen_ai.response.time_to_first_chunk" not in attributes


async def test_a_call_is_part_of_the_trace_that_its_request_names() -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    async with support.collecting() as collector, exporting(collector) as exporter:
        exporter.take(replace(CALL, traceparent=f"00-{trace}-{parent}-01"))
        exporter.take(replace(CALL, traceparent=f"00-{trace}-{parent}-00"))  # not sampled
        exporter.take(replace(CALL, traceparent=f"00-{'0' * 32}-{parent}-01"))  # none at all

    first, second = collector.spans()
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (trace, parent)
    assert second.trace_id.hex() not in {trace, "0" * 32}
    assert second.parent_span_id == b""


async def test_metrics_have_the_names_units_and_bins_of_the_conventions() -> None:
    async with support.collecting() as collector, exporting(collector) as exporter:
        exporter.take(CALL)
        exporter.take(FAILED)

    metrics = collector.newest_metrics()
    assert set(metrics) == set(names.BOUNDS)
    assert {name: metric.unit for name, metric in metrics.items()} == names.UNITS
    for name, metric in metrics.items():
        assert metric.histogram.aggregation_temporality == 2  # cumulative
        for point in metric.histogram.data_points:
            assert tuple(point.explicit_bounds) == names.BOUNDS[name]
            assert sum(point.bucket_counts) == point.count
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1


async def test_metrics_hold_the_figures_of_all_calls() -> None:
    async with support.collecting() as collector, exporting(collector) as exporter:
        exporter.take(CALL)
        exporter.take(CALL)
        exporter.take(FAILED)

    def points(name: str) -> dict[tuple[str, ...], tuple[int, float]]:
        metric = collector.newest_metrics()[name]
        return {
            tuple(
                value
                for key, value in sorted(support.attributes_of(point).items())
                if key in {"error.type", "gen_ai.token.type"}
            ): (point.count, round(point.sum, 4))
            for point in metric.histogram.data_points
        }

    assert points(names.CLIENT_DURATION) == {(): (2, 4.0), ("upstream_timeout",): (1, 2.0)}
    assert points(names.CLIENT_TOKENS) == {("input",): (3, 36.0), ("output",): (3, 105.0)}
    assert points(names.CLIENT_FIRST_CHUNK) == {(): (2, 0.6)}
    assert points(names.CLIENT_PER_CHUNK) == {(): (6, 1.1)}
    assert points(names.SERVER_FIRST_TOKEN) == {(): (2, 0.8)}
    assert points(names.SERVER_PER_TOKEN) == {(): (2, 0.1)}


async def test_an_answer_that_broke_off_is_no_figure_of_the_server() -> None:
    broken = replace(CALL, outcome="failed", finish_reason=None, error_code="upstream_truncated")
    async with support.collecting() as collector, exporting(collector) as exporter:
        exporter.take(broken)

    metrics = collector.newest_metrics()
    assert names.CLIENT_FIRST_CHUNK in metrics
    assert not {names.SERVER_FIRST_TOKEN, names.SERVER_PER_TOKEN} & metrics.keys()


def test_a_bin_holds_what_is_at_most_its_bound() -> None:
    point = Point((0.1, 0.2))

    point.add((0.1, 0.15, 0.2, 7.0))

    assert point.counts == [1, 2, 1]
    assert (point.least, point.most) == (0.1, 7.0)


def test_models_without_number_are_no_points_without_number() -> None:
    histograms = Histograms("openai")
    for n in range(3 * MAX_POINTS):
        histograms.add(replace(CALL, model=f"model-{n}"))

    points = histograms.points[names.CLIENT_DURATION]
    assert len(points) == MAX_POINTS + 1
    assert sum(sum(point.counts) for point in points.values()) == 3 * MAX_POINTS


async def test_everything_says_whose_it_is_and_bears_the_headers() -> None:
    async with support.collecting() as collector, exporting(collector) as exporter:
        exporter.take(CALL)

    resources = [
        resource.resource
        for request in (*collector.traces, *collector.metrics)
        for resource in (getattr(request, "resource_spans", None) or request.resource_metrics)
    ]
    assert len(resources) == 2
    for resource in resources:
        attributes = support.attributes_of(resource)
        assert attributes["service.name"] == "shop"
        assert attributes["service.version"] == "1.2.3"
        assert attributes["service.instance.id"] == "worker_1"
    assert all(b"bearer canary" in head.lower() for head in collector.headers)


@pytest.mark.long  # the end takes what it may
async def test_a_collector_that_hangs_costs_nothing_but_a_bounded_end() -> None:
    with anyio.fail_after(FLUSH_S + 10):
        async with support.collecting(hangs=True) as collector, exporting(collector) as exporter:
            for _ in range(3 * MAX_WAITING):
                exporter.take(CALL)

    assert collector.requests >= 1


@pytest.mark.long  # the end takes what it may
async def test_a_collector_that_is_not_there_is_no_fault() -> None:
    async with support.collecting() as collector:
        pass

    with anyio.fail_after(FLUSH_S + 10):
        async with exporting(collector) as exporter:
            exporter.take(CALL)


def test_our_names_are_those_of_the_package_where_it_has_them() -> None:
    attributes = pytest.importorskip(
        "opentelemetry.semconv._incubating.attributes.gen_ai_attributes"
    )
    metrics = pytest.importorskip("opentelemetry.semconv._incubating.metrics.gen_ai_metrics")
    theirs = {
        value
        for module in (attributes, metrics)
        for value in vars(module).values()
        if isinstance(value, str) and value.startswith("gen_ai.")
    }

    ours = {
        value
        for value in (*vars(names).values(), *names.BOUNDS)
        if isinstance(value, str) and value.startswith("gen_ai.")
    }

    # What is newer than the package's copy: the conventions moved to a repository of their own.
    assert ours - theirs <= {"gen_ai.request.stream"}
