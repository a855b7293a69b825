"""A real server tells an OpenTelemetry collector of its turns, and nothing of what was said."""

import signal
from pathlib import Path

import anyio
import pytest

from tests.e2e.operators import guest_id
from tests.e2e.test_start import fault_of
from tests.support.collector import attributes_of, collecting
from tests.support.server import JSON, running_server

CANARY = "canary-7b1d"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.long
async def test_a_turn_is_told_with_its_figures_and_without_a_word_of_it(tmp_path: Path) -> None:
    async with collecting() as collector:
        settings = {
            "otel_exporter_otlp_endpoint": collector.url,
            "otel_exporter_otlp_headers": "x-key=k1",
            "otel_service_name": "shop",
        }
        async with running_server(tmp_path, **settings) as server:
            state = await server.run_turn(f"What is {CANARY}?")
            await collector.until(lambda collector: len(collector.spans()) == 1)
            guest = guest_id(server.client)
            server.signal(signal.SIGTERM)
            assert await server.exit_code() == 0

    (span,) = collector.spans()
    attributes = attributes_of(span)
    assert attributes["chatstream.turn.id"] == state["turn_id"]
    assert attributes["gen_ai.provider.name"] == "chatstream"
    assert attributes["gen_ai.usage.output_tokens"] == state["usage"]["output_tokens"]
    assert attributes["gen_ai.response.time_to_first_chunk"] >= 0
    assert "gen_ai.client.operation.duration" in collector.newest_metrics()
    assert all(b"x-key: k1" in head.lower() for head in collector.headers)
    sent = b"".join(collector.bodies)
    answer = state["text"].split()
    assert len(answer) > 5
    for secret in (CANARY, guest, state["conversation_id"], " ".join(answer[:4])):
        assert secret.encode() not in sent


@pytest.mark.long
async def test_a_turn_belongs_to_the_trace_of_its_request(tmp_path: Path) -> None:
    async with collecting() as collector:
        settings = {"otel_exporter_otlp_endpoint": collector.url}
        async with running_server(tmp_path, **settings) as server:
            headers = {**JSON, "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
            body = {"message": "Hello"}
            answer = await server.client.post("/api/v1/turns", json=body, headers=headers)
            assert answer.status_code == 201
            await collector.until(lambda collector: len(collector.spans()) == 1)

    (span,) = collector.spans()
    assert span.trace_id.hex() == TRACE


@pytest.mark.long
async def test_a_collector_that_hangs_delays_no_turn_and_hardly_the_end(tmp_path: Path) -> None:
    async with collecting(hangs=True) as collector:
        settings = {"otel_exporter_otlp_endpoint": collector.url}
        async with running_server(tmp_path, **settings) as server:
            await server.run_turn()
            await collector.until(lambda collector: collector.requests >= 1)
            with anyio.fail_after(10):
                states = [await server.run_turn() for _ in range(5)]
            server.signal(signal.SIGTERM)
            assert await server.exit_code() == 0

    assert [state["status"] for state in states] == ["completed"] * 5


@pytest.mark.long
async def test_without_the_extra_a_start_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    missing = tmp_path / "opentelemetry" / "__init__.py"
    missing.write_text("raise ImportError('not installed')\n", encoding="ascii")

    lines = await fault_of(
        tmp_path / "data",
        PYTHONPATH=str(tmp_path),
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318",
    )

    assert lines[-1] == (
        "OTEL_EXPORTER_OTLP_ENDPOINT: OpenTelemetry is not installed;"
        " `pip install chatstream[otel]`, or unset it."
    )
