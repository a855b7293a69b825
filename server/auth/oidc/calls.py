"""Calls to a provider: each has a deadline and a bound, and follows no redirect."""

from collections.abc import Mapping

import anyio
import httpx2

from server.auth.oidc.errors import OidcError
from server.body import parse_json
from server.errors import ProblemError

MAX_ANSWER_BYTES = 262_144
"""Key sets and discovery documents of the large providers have less than 20 KB."""

Document = Mapping[str, object]


class ProviderCalls:
    """Asks a provider for JSON. What it says in words is read by nobody, and logged nowhere.

    Args:
        timeout_s: Of a whole call, its body included.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._client: httpx2.AsyncClient | None = None

    async def get(self, url: str, *, bearer: str | None = None) -> Document:
        """Return the JSON object at an address.

        Raises:
            OidcError: `provider_unavailable`: there is none within the deadline.
        """
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        return await self._call("GET", url, headers=headers)

    async def post(
        self, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None = None
    ) -> Document:
        """Send a form, and return the JSON object that is answered.

        Raises:
            OidcError: `provider_unavailable`: there is none within the deadline.
        """
        return await self._call("POST", url, data=form, auth=basic)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Document:
        if self._client is None:  # certificates are read: not before somebody signs in
            timeout = httpx2.Timeout(self._timeout_s)
            self._client = httpx2.AsyncClient(timeout=timeout, follow_redirects=False)
        # Compressed, a small answer could be a large one.
        asked = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        try:
            with anyio.fail_after(self._timeout_s):
                sent = self._client.stream(method, url, headers=asked, data=data, auth=auth)
                async with sent as answer:
                    return _object(await _body(answer))
        except TimeoutError:
            raise _failed("no answer in time") from None
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, UnicodeError) as error:
            raise _failed(type(error).__name__) from None


async def _body(answer: httpx2.Response) -> bytes:
    if answer.status_code != httpx2.codes.OK:
        raise _failed(f"status {answer.status_code}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise _failed("a compressed answer, which was not asked for")
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise _failed(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _object(body: bytes) -> Document:
    try:
        value = parse_json(body)
    except ProblemError:
        raise _failed("an answer that is no JSON") from None
    if not isinstance(value, dict):
        raise _failed("an answer that is no JSON object")
    return value


def _failed(reason: str) -> OidcError:
    return OidcError("provider_unavailable", reason)
