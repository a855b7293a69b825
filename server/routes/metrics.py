"""What operators read: the process, streaming, health, Prometheus; and the beacons of pages.

In production everything but health and beacons asks for `Authorization: Bearer $ADMIN_TOKEN`.
"""

import functools
import platform
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from metrics.health import Check, checks, worst
from metrics.process import process_use
from metrics.snapshot import ArmSnapshot, CacheUse, Latency, StreamingSnapshot
from metrics.turns import TurnMetrics
from server.auth.operators import OperatorServices, is_reader
from server.auth.routing import Access, ApiRoute
from server.body import StrictModel, read_model
from server.limits.tiers import Tier
from server.openapi.described import metrics as docs
from server.routes import charts

_ROOT = Path(__file__).resolve().parents[2]
_NO_STORE = {"Cache-Control": "no-store"}

Milliseconds = Annotated[float, Field(ge=0, le=3_600_000)]


class MetricsServices(OperatorServices, Protocol):
    """What these routes need of the services."""

    @property
    def metrics(self) -> TurnMetrics: ...


class PageGaps(StrictModel):
    """Milliseconds between two deltas of the turn, as the page saw them."""

    p50: Milliseconds | None = None
    p95: Milliseconds | None = None
    max: Milliseconds | None = None


class Beacon(StrictModel):
    """What a page saw of one turn. The id is checked for its form only and not kept."""

    turn_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    ttft_ms: Milliseconds | None = None
    gaps_ms: PageGaps = PageGaps()
    reconnects: int = Field(0, ge=0, le=1000)


async def read_service(request: Request) -> Response:
    """`GET /api/metrics`: this process, and the totals of all."""
    metrics = _open_to_operators(request).metrics
    snapshot, use = metrics.snapshot(), process_use()
    live = snapshot.live
    return _json(
        {
            "service": "chatstream",
            "version": _version(),
            "python_version": platform.python_version(),
            "uptime_s": round(metrics.uptime_s, 3),
            "memory_bytes": use.memory_bytes,
            "cpu_s": round(use.cpu_s, 3),
            "connections": {"sockets": use.open_sockets, "readers": metrics.active_readers},
            "active_turns": metrics.active_turns,
            "requests": {"window_s": snapshot.window_s, **snapshot.requests},
            "deployment": {
                "workers": live.workers,
                "active_turns": snapshot.active_turns,
                "active_readers": snapshot.active_readers,
                "uptime_s": {
                    "longest": round(live.oldest_s, 3),
                    "shortest": round(live.youngest_s, 3),
                },
            },
        }
    )


async def read_health(request: Request) -> Response:
    """`GET /api/metrics/health/streaming`: public; the figures behind it are for operators."""
    services = _services(request)
    made = checks(services.metrics.snapshot())
    with_figures = is_reader(request)
    return _json(
        {
            "status": worst(made).word,
            "checks": {check.name: _check(check, with_figures=with_figures) for check in made},
        }
    )


async def read_streaming(request: Request) -> Response:
    """`GET /api/metrics/streaming`: all of the window."""
    snapshot = _open_to_operators(request).metrics.snapshot()
    return _json(
        {
            "window_s": snapshot.window_s,
            "workers": snapshot.live.workers,
            "metrics": _streaming(snapshot),
        }
    )


async def read_summary(request: Request) -> Response:
    """`GET /api/metrics/streaming/summary`: what decides whether streaming does well."""
    snapshot = _open_to_operators(request).metrics.snapshot()
    return _json(
        {
            "window_s": snapshot.window_s,
            "workers": snapshot.live.workers,
            "active_streams": snapshot.active_turns,
            "active_readers": snapshot.active_readers,
            **arm_json(snapshot.all),
            "avg_inter_token_ms": _ms(snapshot.gaps.mean_s),
            "arms": {name: arm_json(arm) for name, arm in snapshot.arms.items()},
        }
    )


async def scrape(request: Request) -> Response:
    """`GET /metrics`: for Prometheus."""
    body, content_type = _open_to_operators(request).metrics.exposition()
    return Response(body, headers={"Content-Type": content_type, **_NO_STORE})


async def take_beacon(request: Request) -> Response:
    """`POST /api/v1/beacons`: what a page saw of a turn."""
    beacon = await read_model(request, Beacon)
    gaps_ms = beacon.gaps_ms.model_dump(exclude_none=True)
    _services(request).metrics.page_reported(
        ttft_s=None if beacon.ttft_ms is None else beacon.ttft_ms / 1000,
        gaps_s={statistic: gap_ms / 1000 for statistic, gap_ms in gaps_ms.items()},
        reconnects=beacon.reconnects,
    )
    return Response(status_code=204)


