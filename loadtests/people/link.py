"""One person's way to the server: cookies, a connection that is kept, and streams that can be cut.

It is the standard library's client: under locust its sockets are gevent's, in a test they block.
"""

import contextlib
import http.client
import json
import socket
import struct
from collections.abc import Callable, Generator
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar
from urllib.parse import urlsplit

_ERROR_STATUS, _UNAUTHORIZED = 400, 401
_REFRESH, _REFRESH_COOKIE = "/api/v1/auth/refresh", "chat_refresh"
_SMALL_BUFFER_BYTES = 4096
_READ_BYTES = 65_536
_CLOSED_MEANWHILE = frozenset({"connection_closed", "connection_reset"})
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends a reset


Asked = TypeVar("Asked")


class LinkError(Exception):
    """A call did not get its answer; `code` is the server's own, or names what the network did."""

    def __init__(self, code: str, status: int = 0) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was made, for whoever counts. `code` is empty where it was answered well."""

    method: str
    name: str
    took_s: float
    size_bytes: int
    code: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    told: dict[str, Any]


class Stream:
    """An answer whose body is still coming."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse):
        self.status = answer.status
        self.is_events = answer.headers.get_content_type() == "text/event-stream"
        self.turn_id = answer.headers.get("X-Turn-ID", "")
        self.conversation_id = answer.headers.get("X-Conversation-ID", "")
        self._connection = connection
        self._answer = answer
        # An answer that ends its connection takes the socket along.
        self._socket: socket.socket | None = connection.sock or getattr(
            getattr(answer.fp, "raw", None), "_sock", None
        )

    def read(self, most_bytes: int = _READ_BYTES) -> bytes:
        """Return what has come, at least one byte; nothing at the proper end.

        Raises:
            LinkError: The connection broke, or nothing came in time.
        """
        with _told():
            return self._answer.read1(most_bytes)

    def whole(self) -> dict[str, Any]:
        """Return the rest as the JSON object that it is, {} where it is none.

        Raises:
            LinkError: The connection broke, or nothing came in time.
        """
        with _told():
            return _object(self._answer.read())

    def cut(self) -> None:
        """Drop the connection as a lost network does: with a reset, in the middle of anything."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._answer.close()
        self._connection.close()


class Link:
    """A person's connections to one server.

    Args:
        url: The server, as `http://127.0.0.1:8000`.
        on_call: Gets every request that was answered or failed.
        silence_s: Seconds without a byte after which an answer is given up.
    """

    def __init__(self, url: str, on_call: Callable[[Call], None], silence_s: float = 25.0) -> None:
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if is_tls else 80)
        self._connect = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
        self._silence_s = silence_s
        self._on_call = on_call
        self._cookies: dict[str, str] = {}
        self._kept: http.client.HTTPConnection | None = None

    def call(
        self,
        method: str,
        path: str,
        *,
        name: str = "",
        body: dict[str, object] | None = None,
    ) -> Answer:
        """Make a call on the kept connection; repeat it once where that was closed meanwhile.

        An access token that has expired is renewed first, by who is signed in.

        Args:
            method: HTTP's.
            path: What to call.
            name: What the call is counted as; empty: its path.
            body: Sent as JSON.

        Raises:
            LinkError: It was refused, or not answered.
        """
        return self._renewing(lambda: self._call(method, path, name or path, body))

    def _call(self, method: str, path: str, name: str, body: dict[str, object] | None) -> Answer:
        began, size, code = perf_counter(), 0, ""
        try:
            status, data = self._exchange(method, path, body)
            size = len(data)
            if status >= _ERROR_STATUS:
                raise _refusal(status, data)
            return Answer(status, _object(data))
        except LinkError as error:
            code = error.code
            raise
        finally:
            self._on_call(Call(method, name, perf_counter() - began, size, code))

    def open(
        self,
        method: str,
        path: str,
        *,
        name: str,
        body: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        is_slow: bool = False,
    ) -> Stream:
        """Open an answer that comes bit by bit, on a connection of its own.

        Args:
            method: HTTP's.
            path: What to call.
            name: What the call is counted as.
            body: Sent as JSON.
            headers: Beside the link's own.
            is_slow: Ask the kernel to take little in advance.

        Raises:
            LinkError: It was refused, or not answered.
        """
        return self._renewing(
            lambda: self._open(method, path, name=name, body=body, headers=headers, is_slow=is_slow)
        )

    def _open(
        self,
        method: str,
        path: str,
        *,
        name: str,
        body: dict[str, object] | None,
        headers: dict[str, str] | None,
        is_slow: bool,
    ) -> Stream:
        began, code = perf_counter(), ""
        connection = self._connect(self._host, self._port, timeout=self._silence_s)
        try:
            with _told():
                connection.connect()
                if is_slow:
                    connection.sock.setsockopt(
                        socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES
                    )
                answer = self._send(connection, method, path, body=body, headers=headers)
                if answer.status >= _ERROR_STATUS:
                    raise _refusal(answer.status, answer.read())
                return Stream(connection, answer)
        except LinkError as error:
            code = error.code
            connection.close()
            raise
        finally:
            self._on_call(Call(method, name, perf_counter() - began, 0, code))

    def close(self) -> None:
        """Close the kept connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _renewing(self, ask: Callable[[], Asked]) -> Asked:
        """Ask; ask once more with new tokens where the old ones had expired."""
        try:
            return ask()
        except LinkError as error:
            if error.status != _UNAUTHORIZED or not self._cookies.get(_REFRESH_COOKIE):
                raise
        self.renew()
        return ask()

    def renew(self) -> None:
        """Get new tokens.

        Raises:
            LinkError: The sign-in is over, or nobody answered.
        """
        self._call("POST", _REFRESH, _REFRESH, None)

    def _exchange(
        self, method: str, path: str, body: dict[str, object] | None
    ) -> tuple[int, bytes]:
        is_reused = self._kept is not None
        if self._kept is None:
            self._kept = self._connect(self._host, self._port, timeout=self._silence_s)
        try:
            with _told():
                answer = self._send(self._kept, method, path, body=body)
                return answer.status, answer.read()
        except LinkError as error:
            self.close()
            if is_reused and error.code in _CLOSED_MEANWHILE:
                return self._exchange(method, path, body)
            raise

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        *,
        body: dict[str, object] | None,
        headers: dict[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        own = dict(headers or {})
        if self._cookies:
            own["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if body is not None:
            own["Content-Type"] = "application/json"
        sent = None if body is None else json.dumps(body).encode()
        connection.request(method, path, body=sent, headers=own)
        answer = connection.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            if value.strip('"'):
                self._cookies[name] = value
            else:
                self._cookies.pop(name, None)
        return answer


@contextlib.contextmanager
def _told() -> Generator[None, None, None]:
    """Say what became of a connection as a `LinkError`, whatever the library calls it."""
    try:
        yield
    except TimeoutError:
        raise LinkError("silence") from None
    except ConnectionRefusedError:
        raise LinkError("connection_refused") from None
    except (http.client.RemoteDisconnected, BrokenPipeError):
        raise LinkError("connection_closed") from None
    except ConnectionResetError:
        raise LinkError("connection_reset") from None
    except (http.client.HTTPException, OSError):
        raise LinkError("connection_broken") from None


def _refusal(status: int, data: bytes) -> LinkError:
    """Return the error of an answer that refuses: a problem's `code`, else its status."""
    return LinkError(str(_object(data).get("code", f"http_{status}")), status)


def _object(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data or b"{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
