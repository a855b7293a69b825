"""The ASGI application: routes, middleware, and the page."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from server.auth.identity import IdentityMiddleware
from server.auth.routing import Access, ApiRoute
from server.errors import STATUS, ProblemError, answer_error
from server.hosts import HostMiddleware, taken_hosts
from server.limits.rates import HEADERS as RATE_HEADERS
from server.limits.tiers import Tier
from server.middleware import AnswerMiddleware, OriginMiddleware, SizeLimitMiddleware
from server.routes import (
    accounts,
    admin,
    api_keys,
    audit,
    chatbots,
    conversations,
    document,
    flags,
    guarded_rollout,
    health,
    limits,
    metrics,
    ofrep,
    oidc,
    own_account,
    rollout,
    segments,
    speech,
    turns,
    user_access,
    users,
)
from server.services import ROOT, Services
from server.turnstile import TurnstileMiddleware

WEB = ROOT / "web"
SHOWN_HEADERS = [
    "X-Turn-ID",
    "X-Conversation-ID",
    "X-Streaming",
    "X-Request-ID",
    "X-Speech-Sentence",
    "X-Speech-Range",
    "X-Speech-Duration",
    "Retry-After",
    "ETag",
    *RATE_HEADERS,
]
TAKEN_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "X-Request-ID",
]


def create_app(services: Services) -> Starlette:
    """Return the application over opened services; whoever opened them closes them."""
    settings = services.settings
    middleware = [
        Middleware(
            AnswerMiddleware,
            metrics=services.metrics,
            timeout_s=settings.request_timeout_s,
            demands_https=settings.app_env == "production",
            logs=settings.log_requests,
        ),
        Middleware(HostMiddleware, takes=taken_hosts(settings)),
        Middleware(TurnstileMiddleware),
        Middleware(SizeLimitMiddleware, max_bytes=settings.max_body_bytes),
        Middleware(OriginMiddleware, allowed=settings.allowed_origins),
        Middleware(
            IdentityMiddleware,
            credentials=services.credentials,
            guests=services.guests,
            converted=services.sign_in.converted,
            allow_guests=settings.guests_allowed,
        ),
    ]
    if settings.allowed_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_credentials=True,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=TAKEN_HEADERS,
            expose_headers=SHOWN_HEADERS,
        )
        middleware.insert(3, cors)
    app = Starlette(
        routes=served_routes(),
        middleware=middleware,
        exception_handlers=dict.fromkeys((ProblemError, HTTPException, *STATUS), answer_error),
    )
    app.router.redirect_slashes = False
    app.state.services = services
    return app


def served_routes() -> list[BaseRoute]:
    """Return everything that is served, and so is described."""
    return [
        *turns.routes,
        *conversations.routes,
        *chatbots.routes,
        *accounts.routes,
        *own_account.routes,
        *api_keys.routes,
        *oidc.routes,
        *users.routes,
        *user_access.routes,
        *audit.routes,
        *speech.routes,
        *health.routes,
        *limits.routes,
        *metrics.routes,
        *rollout.routes,
        *flags.routes,
        *guarded_rollout.routes,
        *segments.routes,
        *ofrep.routes,
        *admin.routes,
        *document.routes,
        ApiRoute("/", page, access=Access.PUBLIC, tier=Tier.NONE),
        Mount("/assets", Assets(WEB)),
    ]


async def page(_request: Request) -> Response:
    """Serve the chat page."""
    return FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})


class Assets(StaticFiles):
    """The page's files: asked for anew each time, answered with 304 where nothing changed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # passed on
        response.headers["Cache-Control"] = "no-cache"
        return response
