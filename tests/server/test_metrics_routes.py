"""The operators' paths over HTTP: who may read, what they answer, and what beacons are taken."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.middleware import Middleware

from metrics.turns import EndedTurn, TurnMetrics
from server.auth.credentials import Credentials
from server.auth.operator_sessions import OperatorSessions
from server.errors import ProblemError, answer_error
from server.limits.limits import Limits
from server.middleware import AnswerMiddleware
from server.routes.metrics import routes
from server.services.limits import open_limits
from server.settings import Settings
from tests.support.callers import callers

TOKEN = "operators-token-operators-token-0001"  # noqa: S105 - made up for the tests
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
GUARDED = ("/api/metrics", "/api/metrics/streaming", "/api/metrics/streaming/summary", "/metrics")
A_BEACON: dict[str, Any] = {"turn_id": "turn_1"}


@dataclass
class Services:
    """The part of the services that these routes use."""

    metrics: TurnMetrics
    settings: Settings
    credentials: Credentials
    limits: Limits


@asynccontextmanager
async def client(
    metrics: TurnMetrics | None = None, *, production: bool = False
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application with these routes alone."""
    settings = Settings(_env_file=None, app_env="development")
    if production:
        settings = settings.model_copy(update={"app_env": "production"})
    metrics = metrics or TurnMetrics()
    operators = OperatorSessions("secret", TOKEN)
    credentials, told_callers = callers(settings, operators)
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(AnswerMiddleware, metrics=metrics),
            told_callers,
        ],
        exception_handlers={ProblemError: answer_error},
    )
    transport = httpx.ASGITransport(app=app)
    async with (
        AsyncExitStack() as stack,
        httpx.AsyncClient(transport=transport, base_url="http://chat.test") as http,
    ):
        limits = open_limits(settings, stack, metrics, worker_id="worker_1", secret=TOKEN)
        app.state.services = Services(metrics, settings, credentials, limits)
        yield http


def a_recorder() -> TurnMetrics:
    """Return a recorder that saw 20 turns: 17 completed, two failed, one cancelled; one runs."""
    metrics = TurnMetrics()
    outcomes = ["completed"] * 17 + ["failed"] * 2 + ["cancelled"]
    for outcome in outcomes:
        metrics.turn_started(streaming=True)
        metrics.first_delta(0.2, streaming=True)
        code = "upstream_timeout" if outcome == "failed" else None
        metrics.turn_ended(
            EndedTurn(outcome, True, 2.2, 0.2, [0.02] * 10, 5, 20, "exact", code),
        )
    metrics.turn_started(streaming=False)
    metrics.reader_opened()
    return metrics


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer{TOKEN}"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN.upper()}"},
        {"Authorization": b"Bearer \xff\xfe"},
    ],
)
async def test_in_production_figures_ask_for_the_operators_token(
    path: str, headers: dict[str, Any]
) -> None:
    async with client(production=True) as http:
        answer = await http.get(path, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_in_production_the_token_opens_figures(path: str, scheme: str) -> None:
    async with client(production=True) as http:
        answer = await http.get(path, headers={"Authorization": f"{scheme} {TOKEN}"})

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", GUARDED)
async def test_in_development_figures_are_open(path: str) -> None:
    async with client() as http:
        answer = await http.get(path)

    assert answer.status_code == 200


async def test_health_is_public_and_keeps_the_figures_for_operators() -> None:
    async with client(a_recorder(), production=True) as http:
        public = await http.get("/api/metrics/health/streaming")
        operator = await http.get("/api/metrics/health/streaming", headers=OPERATOR)

    names = {"error_rate", "time_to_first_token_s", "event_loop_lag_s"}
    assert public.status_code == 200
    assert public.json()["status"] == "unhealthy"
    assert public.json()["checks"]["error_rate"] == {"status": "unhealthy"}
    assert set(public.json()["checks"]) == names
    assert operator.json()["checks"]["error_rate"]["value"] == pytest.approx(2 / 19, abs=1e-4)
    assert operator.json()["checks"]["error_rate"]["samples"] == 19


async def test_a_service_without_turns_is_healthy() -> None:
    async with client() as http:
        answer = await http.get("/api/metrics/health/streaming")

    assert answer.json()["status"] == "healthy"


async def test_the_service_tells_of_its_process() -> None:
    async with client(a_recorder()) as http:
        body = (await http.get("/api/metrics")).json()

    assert body["service"] == "chatstream"
    assert body["uptime_s"] >= 0
    assert body["memory_bytes"] > 1_000_000
    assert body["cpu_s"] > 0
    assert body["connections"]["readers"] == 1
    assert body["active_turns"] == 1
    assert body["python_version"].startswith("3.")
    assert body["version"][0].isdigit()


async def test_streaming_tells_of_streams_latency_tokens_and_errors() -> None:
    async with client(a_recorder()) as http:
        body = (await http.get("/api/metrics/streaming")).json()

    found = body["metrics"]
    assert body["window_s"] == 300.0
    assert found["streams"]["active"] == 1
    assert found["streams"]["started"] == 21
    assert (found["streams"]["completed"], found["streams"]["cancelled"]) == (17, 1)
    assert set(found["latency"]["ttft_ms"]) == {"p50", "p95", "p99", "avg", "count"}
    assert found["latency"]["ttft_ms"]["avg"] == pytest.approx(200)
    assert found["latency"]["inter_token_ms"]["count"] == 200
    assert found["cache"]["tts"] == {"hits": 0, "misses": 0, "hitRate": None}
    assert found["tokens"] == {"input": 100, "output": 400, "output_per_s": 10.0}
    assert found["errors"]["by_code"] == {"upstream_timeout": 2}


async def test_the_summary_tells_rates_of_both_arms_and_of_each() -> None:
    async with client(a_recorder()) as http:
        body = (await http.get("/api/metrics/streaming/summary")).json()

    assert body["turns"] == 20
    assert body["success_rate"] == pytest.approx(17 / 19, abs=1e-4)
    assert body["success_rate"] + body["error_rate"] == pytest.approx(1)
    assert body["avg_ttft_ms"] == pytest.approx(200)
    assert body["avg_inter_token_ms"] == pytest.approx(20)
    assert body["active_streams"] == 1
    assert body["arms"]["on"]["turns"] == 20
    assert body["arms"]["off"] == {
        "turns": 0,
        "success_rate": None,
        "error_rate": None,
        "cancelled": 0,
        "avg_ttft_ms": None,
        "avg_duration_ms": None,
    }


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5",
        "application/openmetrics-text;version=abc",
        "text/plain;version=1.0.0;escaping=x",
    ],
)
async def test_a_scrape_can_be_read_by_prometheus_whatever_it_accepts(accept: str) -> None:
    async with client(a_recorder()) as http:
        answer = await http.get("/metrics", headers={"Accept": accept})

    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {"chat_turns", "chat_time_to_first_token_seconds", "chat_http_requests"} <= names


