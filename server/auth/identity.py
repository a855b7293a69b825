"""Who is asking: a guest is known by a signed, stateless cookie, an operator by their token.

Source: RFC 6265bis; nothing is stored until a write.
"""

from itsdangerous import BadSignature, Signer
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from server.auth.caller import Caller, Owner
from server.auth.operators import operator_by_token
from server.errors import ProblemError, refusal
from server.ids import new_id

COOKIE = "chat_guest"
MAX_AGE_S = 400 * 86_400
"""The longest that browsers keep a cookie."""
OPERATORS = frozenset({"flags", "segments"})
"""Under /api/v1, but nobody's own: their callers are made no guests."""
SHARED = frozenset({"chatbots"})
"""Read by everybody; operators are nobody's guest there."""
SAFE = frozenset({"GET", "HEAD"})


class Guests:
    """Signs and reads guest cookies. Forged or damaged ones are as good as none."""

    def __init__(self, secret: str) -> None:
        self._signer = Signer(secret, salt="chat-guest")

    def read(self, cookie: str) -> Owner | None:
        """Return the guest the cookie names, or None."""
        try:
            return Owner(self._signer.unsign(cookie).decode("ascii"))
        except (BadSignature, UnicodeError):
            return None

    def make(self) -> tuple[Owner, str]:
        """Return a new guest and the cookie that proves it."""
        owner = Owner(new_id("guest"))
        return owner, self._signer.sign(owner.owner_id).decode("ascii")


class IdentityMiddleware:
    """Tells each request's caller (`scope["state"]["caller"]`); new guests get their cookie.

    The page itself sets the cookie too: its first calls run side by side, and each would be another
    guest otherwise. Everything under /api/v1 needs an owner, also what is not there; where guests
    are not let in, 401. What a caller may do is each route's rule (`server.auth.routing`).
    """

    def __init__(self, app: ASGIApp, *, guests: Guests, allow_guests: bool) -> None:
        self._app = app
        self._guests = guests
        self._allow_guests = allow_guests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        operator = operator_by_token(connection)
        owner = None
        if _may_need_owner(scope, operator):
            owner = self._guests.read(connection.cookies.get(COOKIE, ""))
            if owner is None and self._allow_guests:
                owner, cookie = self._guests.make()
                _set_cookie(scope, cookie, secure=scope["scheme"] == "https")
            if owner is None and scope["path"] != "/":
                problem = ProblemError(
                    401, "unauthenticated", "Sign in first; guests are not let in."
                )
                await refusal(scope, problem)(scope, receive, send)
                return
        scope["state"]["caller"] = Caller(owner, operator)
        await self._app(scope, receive, send)


def _may_need_owner(scope: Scope, operator: str | None) -> bool:
    path: str = scope["path"]
    if not path.startswith("/api/v1/"):
        return path == "/"
    area = path.split("/", 4)[3]
    if area in SHARED:
        return scope["method"] in SAFE and operator is None
    return area not in OPERATORS


def _set_cookie(scope: Scope, cookie: str, *, secure: bool) -> None:
    value = f"{COOKIE}={cookie}; Path=/; Max-Age={MAX_AGE_S}; HttpOnly; SameSite=Lax"
    headers: MutableHeaders = scope["state"]["response_headers"]
    headers.append("set-cookie", value + "; Secure" if secure else value)
