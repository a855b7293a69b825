"""HTTP/1.1 as uvicorn reads it, with bounds on what comes before a request is one.

Divergences from uvicorn's own, each with its reason:

1. It offers itself to the answer (`server.event_stream.Connection`): a reader that does not read
   cannot be closed politely; a token is written where it comes from, not sent by a task through
   every middleware's `send`; who leaves is told of without a task that waits for it.
2. What cannot be parsed is answered as a problem with a request id, as everything else is.
3. A request has to come in within a time, whole: a byte now and then holds a connection for ever.
   uvicorn times only the pause between two requests.
4. The head of a request has a bound: the parser itself has none, and the application sees a head
   only once it is whole.
5. Trailers are read past: uvicorn adds them to the header fields of a request that already runs.
6. A server that leaves says so with each answer: its caller then sends nothing more where it would
   find nobody.
"""

import asyncio
from collections.abc import Callable
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from server.errors import ProblemError, problem_response
from server.event_stream import CONNECTION_EXTENSION
from server.ids import new_id
from server.middleware import SECURITY_HEADERS, headers_too_large

MAX_HEAD_BYTES = 65_536
"""Request line and header fields. Beyond what the application takes: it says more about those."""


def protocol_of(
    request_timeout_s: float, *, is_leaving: Callable[[], bool]
) -> type[HttpToolsProtocol]:
    """Return the protocol class for uvicorn, which makes one for each connection.

    Args:
        request_timeout_s: Seconds in which a request has to come in.
        is_leaving: Whether an answer that begins now is the connection's last.
    """

    class Protocol(_Protocol):
        __slots__ = ()
        timeout_s = request_timeout_s

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            if is_leaving():
                self.cycle.keep_alive = False

    return Protocol


def is_new(connection: object) -> bool:
    """Tell whether nothing has been asked on a connection of ours yet."""
    return isinstance(connection, _Protocol) and connection.cycle is None


class _Protocol(HttpToolsProtocol):  # noqa: PLR0904  # uvicorn's, and what is offered
    # Slots: with more than 30 attributes in it each `__dict__` has a table of its own (1 KB).
    __slots__ = ("_due", "_has_begun", "_head_bytes", "_is_in_head", "_is_whole", "_on_disconnect")

    timeout_s: ClassVar[float]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        self._due: asyncio.TimerHandle | None = None
        self._on_disconnect: Callable[[], None] | None = None
        # Of the newest request: there is one; its head is coming in; all of it has come.
        self._has_begun = self._is_in_head = self._is_whole = False
        self._head_bytes = 0
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._unset_keepalive_if_required()  # uvicorn leaves it where the connection broke
        super().connection_lost(exc)
        self._tell_disconnected()
        # The request holds this in its scope; what holds itself waits for a collection.
        self.cycle = self.scope = None  # type: ignore[assignment]  # as uvicorn does before

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(headers_too_large(MAX_HEAD_BYTES))
                return
        # Line ends between two requests begin none; they, too, have to come to something.
        if not self._is_whole or self.cycle.response_complete:
            self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._has_begun = self._is_in_head = True
        self._is_whole, self._head_bytes = False, 0
        self.scope["extensions"] = {CONNECTION_EXTENSION: self}  # type: ignore[dict-item]  # no dictionary, as ours may be

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_whole = True
        self._stop_waiting()
        self.headers = []  # the request has them; here they would stay while it is answered
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's
        self._refuse(
            ProblemError(400, "malformed", "This is not an HTTP request that can be read.")
        )

    def _wait(self) -> None:
        if self._due is None:
            self._due = self.loop.call_later(self.timeout_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _give_up(self) -> None:
        self._due = None
        if self._has_begun and not self._is_whole and not self.transport.is_closing():
            self._refuse(
                ProblemError(
                    408, "request_timeout", "The request came in too slowly; send it again, faster."
                )
            )
        self.transport.close()

    def _refuse(self, problem: ProblemError) -> None:
        """Answer here, unless another answer has begun, and close.

        An application that waits for the rest of the body is told that its caller has gone.
        """
        cycle: RequestResponseCycle | None = self.cycle
        is_free = cycle is None or not cycle.response_started
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            self._tell_disconnected()
        elif self._is_in_head:
            is_free = True  # the answer was another request's
        if is_free:
            self._write(problem)
        self.transport.close()

    def _write(self, problem: ProblemError) -> None:
        request_id = new_id("req")
        answer = problem_response(request_id, problem)
        own = {"X-Request-ID": request_id, "Connection": "close", "Cache-Control": "no-store"}
        fields = [
            f"{name}: {value}".encode("latin-1") for name, value in (SECURITY_HEADERS | own).items()
        ]
        fields += [b"%b: %b" % header for header in answer.raw_headers]
        self.transport.write(
            STATUS_LINE[problem.status] + b"\r\n".join([*fields, b"", bytes(answer.body)])
        )

    def abort(self) -> None:
        """Drop the connection at once."""
        if self.cycle is not None:  # else an answer that is cut on purpose is logged as an error
            self.cycle.disconnected = True
        self.transport.abort()

    def write_now(self, body: bytes) -> bool:
        """Write a piece of the body as the cycle's own `send` would; False where that would wait.

        Also where nobody takes it any more, which `send` finds out, and where the next request has
        come before the end of this one: the cycle is then that request's, and has not begun.
        """
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or not cycle.chunked_encoding or cycle.response_complete:
            return False
        if cycle.disconnected or self.flow.write_paused:
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    def on_disconnect(self, call: Callable[[], None] | None) -> None:
        """Have it called once when the client leaves, at once where it has; None: not any more."""
        self._on_disconnect = call
        if call is not None and not self.pipeline:
            self.flow.resume_reading()  # a long body may have paused it: nobody's leaving was seen
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.disconnected:
            self._tell_disconnected()

    def _tell_disconnected(self) -> None:
        call, self._on_disconnect = self._on_disconnect, None
        if call is not None:
            call()
