"""One caller of a service: who it is, and how it reads events."""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from operations.findings import OperationError

TERMINAL = frozenset({"turn.completed", "turn.failed", "turn.cancelled", "turn.interrupted"})
API = "/api/v1"


class SmokeError(Exception):
    """The service did something else than it should; the text says what."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it came, and when by the monotonic clock."""

    event_id: str
    name: str
    data: dict[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who calls: with an address and password, with a key, or as a guest where nothing is given."""

    email: str | None = None
    password: str = field(default="", repr=False)
    api_key: str | None = field(default=None, repr=False)


class Caller:
    """A client that stays who it is; every call has a deadline.

    Args:
        url: Of the service, without a path.
        verify: Whom to trust: a context, or False for nobody's certificate being looked at.
        timeout_s: For the whole of an answer to begin, and between two of its pieces.
    """

    def __init__(self, url: str, *, verify: ssl.SSLContext | bool, timeout_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path:
            raise OperationError(f"{url} is no address such as https://chat.example.com.")
        self.is_https = parts.scheme == "https"
        self.cookies: list[str] = []
        self._made: list[str] = []
        self._is_signed_in = False
        try:
            self.client = httpx2.Client(base_url=url, verify=verify, timeout=timeout_s)
        except (httpx2.InvalidURL, ValueError) as error:
            raise OperationError(f"{url} cannot be used: {error}.") from None

    @property
    def has_something(self) -> bool:
        """Whether there is anything to clean: a conversation, a session."""
        return bool(self._made) or self._is_signed_in

    def close(self) -> None:
        """Let go of the connections."""
        self.client.close()

    def sign_in(self, given: Credentials) -> str:
        """Become who is given; return who that is.

        Raises:
            SmokeError: the service does not let them in.
        """
        if given.api_key is not None:
            self.client.headers["Authorization"] = f"Bearer {given.api_key}"
        elif given.email is not None:
            body = {"email": given.email, "password": given.password}
            entered = self.post("/auth/login", body, expect=200)
            self.cookies, told = entered.headers.get_list("set-cookie"), entered.json()
            self.client.cookies.clear()
            self._is_signed_in = True
            self.client.headers["Authorization"] = f"Bearer {told['access_token']}"
        else:
            answer = self.post("/auth/guest", {})
            if answer.status_code != httpx2.codes.OK:
                raise SmokeError("guests are not let in: give --email or --api-key")
            self.cookies = answer.headers.get_list("set-cookie")
        user = self.get("/auth/me", expect=200).json()["user"]
        return str(user.get("email") or user["user_id"])

    def get(self, path: str, *, expect: int | None = None) -> httpx2.Response:
        """Return the answer to a GET of the API."""
        return self.call("GET", path, expect=expect)

    def post(self, path: str, body: object, *, expect: int | None = None) -> httpx2.Response:
        """Return the answer to a POST of JSON."""
        return self.call("POST", path, expect=expect, json=body)

    def call(
        self, method: str, path: str, *, expect: int | None = None, **more: Any
    ) -> httpx2.Response:
        """Return the answer to a call of the API.

        Raises:
            SmokeError: its status is another one than expected.
        """
        answer = self.client.request(method, f"{API}{path}", **more)
        self._note(answer)
        if expect is not None and answer.status_code != expect:
            raise SmokeError(
                f"{method} {path} answered {answer.status_code} {_code(answer)}, not {expect}"
            )
        return answer

    def start(self, message: str, **more: object) -> dict[str, Any]:
        """Start a turn to be read from its address."""
        told: dict[str, Any] = self.post("/turns", {"message": message, **more}, expect=201).json()
        return told

    @contextmanager
    def stream(
        self, method: str, path: str, **more: Any
    ) -> Iterator[tuple[httpx2.Response, Iterator[Event]]]:
        """Yield an answer and its events as they come; leaving the block cuts the connection."""
        with self.client.stream(method, f"{API}{path}", **more) as answer:
            self._note(answer)
            yield answer, _events(answer)

    def clean(self) -> int:
        """Delete the conversations that were made, sign out; return how many there were.

        Raises:
            SmokeError: one stays.
        """
        made = list(dict.fromkeys(self._made))
        for conversation in made:
            self.call("DELETE", f"/conversations/{conversation}", expect=204)
        if self._is_signed_in:
            self.post("/auth/logout", {}, expect=204)
        return len(made)

    def _note(self, answer: httpx2.Response) -> None:
        if conversation := answer.headers.get("X-Conversation-ID"):
            self._made.append(conversation)


def trust(ca: Path | None, *, insecure: bool) -> ssl.SSLContext | bool:
    """Return whom to trust.

    Raises:
        OperationError: the file holds no certificate.
    """
    if insecure:
        return False
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise OperationError(f"{ca} cannot be used: {error.strerror or error}.") from None


def _events(answer: httpx2.Response) -> Iterator[Event]:
    event_id, name, data = "", "message", ""
    for line in answer.iter_lines():
        if not line:
            if data:
                yield Event(event_id, name, json.loads(data), time.monotonic())
            event_id, name, data = "", "message", ""
            continue
        label, _, value = line.partition(": ")
        if label == "id":
            event_id = value
        elif label == "event":
            name = value
        elif label == "data":
            data += value


def _code(answer: httpx2.Response) -> str:
    try:
        return str(answer.json().get("code", ""))
    except (ValueError, AttributeError):
        return ""
