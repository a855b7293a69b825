"""Is it alive, does it take requests, and how are its dependencies."""

from time import perf_counter

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from history.errors import HistoryUnavailableError
from server.auth.routing import Access, ApiRoute
from server.limits.tiers import Tier
from server.openapi.described import health as docs
from server.services import Services
from server.version import VERSION
from server.wire import services_of
from streaming.errors import LogUnavailableError
from streaming.llm.chain import SourceHealth

UNHEALTHY_SHARE = 0.5
"""Of the window's turns, failed by the model: more than half is an outage."""

NO_STORE = {"Cache-Control": "no-store"}


async def live(_request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"}, headers=NO_STORE)


async def ready(request: Request) -> Response:
    """New requests are welcome; a lost dependency does not unready: starts answer 503 then."""
    if services_of(request).runner.is_draining:
        return JSONResponse({"status": "draining"}, 503, headers={**NO_STORE, "Retry-After": "2"})
    return JSONResponse({"status": "ready"}, headers=NO_STORE)


async def health(request: Request) -> Response:
    """Each dependency with its latency; degraded where one fails."""
    services = services_of(request)
    history = await _check_history(services)
    flags, redis = _flags(services), await _check_redis(services)
    moderation = _moderation(services)
    limits = _limits(services)
    dependencies = (history, flags, redis, moderation, limits)
    are_well = all(each["status"] in {"healthy", "off"} for each in dependencies)
    status = "healthy" if are_well else "degraded"
    answer = {
        "status": status,
        "version": VERSION,
        "draining": services.runner.is_draining,
        "checks": {
            "history": history,
            "model": _model(services),
            "speech": _speech(services),
            "moderation": moderation,
            "flags": flags,
            "redis": redis,
            "limits": limits,
        },
    }
    return JSONResponse(answer, headers=NO_STORE)


def _model(services: Services) -> dict[str, object]:
    """Tell how answers came lately, and each source by its breaker: asking would cost money."""
    sources = services.sources.health()
    return {
        "status": _model_status(services),
        "kind": services.model_kind,
        "sources": [
            {
                "source": each.name,
                "kind": each.kind,
                "status": _source_status(each),
                "breaker": each.breaker.state,
                "error": each.error_code,
            }
            for each in sources
        ],
    }


def _source_status(source: SourceHealth) -> str:
    if source.breaker.state != "closed":
        return "unhealthy"
    return "degraded" if source.error_code else "healthy"


def _model_status(services: Services) -> str:
    """Judge by the last minutes' turns, and by who had to be left alone meanwhile."""
    if services.settings.is_offline:
        return "healthy"
    left_alone = [
        each.breaker.state != "closed"
        for each in services.sources.health()
        if each.kind != "offline"
    ]
    if all(left_alone):
        return "unhealthy"
    snapshot = services.metrics.snapshot()
    failed = sum(n for code, n in snapshot.errors.items() if code.startswith("upstream_"))
    if failed > snapshot.all.settled * UNHEALTHY_SHARE:
        return "unhealthy"
    if failed or any(left_alone):
        return "degraded"
    return "healthy" if snapshot.all.settled else "unknown"


def _speech(services: Services) -> dict[str, object]:
    """Tell the engines by their breakers: asking them would cost money. Text never needs them."""
    maker = services.studio.maker
    if maker.engine == "off":
        return {"status": "off", "engine": "off"}
    engines = [
        {"engine": each.engine, "breaker": each.breaker.state, "refuses": each.refuses}
        for each in maker.health()
    ]
    are_well = all(each["breaker"] == "closed" and not each["refuses"] for each in engines)
    return {
        "status": "healthy" if are_well else "degraded",
        "engine": maker.engine,
        "engines": engines,
    }


def _moderation(services: Services) -> dict[str, object]:
    """Tell those who judge by their breakers: asking them would cost money."""
    moderators = services.checks.health() if services.checks is not None else []
    if not moderators:
        return {"status": "off"}
    are_well = all(each.breaker == "closed" for each in moderators)
    return {
        "status": "healthy" if are_well else "degraded",
        "moderators": [{"name": each.name, "breaker": each.breaker} for each in moderators],
    }


def _flags(services: Services) -> dict[str, object]:
    """Tell how well the flags are known: what was last known is served while the store is lost."""
    status = services.flags.client.status
    return {
        "status": "degraded" if status.is_stale else "healthy",
        "kind": services.flags.store.kind,
        "source": status.source.value,
        "version": status.version,
        "age_s": None if status.age_s is None else round(status.age_s, 1),
        "killed_here": sorted(status.killed_here),
    }


def _limits(services: Services) -> dict[str, object]:
    """Tell whether all workers count together: else what this one grants others do not see."""
    sharing = services.limits.sharing
    is_alone = sharing is not None and sharing.is_alone
    return {
        "status": "degraded" if is_alone else "healthy",
        "kind": "memory" if sharing is None or is_alone else "redis",
    }


async def _check_redis(services: Services) -> dict[str, object]:
    """Tell whether turns reach the other processes; readers of this one's never need it."""
    if services.leases is None:
        return {"status": "off"}
    began, is_lost = perf_counter(), services.event_log.is_down
    try:
        await services.leases.overdue()  # what every worker asks for twice a second
    except LogUnavailableError:
        is_lost = True
    answer: dict[str, object] = {
        "status": "unhealthy" if is_lost else "healthy",
        "latency_ms": _ms_since(began),
    }
    if services.redis_breaker is not None:
        answer["breaker"] = services.redis_breaker.state
    return answer


async def _check_history(services: Services) -> dict[str, object]:
    began, status = perf_counter(), "healthy"
    try:
        await services.history.check()
    except HistoryUnavailableError:
        status = "unhealthy"
    answer: dict[str, object] = {
        "status": status,
        "latency_ms": _ms_since(began),
        "kind": services.history_kind,
    }
    if services.history_breaker is not None:
        answer["breaker"] = services.history_breaker.state
    return answer


def _ms_since(began: float) -> float:
    return round((perf_counter() - began) * 1000, 1)


routes = [
    ApiRoute(
        "/health/live",
        live,
        methods=["GET"],
        access=Access.PUBLIC,
        tier=Tier.NONE,
        doc=docs.LIVE,
    ),
    ApiRoute(
        "/health/ready",
        ready,
        methods=["GET"],
        access=Access.PUBLIC,
        tier=Tier.NONE,
        doc=docs.READY,
    ),
    ApiRoute(
        "/health",
        health,
        methods=["GET"],
        access=Access.PUBLIC,
        tier=Tier.NONE,
        doc=docs.HEALTH,
    ),
]
