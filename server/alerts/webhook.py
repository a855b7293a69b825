"""Messages to a webhook, as Slack takes them: `{"text": …}`; others take the same."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from server.alerts.channels import ChannelError, ChannelName
from server.alerts.model import Notice
from server.alerts.wording import Sender, body, subject_line

CONNECT_S = 5.0
ANSWER_S = 10.0

_PASSING = frozenset({408, 425, 429})
_FIRST_SERVER_ERROR = 500


class Webhook:
    """Posts a message as JSON. Redirects are not followed: they would take the text elsewhere.

    The address is a secret: whoever has it can post. It is in no message, no error and no log.

    Args:
        url: `https://…`; its certificate is verified.
        sender: Who speaks.
    """

    name: ChannelName = "webhook"

    def __init__(self, url: str, sender: Sender) -> None:
        self._url = url
        self._sender = sender
        self._client: httpx2.AsyncClient | None = None

    async def send(self, notice: Notice) -> None:
        text = f"{subject_line(notice, self._sender)}\n"
        text += body(notice, self._sender, datetime.now(UTC))
        if self._client is None:  # certificates are read: not before there is something to say
            timeout = httpx2.Timeout(ANSWER_S, connect=CONNECT_S)
            self._client = httpx2.AsyncClient(timeout=timeout, follow_redirects=False)
        try:
            # Of the answer only its head is read.
            posted = self._client.stream("POST", self._url, json={"text": _escaped(text)})
            async with posted as answer:
                _check(answer)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise ChannelError(_reason(error), is_passing=True) from None
        except (httpx2.InvalidURL, UnicodeError):
            raise ChannelError("the address cannot be used", is_passing=False) from None

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def _check(answer: httpx2.Response) -> None:
    status = answer.status_code
    if answer.is_success:
        return
    if answer.is_redirect:
        raise ChannelError(f"a redirect ({status}), which is not followed", is_passing=False)
    raise ChannelError(
        f"status {status}",
        is_passing=status in _PASSING or status >= _FIRST_SERVER_ERROR,
        retry_after_s=_retry_after_s(answer.headers.get("retry-after", "")),
    )


def _reason(error: Exception) -> str:
    """Name the kind of a failure; the library's own words may quote the address."""
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx2.ConnectError):
        is_untrusted = "certificate" in str(error).lower()
        return "its certificate is not trusted" if is_untrusted else "cannot be reached"
    return f"the connection failed ({type(error).__name__})"


def _retry_after_s(value: str) -> float | None:
    """Return the seconds that a `Retry-After` asks for: RFC 9110, as a number or a date."""
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _escaped(text: str) -> str:
    """Escape what Slack reads as markup: its documentation names these three."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
