"""Who is asking: told before any route runs, so that each can say who may call it.

Source: RFC 6265bis; RFC 6750 (bearer tokens in the header only).
"""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from server.auth import cookies
from server.auth.caller import Caller, Owner
from server.auth.credentials import Credentials
from server.auth.guests import Converted, Guests
from server.errors import ProblemError, refusal

OPERATORS = frozenset({"flags", "segments", "users", "audit"})
"""Under /api/v1, but nobody's own: their callers are made no guests."""
SHARED = frozenset({"chatbots"})
"""Read by everybody; operators are nobody's guest there."""
SIGN_IN = frozenset({"auth", "limits"})
"""Strangers may come here also where guests are not let in."""
MAKES_GUESTS = frozenset({"/api/v1/auth/me", "/api/v1/auth/guest"})
"""Of the addresses of sign-in: the others are for whoever is about to be somebody else."""
UNASKED = ("/assets/", "/health/live", "/health/ready")
"""They tell everybody the same, also where no store answers: nobody's credentials are looked at."""
SAFE = frozenset({"GET", "HEAD"})


class IdentityMiddleware:
    """Tells each request's caller (`scope["state"]["caller"]`); new guests get their cookie.

    The page itself sets the cookie too: its first calls run side by side, and each would be another
    guest otherwise. Everything under /api/v1 needs an owner, also what is not there; where guests
    are not let in, 401. What a caller may do is each route's rule (`server.auth.routing`).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        credentials: Credentials,
        guests: Guests,
        converted: Converted,
        allow_guests: bool,
    ) -> None:
        self._app = app
        self._credentials = credentials
        self._guests = guests
        self._converted = converted
        self._allow_guests = allow_guests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = Caller()
        if not scope["path"].startswith(UNASKED):
            connection = HTTPConnection(scope)
            caller = await self._credentials.caller(connection)
            if _is_nobody(caller) and _may_need_owner(scope, caller.operator):
                if self._allow_guests and _makes_guests(scope["path"]):
                    caller = Caller(self._new_guest(connection), caller.operator)
                elif scope["path"] != "/" and _area(scope["path"]) not in SIGN_IN:
                    problem = ProblemError(
                        401, "unauthenticated", "Sign in first; guests are not let in."
                    )
                    await refusal(scope, problem)(scope, receive, send)
                    return
        scope["state"]["caller"] = caller
        await self._app(scope, receive, send)

    def _new_guest(self, connection: HTTPConnection) -> Owner:
        owner, cookie = self._guests.make()
        self._converted.is_new(owner.owner_id)
        cookies.GUEST.set(connection, cookie, max_age_s=cookies.MAX_COOKIE_AGE_S)
        return owner


def _is_nobody(caller: Caller) -> bool:
    """Say whether nothing was sent that names an owner: neither a good one nor a former one."""
    return caller.owner is None and caller.fault is None and not caller.scopes


def _may_need_owner(scope: Scope, operator: str | None) -> bool:
    path: str = scope["path"]
    if not path.startswith("/api/v1/"):
        return path == "/"
    area = _area(path)
    if area in SHARED:
        return scope["method"] in SAFE and operator is None
    return area not in OPERATORS


def _makes_guests(path: str) -> bool:
    return _area(path) != "auth" or path in MAKES_GUESTS


def _area(path: str) -> str:
    """Return the part of a path behind /api/v1/; empty: it is elsewhere."""
    return path.split("/", 4)[3] if path.startswith("/api/v1/") else ""
