"""What every request passes, outside in: answer headers and request id, origin check, body bound.

Pure ASGI: Starlette's `BaseHTTPMiddleware` would buffer and break backpressure. Only the outermost
wraps `send`, once, for all of them: an event stream pays for each wrapper with every token.
"""

import re
from collections.abc import Iterable
from time import perf_counter
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metrics.turns import TurnMetrics
from server.errors import ProblemError, answer_error, refusal
from server.ids import new_id

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_CLEAN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " font-src 'self'; connect-src 'self'; media-src 'self' blob: data:; manifest-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


class AnswerMiddleware:
    """Outermost: request id, security headers, headers collected further in, request metrics."""

    def __init__(self, app: ASGIApp, *, metrics: TurnMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, is_started = perf_counter(), 500, False
        own = Headers(scope=scope).get("x-request-id", "")
        request_id = own if _CLEAN_ID.fullmatch(own) else new_id("req")
        headers = MutableHeaders({"X-Request-ID": request_id, **SECURITY_HEADERS})
        state = scope.setdefault("state", {})
        state["request_id"], state["response_headers"] = request_id, headers
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def send_with_headers(message: Message) -> None:
            nonlocal status, is_started
            if message["type"] == "http.response.start":
                status, is_started = message["status"], True
                message["headers"] = [*message["headers"], *headers.raw]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:  # left in the middle of its body: nobody to answer
            pass
        except Exception as error:  # here, so that a 500 too has the headers set above
            if is_started:
                raise
            answer = await answer_error(Request(scope), error)
            await answer(scope, receive, send_with_headers)
        finally:
            route = scope.get("route")
            self._metrics.http_request(
                getattr(route, "path", "other"), scope["method"], status, perf_counter() - began
            )


class OriginMiddleware:
    """Refuses requests that change something and come from another site's page.

    Also without credentials: a cross-site page could otherwise act as a new guest.
    Source: OWASP, fetch metadata; WHATWG Fetch, the `Origin` header.
    """

    def __init__(self, app: ASGIApp, *, allowed: Iterable[str]) -> None:
        self._app = app
        self._allowed = frozenset(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            headers = Headers(scope=scope)
            if not self._is_own(headers):
                problem = ProblemError(
                    403,
                    "cross_site",
                    "This request comes from another site's page; see ALLOWED_ORIGINS.",
                )
                await refusal(scope, problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_own(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin in self._allowed:
            return True
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            return False
        if origin is not None:
            return origin != "null" and _host_of(origin) == headers.get("host")
        return True


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as an IPv6 address that never closes
        return None


MAX_HEADER_BYTES = 32_768
"""The parser takes 200 KB and more; behind nginx less arrives."""


class SizeLimitMiddleware:
    """Refuses header fields over their limit with 431, and bodies over theirs with 413.

    A body is judged by its announced length, and counted while it comes. With a request that only
    reads it is refused: nothing reads it there, so nothing would answer what is wrong with it.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = self._refusal(scope)
        if problem is not None:
            await refusal(scope, problem)(scope, receive, send)
            return
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, receive_bounded, send)

    def _refusal(self, scope: Scope) -> ProblemError | None:
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size > MAX_HEADER_BYTES:
            return ProblemError(
                431,
                "headers_too_large",
                f"The header fields may have {MAX_HEADER_BYTES} bytes; delete cookies.",
                headers={"Connection": "close"},
            )
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if scope["method"] in SAFE_METHODS and (announced != "0" or "transfer-encoding" in headers):
            return ProblemError(
                400,
                "malformed",
                "A request that only reads has no body.",
                headers={"Connection": "close"},
            )
        if announced.isdigit() and int(announced) > self._max_bytes:
            return self._too_large()
        return None

    def _too_large(self) -> ProblemError:
        return ProblemError(
            413,
            "body_too_large",
            f"The body may have {self._max_bytes} bytes.",
            headers={"Connection": "close"},
        )