routes: list[ApiRoute] = [
    ApiRoute(
        "/api/metrics",
        read_service,
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="metrics",
        doc=docs.SERVICE,
    ),
    ApiRoute(
        "/api/metrics/health/streaming",
        read_health,
        access=Access.PUBLIC,
        tier=Tier.OPERATORS,
        doc=docs.HEALTH,
    ),
    ApiRoute(
        "/api/metrics/streaming",
        read_streaming,
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="metrics",
        doc=docs.STREAMING,
    ),
    ApiRoute(
        "/api/metrics/streaming/summary",
        read_summary,
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="metrics",
        doc=docs.SUMMARY,
    ),
    ApiRoute(
        "/metrics",
        scrape,
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="metrics",
        doc=docs.PROMETHEUS,
    ),
    *charts.routes,
    ApiRoute(
        "/api/v1/beacons",
        take_beacon,
        methods=["POST"],
        access=Access.OWNER,
        tier=Tier.SIGNALS,
        doc=docs.BEACON.taking(Beacon),
    ),
]


def _services(request: Request) -> MetricsServices:
    services: MetricsServices = request.app.state.services
    return services


def _open_to_operators(request: Request) -> MetricsServices:
    return _services(request)


def _streaming(snapshot: StreamingSnapshot) -> dict[str, object]:
    return {
        "streams": {
            "active": snapshot.active_turns,
            "readers": snapshot.active_readers,
            "started": snapshot.all.started,
            **snapshot.all.outcomes,
            "without_text": snapshot.turns_without_text,
            "stalls": snapshot.stalls,
            "duplicates_dropped": snapshot.duplicates,
            "log_bytes": snapshot.live.gauge("log_bytes"),
        },
        "latency": {
            "ttft_ms": _latency(snapshot.all.ttft),
            "queue_wait_ms": _latency(snapshot.queue_wait),
            "ttft_part_ms": {name: _latency(part) for name, part in snapshot.ttft_parts.items()},
            "inter_token_ms": _latency(snapshot.gaps),
            "turn_duration_ms": _latency(snapshot.all.duration),
            "event_loop_lag_ms": _latency(snapshot.loop_lag),
            "page_ttft_ms": _latency(snapshot.page_ttft),
            "ttfa_ms": _latency(snapshot.speech.first_audio),
            "speech_call_ms": _latency(snapshot.speech.call_duration),
            "audio_gap_ms": _latency(snapshot.speech.gaps),
        },
        "speech": {
            "units": snapshot.speech.units,
            "calls": snapshot.speech.calls,
            "sentences": snapshot.speech.sentences,
        },
        "dependencies": {
            name: {"duration_ms": _latency(use.duration), "errors": use.errors}
            for name, use in snapshot.dependencies.items()
        },
        "cache": {name: _cache(use) for name, use in snapshot.caches.items()},
        "tokens": {**snapshot.tokens, "output_per_s": _rounded(snapshot.output_tokens_per_s, 1)},
        "errors": {
            "total": sum(snapshot.errors.values()),
            "by_code": snapshot.errors,
            "source_retries": snapshot.source_retries,
            "history_failures": snapshot.history_failures,
        },
        "readers": {
            "attaches": snapshot.attaches,
            "resets": snapshot.resets,
            "closed": snapshot.readers_closed,
            "page_reconnects": snapshot.page_reconnects,
        },
    }


def arm_json(arm: ArmSnapshot) -> dict[str, object]:
    """Return how one arm of the rollout does."""
    return {
        "turns": sum(arm.outcomes.values()),
        "success_rate": _rounded(arm.success_rate, 5),
        "error_rate": _rounded(arm.error_rate, 5),
        "cancelled": arm.outcomes.get("cancelled", 0),
        "avg_ttft_ms": _ms(arm.ttft.mean_s),
        "avg_duration_ms": _ms(arm.duration.mean_s),
    }


def _latency(latency: Latency) -> dict[str, object]:
    return {
        "p50": _ms(latency.p50_s),
        "p95": _ms(latency.p95_s),
        "p99": _ms(latency.p99_s),
        "avg": _ms(latency.mean_s),
        "count": latency.count,
    }


def _cache(use: CacheUse) -> dict[str, object]:
    return {"hits": use.hits, "misses": use.misses, "hitRate": _rounded(use.hit_rate, 5)}


def _check(check: Check, *, with_figures: bool) -> dict[str, object]:
    status = {"status": check.status.word}
    if not with_figures:
        return {**status}
    return {
        **status,
        "value": _rounded(check.value, 5),
        "samples": check.samples,
        "degraded_above": check.degraded_above,
        "unhealthy_above": check.unhealthy_above,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _json(body: Mapping[str, object]) -> Response:
    return JSONResponse(body, headers=_NO_STORE)


@functools.cache
def _version() -> str:
    try:
        return version("chatstream")
    except PackageNotFoundError:
        return _version_of_checkout()


def _version_of_checkout() -> str:
    """Return the version of a tree that was never installed, as a container may run it."""
    try:
        project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return "unknown"
    return str(project["version"])
