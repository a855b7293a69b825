"""HTTP to a model beneath the client: aiohttp, whose reader an answer hands over with itself.

The client has a transport on aiohttp as well. A read through that one, and through the layers of
httpx2 above it, wakes four generators: 12,000 of 103,000 instructions a token (callgrind).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.request import getproxies

import aiohttp
import httpx2
from openai import DefaultAioHttpClient

ReadBody = Callable[[], Awaitable[bytes]]
"""Returns what has come of a body, once there is any; nothing at its end."""

_READ = "chatstream.read"


def http_client(
    limits: httpx2.Limits, *, on_response: Callable[[httpx2.Response], Awaitable[None]]
) -> httpx2.AsyncClient:
    """Return a client that follows no redirects, and tells of each answer before it reads it."""
    own = None if _has_proxies() else AiohttpTransport(limits)
    return DefaultAioHttpClient(
        limits=limits,
        transport=own,
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


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Sends requests with aiohttp, to servers that are reached without a proxy."""

    def __init__(self, limits: httpx2.Limits) -> None:
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None  # wants an event loop that runs

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; return its answer, whose body has not been read."""
        if self._session is None:
            self._session = self._open()
        timeout: dict[str, float | None] = request.extensions.get("timeout", {})
        try:
            answer = await self._session.request(
                request.method,
                str(request.url),
                headers=request.headers,
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=timeout.get("pool"), sock_connect=timeout.get("connect")
                ),
            )
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(str(error)) from error
        except (aiohttp.ClientConnectionError, OSError) as error:
            raise httpx2.ConnectError(str(error)) from error
        return httpx2.Response(
            answer.status,
            headers=list(answer.raw_headers),
            stream=_Body(answer),
            request=request,
            extensions={_READ: answer.content.readany},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._limits.max_connections or 0,
            keepalive_timeout=self._limits.keepalive_expiry,
            ssl=httpx2.create_ssl_context(),
        )
        return aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )


class _Body(httpx2.AsyncByteStream):
    """A body for whoever does not take the short way: an error's, which is read once."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._answer.content.iter_any():
            yield chunk

    async def aclose(self) -> None:
        """Leave the connection for the next request where the body was read, else close it."""
        self._answer.release()
        await self._answer.wait_for_close()


def _has_proxies() -> bool:
    """Whether the environment names a proxy; the client's own transport knows what to do then."""
    return bool(getproxies().keys() & {"http", "https", "all"})
