"""The operators' page: itself, signing in and out, and what it shows live.

The page asks for everything else at the addresses that operators' scripts use.
"""

from collections.abc import Awaitable, Callable, Mapping

import structlog
from anyio.lowlevel import checkpoint
from pydantic import Field
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from accounts.errors import AccountsError
from server.audit import audit
from server.auth.caller import Caller
from server.auth.operator_sessions import COOKIE, MAX_AGE_S
from server.auth.operators import is_admin, is_still_operator
from server.auth.routing import Access, ApiRoute
from server.body import StrictModel, read_model
from server.changes import NO_STORE
from server.errors import STATUS, ProblemError
from server.limits.tiers import Tier
from server.openapi.described import admin as docs
from server.routes.health import health
from server.routes.metrics import read_health, read_service, read_streaming, read_summary
from server.routes.rollout import read_flags
from server.services import ROOT
from server.wire import Json, instant, services_of

log = structlog.get_logger(__name__)

Read = Callable[[Request], Awaitable[Response]]
PARTS: Mapping[str, Read] = {
    "service": read_service,
    "streaming": read_streaming,
    "summary": read_summary,
    "health": health,
    "streaming_health": read_health,
    "flags": read_flags,
}
"""What a state is made of: each part is what its own address answers, so that none can differ."""
_REFUSALS: tuple[type[Exception], ...] = (ProblemError, *STATUS)


class SignIn(StrictModel):
    """The body of `POST /admin/session`."""

    token: str = Field(min_length=1, max_length=1000)


async def page(_request: Request) -> Response:
    """Serve the operators' page: it tells nothing to whoever has not signed in."""
    return FileResponse(ROOT / "web/admin/index.html", headers={"Cache-Control": "no-cache"})


async def sign_in(request: Request) -> Response:
    """Give a cookie for the operators' token."""
    services = services_of(request)
    address = "" if request.client is None else request.client.host
    body = await read_model(request, SignIn)
    # After the body, whose sender takes its time: nobody has more tries at once than in a row.
    _let_try(services.failed_sign_ins.wait_s(address), address)
    if not services.operator_sessions.is_token(body.token.strip().encode()):
        services.failed_sign_ins.failed(address)
        log.warning("operators.sign_in_refused", address=address)
        raise ProblemError(
            401,
            "wrong_token",
            "This is not the operators' token: ADMIN_TOKEN, in development DATA_DIR/admin-token.",
            headers={"WWW-Authenticate": 'Bearer realm="operators"'},
        )
    cookie, ends_at = services.operator_sessions.make()
    await audit(
        request,
        "auth.signed_in",
        "admin_cookie",
        details={"by": "admin_token"},
        who="admin_token",
    )
    log.info("operators.signed_in", address=address)
    answer = JSONResponse({"signed_in": True, "ends_at": instant(ends_at)}, headers=NO_STORE)
    _set_cookie(request, answer, cookie, max_age_s=MAX_AGE_S)
    return answer


async def read_session(request: Request) -> Response:
    """Tell whether the caller is signed in as an operator, until when, and with which account."""
    caller: Caller = request.state.caller
    sessions = services_of(request).operator_sessions
    ends_at = sessions.ends_at(request.cookies.get(COOKIE, ""))
    answer = {
        "signed_in": is_admin(request),
        "ends_at": None if ends_at is None else instant(ends_at),
        "user": await _account(request),
        "is_expired": caller.fault is not None and caller.fault.kind == "token_expired",
    }
    return JSONResponse(answer, headers=NO_STORE)


async def _account(request: Request) -> Json | None:
    """Return the account that the caller is signed in to, whether it is an operator's or not."""
    caller: Caller = request.state.caller
    if caller.owner is None or caller.owner.session_id is None:
        return None
    try:
        user = await services_of(request).accounts.users.get(caller.owner.owner_id)
    except AccountsError:  # who comes with the token needs none
        return None
    return {"user_id": user.user_id, "email": user.email, "name": user.name, "role": user.role}


async def sign_out(request: Request) -> Response:
    """Take the cookie back: this browser's, also where it is none."""
    answer = Response(status_code=204, headers=NO_STORE)
    _set_cookie(request, answer, "", max_age_s=0)
    return answer


async def follow(request: Request) -> Response:
    """Answer with the live figures, as an event stream."""
    kept = Request(dict(request.scope))  # a stream outlasts its request's own
    return services_of(request).operator_streams.follow(
        lambda: state_of(PARTS, kept), is_welcome=lambda: is_still_operator(kept)
    )


async def state_of(parts: Mapping[str, Read], request: Request) -> bytes:
    """Return what the parts answer, as one object in JSON.

    Each takes milliseconds: tokens that are due go first.
    """
    told: list[bytes] = []
    for name, read in parts.items():
        told.append(b'"%b":%b' % (name.encode(), await _part(read, request)))
        await checkpoint()
    return b"{%b}" % b",".join(told)


async def _part(read: Read, request: Request) -> bytes:
    """Return what an address answers; null where it cannot: the other parts are needed then."""
    try:
        return bytes((await read(request)).body)
    except _REFUSALS as error:
        log.warning("operators.part_missing", part=read.__name__, reason=str(error))
        return b"null"


def _let_try(wait_s: float, address: str) -> None:
    if wait_s > 0:
        log.warning("operators.sign_in_too_often", address=address)
        raise ProblemError(
            429,
            "too_many_tries",
            "This address has sent wrong tokens; wait a minute, then try again.",
            headers={"Retry-After": str(int(wait_s) + 1)},
        )


def _set_cookie(request: Request, answer: Response, cookie: str, *, max_age_s: int) -> None:
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=max_age_s,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


routes = [
    ApiRoute("/admin", page, methods=["GET"], access=Access.PUBLIC, tier=Tier.OPERATORS),
    ApiRoute(
        "/admin/session",
        read_session,
        methods=["GET"],
        access=Access.PUBLIC,
        tier=Tier.OPERATORS,
        doc=docs.SESSION,
    ),
    ApiRoute(
        "/admin/session",
        sign_in,
        methods=["POST"],
        access=Access.PUBLIC,
        tier=Tier.OPERATORS,
        doc=docs.SIGN_IN.taking(SignIn),
    ),
    ApiRoute(
        "/admin/session",
        sign_out,
        methods=["DELETE"],
        access=Access.PUBLIC,
        tier=Tier.OPERATORS,
        doc=docs.SIGN_OUT,
    ),
    ApiRoute(
        "/admin/events",
        follow,
        methods=["GET"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.EVENTS,
    ),
]
