"""What every request passes, outside in: answer headers and request id, origin check, body bound.

Pure ASGI: Starlette's `BaseHTTPMiddleware` would buffer and break backpressure. Only the outermost
wraps `send`, once, for all of them: an event stream pays for each wrapper with every token.
"""

import math
import re
from collections.abc import Iterable
from time import perf_counter
from urllib.parse import urlsplit

import anyio
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metrics.turns import TurnMetrics
from server.errors import ProblemError, answer_error, refusal
from server.event_stream import REST, Rest
from server.ids import new_id

log = structlog.get_logger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_CLEAN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " font-src 'self'; connect-src 'self'; media-src 'self' blob: data:; manifest-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
_RAW_SECURITY_HEADERS = [
    (name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()
]
"""Encoded once: every stream holds them for as long as it lasts, 1.4 KB."""

HSTS = "max-age=63072000"
"""Two years of https alone. Without `includeSubDomains`: other names may be none of ours."""


class AnswerMiddleware:
    """Outermost: request id, security headers, headers collected further in, request metrics.

    What does not say how long it may be kept is not kept. An answer that has not begun in time is
    503: each thing that is waited for has a shorter deadline of its own, this one is the last.

    Args:
        app: What answers.
        metrics: Told of each request.
        timeout_s: Seconds until an answer has to begin; it may then last for ever.
        demands_https: Whether browsers are told to stay with https, where they came by it.
        logs: Whether each request is logged.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: TurnMetrics,
        timeout_s: float = math.inf,
        demands_https: bool = False,
        logs: bool = False,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._demands_https = demands_https
        self._logs = logs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, sent = perf_counter(), _Sent()
        try:
            await self._answer(scope, receive, send, sent)
            await _send_rest(scope, send)
        finally:
            self._tell(scope, sent.status, perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, sent: "_Sent") -> None:
        answer = _Answer(send, self._own_headers(scope), self._timeout_s, sent)
        try:
            with answer.waiting as waiting:
                await self._app(scope, receive, answer.send)
            if waiting.cancelled_caught:
                log.error("request.timed_out", path=scope["path"], timeout_s=self._timeout_s)
                await refusal(scope, _too_late())(scope, receive, answer.send)
        except ClientDisconnect:  # left in the middle of its body: nobody to answer
            pass
        except Exception as error:  # here, so that a 500 too has the headers set above
            if sent.has_begun:
                raise
            told = await answer_error(Request(scope), error)
            await told(scope, receive, answer.send)

    def _own_headers(self, scope: Scope) -> MutableHeaders:
        """Return what is added to the answer; what is further in adds to it."""
        own = Headers(scope=scope).get("x-request-id", "")
        request_id = own if _CLEAN_ID.fullmatch(own) else new_id("req")
        raw = [(b"x-request-id", request_id.encode()), *_RAW_SECURITY_HEADERS]
        headers = MutableHeaders(raw=raw)
        if self._demands_https and scope["scheme"] == "https":
            headers["Strict-Transport-Security"] = HSTS
        state = scope.setdefault("state", {})
        state["request_id"], state["response_headers"] = request_id, headers
        structlog.contextvars.bind_contextvars(request_id=request_id)
        return headers

    def _tell(self, scope: Scope, status: int, duration_s: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.http_request(route, scope["method"], status, duration_s)
        if self._logs:
            log.info(
                "http.request",
                method=scope["method"],
                route=route,
                status=status,
                duration_s=round(duration_s, 4),
            )


async def _send_rest(scope: Scope, send: Send) -> None:
    """Send what is left of an answer that lasts, with nothing kept of its request.

    Its header fields alone, as a browser sends them, are 3 KB.
    """
    rest: Rest | None = scope["state"].get(REST)
    if rest is None:
        return
    needed = {name: scope[name] for name in ("type", "method", "route")}
    scope.clear()
    scope.update(needed)
    await rest(send)


class _Sent:
    """What has been sent of an answer; it outlives it."""

    __slots__ = ("has_begun", "status")

    def __init__(self) -> None:
        self.status = 500
        self.has_begun = False


class _Answer:
    """What is sent; its start gets the headers, and ends the wait for it."""

    def __init__(self, send: Send, headers: MutableHeaders, timeout_s: float, sent: _Sent) -> None:
        self.waiting = anyio.move_on_after(timeout_s)
        self._send = send
        self._headers = headers
        self._sent = sent

    async def send(self, message: Message) -> None:
        """Pass a message on: the second and all others as they are."""
        if message["type"] == "http.response.start":
            self._sent.status, self._sent.has_begun = message["status"], True
            self.waiting.deadline = math.inf
            message["headers"] = [*message["headers"], *self._headers.raw]
            if not any(name == b"cache-control" for name, _ in message["headers"]):
                message["headers"].append((b"cache-control", b"no-store"))
        await self._send(message)


def _too_late() -> ProblemError:
    return ProblemError(
        503,
        "timed_out",
        "This took too long and was given up; it may have been done: read it, then try again.",
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


def headers_too_large(max_bytes: int) -> ProblemError:
    """Return the refusal of a request whose head is too long."""
    return ProblemError(
        431,
        "headers_too_large",
        f"The header fields may have {max_bytes} bytes; delete cookies.",
        headers={"Connection": "close"},
    )


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
            return headers_too_large(MAX_HEADER_BYTES)
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_HEADER_BYTES:
            return ProblemError(
                414,
                "uri_too_long",
                f"The address may have {MAX_HEADER_BYTES} bytes; shorten it.",
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