async def test_requests_are_labelled_with_their_route() -> None:
    metrics = TurnMetrics()

    async with client(metrics) as http:
        await http.get("/api/metrics/streaming")
        await http.get("/wp-login.php")
        text = (await http.get("/metrics")).text

    served = '{method="GET",route="/api/metrics/streaming",status="200"} 1.0'
    assert f"chat_http_requests_total{served}" in text
    assert "wp-login" not in text


async def test_a_beacon_is_taken_from_anybody_and_recorded() -> None:
    metrics = TurnMetrics()
    beacon = {
        **A_BEACON,
        "ttft_ms": 700,
        "gaps_ms": {"p50": 20.5, "p95": 80, "max": 1500},
        "reconnects": 2,
    }

    async with client(metrics, production=True) as http:
        answer = await http.post("/api/v1/beacons", json=beacon)

    snapshot = metrics.snapshot()
    assert (answer.status_code, answer.content) == (204, b"")
    assert snapshot.page_ttft.mean_s == pytest.approx(0.7)
    assert snapshot.page_reconnects == 2
    assert b'chat_page_gap_seconds_sum{statistic="max"} 1.5' in metrics.exposition()[0]


async def test_a_beacon_may_name_its_turn_alone() -> None:
    async with client() as http:
        answer = await http.post("/api/v1/beacons", json=A_BEACON)

    assert answer.status_code == 204


@pytest.mark.parametrize(
    "beacon",
    [
        {},
        [],
        {"turn_id": ""},
        {"turn_id": "x" * 65},
        {"turn_id": "a b"},
        {"turn_id": "turn_1\n"},
        {"turn_id": 7},
        {**A_BEACON, "ttft_ms": -1},
        {**A_BEACON, "ttft_ms": 3_600_001},
        {**A_BEACON, "ttft_ms": "12"},
        {**A_BEACON, "ttft_ms": True},
        {**A_BEACON, "ttft_ms": 10**400},
        {**A_BEACON, "gaps_ms": {"p50": -1}},
        {**A_BEACON, "gaps_ms": {"p99": 1}},
        {**A_BEACON, "gaps_ms": [1, 2]},
        {**A_BEACON, "reconnects": 1001},
        {**A_BEACON, "reconnects": 1.5},
        {**A_BEACON, "user": "somebody"},
    ],
)
async def test_a_beacon_of_another_form_is_refused_and_not_recorded(beacon: Any) -> None:
    metrics = TurnMetrics()

    async with client(metrics) as http:
        answer = await http.post("/api/v1/beacons", json=beacon)

    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert metrics.snapshot().page_ttft.count == 0
    assert metrics.snapshot().page_reconnects == 0


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"turn_id": "t", "ttft_ms": NaN}', "application/json", 400),
        (b'{"turn_id": "t", "ttft_ms": 1e999}', "application/json", 400),
        (b'{"turn_id": "t", "turn_id": "u"}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"turn_id": "t"}', "text/plain", 415),
    ],
)
async def test_a_beacon_that_is_not_json_is_refused(
    body: bytes, content_type: str, status: int
) -> None:
    async with client() as http:
        answer = await http.post(
            "/api/v1/beacons", content=body, headers={"Content-Type": content_type}
        )

    assert answer.status_code == status


async def test_beacons_are_posted_and_figures_are_read() -> None:
    async with client() as http:
        answers = [await http.get("/api/v1/beacons"), await http.post("/api/metrics", json={})]

    assert [answer.status_code for answer in answers] == [405, 405]
