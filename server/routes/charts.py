"""What operators' charts are drawn from: the last hour to the last 30 days, step by step."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, Protocol

from anyio.lowlevel import checkpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from metrics import labels
from metrics.archive.base import Archive, ArchiveUnavailableError
from metrics.archive.points import RANGES, Point, points
from metrics.snapshot import ArmSnapshot, CacheUse, Latency
from server.auth.operators import OperatorServices
from server.auth.routing import Access, ApiRoute
from server.errors import ProblemError
from server.limits.tiers import Tier
from server.openapi.described import metrics as docs

_NO_STORE = {"Cache-Control": "no-store"}
_DEFAULT = "1h"

Statistic = Literal["p50", "p95", "p99", "avg", "count"]


class ChartServices(OperatorServices, Protocol):
    """What these routes need of the services."""

    @property
    def archive(self) -> Archive: ...


async def read_history(request: Request) -> Response:
    """`GET /api/metrics/history?range=1h|6h|24h|7d|30d`: of all workers."""
    services: ChartServices = request.app.state.services
    asked = request.query_params.get("range", _DEFAULT)
    if asked not in RANGES:
        known = ", ".join(RANGES)
        error = {"field": "range", "message": f"must be one of {known}"}
        raise ProblemError(422, "invalid", f"range must be one of {known}.", errors=[error])
    span = RANGES[asked]
    try:
        periods = await services.archive.read(span.level, span.periods)
    except ArchiveUnavailableError:
        detail = "The figures of the past cannot be read now; try again."
        raise ProblemError(
            503, "metrics_unavailable", detail, headers={"Retry-After": "5"}
        ) from None
    shown: list[dict[str, object]] = []
    for point in points(periods, span.step_s):
        shown.append(_point(point))
        await checkpoint()  # hundreds of them take a while: tokens that are due go first
    body = {"range": asked, "step_s": span.step_s, "points": shown}
    return JSONResponse(body, headers=_NO_STORE)


routes: list[ApiRoute] = [
    ApiRoute(
        "/api/metrics/history",
        read_history,
        methods=["GET"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="metrics",
        doc=docs.CHARTS,
    )
]


def _point(point: Point) -> dict[str, object]:
    return {
        "at": datetime.fromtimestamp(point.began_s, UTC).isoformat().replace("+00:00", "Z"),
        "turns": {name: _turns(arm) for name, arm in point.arms.items()},
        "error_rate": {name: _rate(arm.error_rate) for name, arm in point.arms.items()},
        "ttft_ms": {
            name: _latency(arm.ttft, "p50", "p95", "avg", "count")
            for name, arm in point.arms.items()
        },
        "gap_ms": _latency(point.gaps, "p50", "p95", "p99"),
        "active_turns": point.active_turns,
        "active_readers": point.active_readers,
        "tokens": point.tokens,
        "cache": {name: _cache(use) for name, use in point.caches.items()},
        "event_loop_lag_ms": _latency(point.loop_lag, "p95"),
        "page_ttft_ms": _latency(point.page_ttft, "p50", "p95"),
    }


def _turns(arm: ArmSnapshot) -> dict[str, int]:
    return {"started": arm.started, **{name: arm.outcomes[name] for name in labels.OUTCOMES}}


def _cache(use: CacheUse) -> Mapping[str, object]:
    return {"hits": use.hits, "misses": use.misses, "hitRate": _rate(use.hit_rate)}


def _latency(latency: Latency, *wanted: Statistic) -> dict[str, float | None]:
    known = {
        "p50": _ms(latency.p50_s),
        "p95": _ms(latency.p95_s),
        "p99": _ms(latency.p99_s),
        "avg": _ms(latency.mean_s),
        "count": latency.count,
    }
    return {name: known[name] for name in wanted}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def _rate(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
