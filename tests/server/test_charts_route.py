"""`GET /api/metrics/history`: who may read it, and what it answers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint
from starlette.applications import Starlette
from starlette.middleware import Middleware

from metrics.archive.base import Archive, Charted, Level, Period
from metrics.archive.chart import Chart, ChartedWindow
from metrics.archive.sqlite import SqliteArchive
from metrics.delta import Delta
from metrics.histogram import COARSE_BOUNDS
from metrics.memory import MemoryWindow
from metrics.turns import TurnMetrics
from server.auth.credentials import Credentials
from server.auth.operator_sessions import OperatorSessions
from server.errors import ProblemError, answer_error
from server.middleware import AnswerMiddleware
from server.routes.charts import routes
from server.settings import Settings
from storage.sqlite import SqliteDatabase
from tests.metrics.test_prometheus import a_busy_recorder
from tests.support.callers import callers

TOKEN = "operators-token-operators-token-0001"  # noqa: S105 - made up for the tests
PATH = "/api/metrics/history"
POINT = {
    "at": None,
    "turns": {"on": None, "off": None},
    "error_rate": {"on": None, "off": None},
    "ttft_ms": {"on": {"p50", "p95", "avg", "count"}, "off": {"p50", "p95", "avg", "count"}},
    "gap_ms": {"p50", "p95", "p99"},
    "active_turns": None,
    "active_readers": None,
    "tokens": {"input", "output"},
    "cache": {"tts": {"hits", "misses", "hitRate"}},
    "event_loop_lag_ms": {"p95"},
    "page_ttft_ms": {"p50", "p95"},
}


@dataclass
class Services:
    """The part of the services that the route uses."""

    archive: Archive
    settings: Settings
    credentials: Credentials


@asynccontextmanager
async def client(
    archive: Archive, *, app_env: str = "development"
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(_env_file=None, app_env="development")
    settings = settings.model_copy(update={"app_env": app_env})
    operators = OperatorSessions("secret" * 8, TOKEN)
    credentials, told_callers = callers(settings, operators)
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(AnswerMiddleware, metrics=TurnMetrics()),
            told_callers,
        ],
        exception_handlers={ProblemError: answer_error},
    )
    app.state.services = Services(archive, settings, credentials)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat.test") as http:
        yield http


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[SqliteArchive]:
    archive = SqliteArchive(lambda: SqliteDatabase(tmp_path / "metrics.db", timeout_s=20))
    yield archive
    await archive.close()


class FullArchive:
    """An archive that has all periods, and does not wait for them."""

    async def add(self, charted: Sequence[Charted]) -> None:  # noqa: ARG002  # of the seam
        return

    async def read(
        self,
        level: Level,
        periods: int,
        *,
        until_s: float | None = None,  # noqa: ARG002  # of the seam
    ) -> Sequence[Period]:
        return [Period(number * level.step_s, Delta(COARSE_BOUNDS)) for number in range(periods)]

    async def close(self) -> None:
        return


async def record(archive: Archive, age_s: float) -> None:
    """Bring what a busy recorder charts into the archive."""
    chart = Chart()
    metrics = TurnMetrics(ChartedWindow(MemoryWindow(), chart))
    a_busy_recorder(metrics)
    chart.see(metrics.snapshot().live)
    await archive.add([Charted("w", int(age_s) + 1, age_s, chart.take())])


@pytest.mark.parametrize(
    ("name", "step_s"),
    [("1h", 60), ("6h", 60), ("24h", 300), ("7d", 3600), ("30d", 7200)],
)
async def test_a_range_is_answered_in_steps_with_the_shape_that_charts_expect(
    archive: SqliteArchive, name: str, step_s: int
) -> None:
    for age_s in (0.0, 2400.0):
        await record(archive, age_s)

    async with client(archive) as http:
        answer = await http.get(PATH, params={"range": name})

    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (body["range"], body["step_s"]) == (name, step_s)
    assert 1 <= len(body["points"]) <= 2
    for point in body["points"]:
        assert set(point) == set(POINT)
        assert point["at"].endswith("Z")
        for key in ("gap_ms", "tokens", "event_loop_lag_ms", "page_ttft_ms"):
            assert set(point[key]) == POINT[key]
        assert set(point["turns"]["on"]) == {
            *("started", "completed", "failed", "cancelled", "interrupted"),
        }
    turns = sum(point["turns"]["on"]["failed"] for point in body["points"])
    assert turns == 2
    assert body["points"][0]["error_rate"]["on"] == 1.0
    assert body["points"][0]["ttft_ms"]["on"]["avg"] == pytest.approx(200)
    assert body["points"][0]["cache"]["tts"] == {
        "hits": 1 if len(body["points"]) == 2 else 2,
        "misses": 0,
        "hitRate": 1.0,
    }


async def test_without_figures_there_are_no_points(archive: SqliteArchive) -> None:
    async with client(archive) as http:
        answer = await http.get(PATH)

    assert answer.json() == {"range": "1h", "step_s": 60, "points": []}


async def test_what_is_no_range_is_refused(archive: SqliteArchive) -> None:
    async with client(archive) as http:
        answer = await http.get(PATH, params={"range": "1y"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "range"


async def test_in_production_history_asks_for_the_operators_token(archive: SqliteArchive) -> None:
    async with client(archive, app_env="production") as http:
        refused = await http.get(PATH)
        served = await http.get(PATH, headers={"Authorization": f"Bearer {TOKEN}"})

    assert (refused.status_code, served.status_code) == (401, 200)


async def test_an_archive_that_is_away_is_a_503_to_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lost = SqliteArchive(lambda: SqliteDatabase(tmp_path / "file" / "metrics.db"))

    async with client(lost) as http:
        answer = await http.get(PATH)

    assert (answer.status_code, answer.json()["code"]) == (503, "metrics_unavailable")
    assert answer.headers["retry-after"] == "5"


async def test_a_long_chart_holds_up_nobody() -> None:
    rounds = 0

    async def tokens() -> None:
        nonlocal rounds
        while True:
            await checkpoint()
            rounds += 1

    async with client(FullArchive()) as http, anyio.create_task_group() as tasks:
        tasks.start_soon(tokens)
        answer = await http.get(PATH, params={"range": "6h"})
        tasks.cancel_scope.cancel()

    assert len(answer.json()["points"]) == 360
    assert rounds > 300
