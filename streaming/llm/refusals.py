"""What a model provider's answer must look like before a byte of its text is read.

Nothing of the provider's own words leaves here: an error's `detail` is one of the sentences below.
"""

from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

import anyio
import httpx2
from openai import OpenAIError

from streaming.errors import (
    SourceError,
    SourceProtocolError,
    SourceRateLimitedError,
    SourceRefusedError,
    SourceReportedError,
    SourceUnavailableError,
)

_MAX_ERROR_BYTES = 64 << 10
_ERROR_BODY_TIMEOUT_S = 1.0

_REFUSALS = {  # by status, else by its class
    100: "The model provider gave no answer.",
    200: "The model provider gave no answer.",
    300: "The model provider's address redirects elsewhere.",  # not followed: the key would go too
    400: "The model provider did not accept the request.",
    401: "The model provider refused the API key.",
    402: "The model provider's account has no credit left.",
    403: "The model provider does not allow this API key to use the model.",
    404: "The model provider does not know the model, or nothing answers at its address.",
    405: "The address of the model provider is not that of a chat completions API.",
    413: "The conversation is too long for the model.",
    422: "The model provider did not accept the request.",
}
_PASSING = frozenset({408, 409, 425})  # refusals that another try may meet no more


class StreamOptionsRefusedError(SourceRefusedError):
    """The server does not know `stream_options`; ask again without."""


class RefusalError(OpenAIError):
    """Carry an error of ours through the client, which lets only its own kind pass as they are."""

    def __init__(self, reason: SourceError) -> None:
        super().__init__(reason.detail)
        self.reason = reason


async def demand_event_stream(response: httpx2.Response) -> None:
    """Let pass only a plain event stream; run by the client before it looks at an answer itself.

    Left to itself the client would read an error's body whole, however long it is.

    Raises:
        RefusalError: with the error that says what came instead.
    """
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity").lower()
    if response.status_code == httpx2.codes.OK and media_type == "text/event-stream":
        if encoding != "identity":
            raise RefusalError(SourceProtocolError("The model provider compressed its answer."))
        return
    body = await _start_of_body(response)
    if response.status_code == httpx2.codes.OK:
        raise RefusalError(_not_a_stream(media_type, body))
    raise RefusalError(_refused(response.status_code, response.headers, body))


async def _start_of_body(response: httpx2.Response) -> bytes:
    """Return what comes of an error's body within bounds; it is looked at, never shown."""
    body = b""
    with anyio.move_on_after(_ERROR_BODY_TIMEOUT_S):
        async with aclosing(response.aiter_raw()) as chunks:
            while len(body) < _MAX_ERROR_BYTES and (chunk := await anext(chunks, b"")):
                body += chunk
    return body


def _not_a_stream(media_type: str, body: bytes) -> SourceError:
    if media_type == "application/json" and b'"error"' in body:
        return SourceReportedError("The model provider reported an error instead of answering.")
    if media_type == "text/html":
        return SourceProtocolError("A web page answered at the address of the model provider.")
    return SourceProtocolError("The model provider did not answer with an event stream.")


def _refused(status: int, headers: httpx2.Headers, body: bytes) -> SourceError:
    retry_after_s = _retry_after_s(headers)
    if status == httpx2.codes.TOO_MANY_REQUESTS:
        if b"insufficient_quota" in body:
            return SourceRefusedError("The model provider's account has no quota left.")
        detail = "The model provider is receiving too many requests."
        return SourceRateLimitedError(detail, retry_after_s=retry_after_s)
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR or status in _PASSING:
        detail = f"The model provider could not answer (status {status})."
        return SourceUnavailableError(detail, retry_after_s=retry_after_s)
    if b"stream_options" in body:
        return StreamOptionsRefusedError(_REFUSALS[400])
    if b"context_length_exceeded" in body:
        status = 413
    return SourceRefusedError(_REFUSALS.get(status, _REFUSALS[status // 100 * 100]))


def _retry_after_s(headers: httpx2.Headers) -> float | None:
    """Return how long the provider asks to wait; None where it does not say, or nonsense.

    Source: RFC 9110, 10.2.3: seconds or a date. `retry-after-ms` is OpenAI's own, and finer.
    """
    told_ms, told = headers.get("retry-after-ms"), headers.get("retry-after", "")
    try:
        seconds = float(told) if told_ms is None else float(told_ms) / 1000
    except ValueError:
        return _seconds_until(told)
    return seconds if isfinite(seconds) and seconds >= 0 else None


def _seconds_until(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date)
    except (ValueError, IndexError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
