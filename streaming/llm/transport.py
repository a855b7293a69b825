"""HTTP to a model beneath the client: a transport of our own, whose answers can be read directly.

Of what a token costs, two fifths were a general client's way from the socket to its reader: 460 of
1,112 bytecode instructions (`docs/adr/0022`).
"""

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx2

from streaming.llm.wire.connecting import Names, connect
from streaming.llm.wire.exchange import Exchange, UnansweredError
from streaming.llm.wire.idle import IdleConnections, Origin

ReadBody = Callable[[], Awaitable[bytes]]
"""Returns what has come of a body, once there is any; nothing at its end."""

_READ = "chatstream.read"

_LIMITS = httpx2.Limits(max_keepalive_connections=1_000, keepalive_expiry=30.0)
"""As many are open as are asked for, since a pool must not queue turns; so many are kept."""

_PORTS = {"http": 80, "https": 443}
_BREAKS = re.compile(rb"[\r\n\0]")


LOST_WITHIN_S = 1.0
"""A kept connection that is lost so soon had most likely been closed before the request came."""


def http_client(
    url: httpx2.URL, *, on_response: Callable[[httpx2.Response], Awaitable[None]]
) -> httpx2.AsyncClient:
    """Return a client that follows no redirects, and tells of each answer before it reads it.

    Args:
        url: Below which all is that it asks.
        on_response: Told.
    """
    return httpx2.AsyncClient(
        limits=_LIMITS,
        transport=None if _has_proxy(url) else HttpTransport(_LIMITS),
        follow_redirects=False,
        event_hooks={"response": [on_response]},
    )


def read_of(response: httpx2.Response) -> ReadBody:
    """Return the shortest way to an answer's body, as it came; to be used alone."""
    read: ReadBody | None = response.extensions.get(_READ)
    if read is not None:
        return read
    body = response.aiter_raw()
    return lambda: anext(body, b"")


def close_of(response: httpx2.Response) -> Callable[[], Awaitable[None]]:
    """Return what closes an answer, and leaves its connection usable where all was read."""
    stream = response.stream
    return stream.aclose if isinstance(stream, httpx2.AsyncByteStream) else response.aclose


class HttpTransport(httpx2.AsyncBaseTransport):
    """Sends requests to servers that are reached without a proxy, on one event loop.

    Of a request's timeouts it keeps the one to connect: who reads bounds how long that may take.

    Args:
        limits: How many connections are kept for further requests, and how long.
    """

    def __init__(self, limits: httpx2.Limits) -> None:
        self._idle = IdleConnections(
            keepalive_s=limits.keepalive_expiry, max_each=limits.max_keepalive_connections
        )
        self._names = Names()
        self._context: ssl.SSLContext | None = None
        self._now = time.monotonic

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, whose body is in memory; return its answer, whose body was not read.

        It is sent a second time where a connection that was kept turns out to be lost at once, and
        before a byte of an answer: whoever was at its other end had most likely left before it
        came. What was lost later, or on a new connection, is never sent again here.

        Raises:
            httpx2.RequestError: There is no answer.
        """
        message, origin = _message(request), _origin(request.url)
        kept = self._idle.take(origin)
        if kept is not None:
            exchange, asked_at = Exchange(kept), self._now()
            try:
                await exchange.ask(message)
            except UnansweredError:
                if self._now() - asked_at > LOST_WITHIN_S:
                    raise
            else:
                return self._answer(request, origin, exchange)
        timeout: dict[str, float | None] = request.extensions.get("timeout", {})
        exchange = Exchange(await self._connected(origin, timeout.get("connect")))
        await exchange.ask(message)
        return self._answer(request, origin, exchange)

    async def aclose(self) -> None:
        """Close the connections that are not in use, and the others once their answers are read."""
        self._idle.close()
        await asyncio.sleep(0)  # a loop closes the sockets in its next turn

    async def _connected(self, origin: Origin, timeout_s: float | None) -> asyncio.Transport:
        if origin.is_tls and self._context is None:
            self._context = httpx2.create_ssl_context()  # 20 ms: only where it is needed
            self._context.set_alpn_protocols(["http/1.1"])
        try:
            with anyio.fail_after(timeout_s):
                context = self._context if origin.is_tls else None
                return await connect(origin, context, self._names)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(str(error)) from error

    def _answer(
        self, request: httpx2.Request, origin: Origin, exchange: Exchange
    ) -> httpx2.Response:
        body = _Body(exchange, partial(self._idle.keep, origin))
        has_body = request.method != "HEAD"  # whatever the head says
        if not has_body:
            body.end()
        return httpx2.Response(
            exchange.status,
            headers=exchange.headers,
            stream=body if has_body else httpx2.ByteStream(b""),
            request=request,
            extensions={_READ: exchange.read},
        )


class _Body(httpx2.AsyncByteStream):
    """A body for whoever does not take the short way."""

    def __init__(self, exchange: Exchange, keep: Callable[[asyncio.Transport], None]) -> None:
        self._exchange = exchange
        self._keep = keep

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._exchange.read():
            yield piece

    async def aclose(self) -> None:
        self.end()

    def end(self) -> None:
        """Leave the connection to the next request where the answer has ended, else cut it."""
        transport = self._exchange.close()
        if transport is not None:
            self._keep(transport)


def _message(request: httpx2.Request) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % field for field in request.headers.raw]
    if any(map(_BREAKS.search, lines)):
        raise httpx2.LocalProtocolError("A header field has a line break.")
    return b"\r\n".join([*lines, b"", request.content])


def _origin(url: httpx2.URL) -> Origin:
    return Origin(
        url.scheme == "https", url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]
    )


def _has_proxy(url: httpx2.URL) -> bool:
    """Whether the environment names a proxy for it; httpx2's transport knows what to do then."""
    is_named = bool(getproxies().keys() & {url.scheme, "all"})
    return is_named and not proxy_bypass(url.host)
