"""HTTP/1.1 on one connection: reads a request, plays the reply, and again.

A request that arrives while a reply is being played is not answered (no client pipelines): the
connection closes after that reply.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from loadtests.llm_simulator.chunks import error
from loadtests.llm_simulator.completions import Reply, document
from loadtests.llm_simulator.player import Player
from loadtests.llm_simulator.requests import HttpRequest, RefusedError, RequestReader
from loadtests.llm_simulator.scripts import Ending
from loadtests.llm_simulator.stats import Record
from loadtests.llm_simulator.wheel import Wheel

Route = Callable[[HttpRequest], tuple[Reply, Record | None]]


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, route: Route, wheel: Wheel, clock: Callable[[], float]) -> None:
        self._route = route
        self._wheel = wheel
        self._clock = clock
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._player: Player | None = None
        self._record: Record | None = None
        self._chunked = False
        self._keep_alive = True
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports have the type's methods and not its class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            request = self._reader.feed(data)
        except RefusedError as exc:
            self._refuse(exc.status)
            return
        if request is not None:
            self._answer(request)
        elif self._reader.expects_continue and self._transport is not None:
            self._reader.expects_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._transport = None
        if self._player is not None:
            self._player.stop()
            self._note_early_close()

    def pause_writing(self) -> None:
        if self._player is not None:
            self._player.pause()

    def resume_writing(self) -> None:
        if self._player is not None:
            self._player.resume(self._clock())

    def write_body(self, data: bytes) -> None:
        """Write a piece of the body, with the head if it is still to come."""
        if self._transport is None or not (data or self._head):
            return
        if self._chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head:
            data, self._head = self._head + data, b""
        self._transport.write(data)

    def end_body(self, ending: Ending) -> None:
        """End the body as the script asks for."""
        if ending is Ending.HANG or self._transport is None:
            return
        self._player = None
        complete = ending is Ending.COMPLETE
        if self._record is not None and self._record.state == "open":
            self._record.state = "completed" if complete else "broken"
        if complete and self._chunked:
            self._transport.write(b"0\r\n\r\n")
        if ending is Ending.RESET:
            self._reset(self._transport)
        elif not (complete and self._keep_alive):
            self._transport.close()

    def _answer(self, request: HttpRequest) -> None:
        if self._transport is None or self._player is not None:
            self._keep_alive = False
            return
        reply, record = self._route(request)
        self._chunked = reply.length is None and request.chunks
        self._keep_alive = request.keep_alive and (self._chunked or reply.length is not None)
        self._head = b"" if reply.silent else self._head_of(reply)
        self._record = record
        self._player = Player(reply.script, stage=self, wheel=self._wheel, record=record)
        self._player.start(self._clock())

    def _head_of(self, reply: Reply) -> bytes:
        lines = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            f"content-type: {reply.media_type}",
            "cache-control: no-cache",
            f"connection: {'keep-alive' if self._keep_alive else 'close'}",
        ]
        if reply.length is not None:
            lines.append(f"content-length: {reply.length}")
        elif self._chunked:
            lines.append("transfer-encoding: chunked")
        if reply.retry_after is not None:
            lines.append(f"retry-after: {reply.retry_after}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _refuse(self, status: int) -> None:
        """Answer a request that cannot be read, unless a reply is under way; then close."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._player is None:
            phrase = HTTPStatus(status).phrase
            body = error(phrase, "invalid_request_error", "invalid_request")
            self._keep_alive = self._chunked = False
            self._transport.write(self._head_of(document(body, status)) + body)
        self._transport.close()

    def _note_early_close(self) -> None:
        if self._record is not None and self._record.state == "open":
            self._record.state = "closed_early"
            self._record.closed_early = True
            self._record.closed_after_ms = (self._clock() - self._record.last_at) * 1000

    @staticmethod
    def _reset(transport: asyncio.Transport) -> None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # Lingering for no time at all makes the kernel send RST instead of FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
