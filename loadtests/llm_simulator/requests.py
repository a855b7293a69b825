"""Reads HTTP/1.1 requests out of a connection's bytes, within bounds."""

from dataclasses import dataclass

import httptools

_BODY_BYTES = 8 << 20
_HEAD_BYTES = 64 << 10


class RefusedError(Exception):
    """What came is no request we read: answer `status` and close."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A whole request."""

    method: str
    path: str
    body: bytes
    keep_alive: bool
    chunks: bool  # whether the client understands a chunked body


class RequestReader:
    """Feed it bytes, get a request once one is complete. Pipelined requests are merged into one."""

    def __init__(self) -> None:
        self.expects_continue = False
        self._parser = httptools.HttpRequestParser(self)
        self._url = bytearray()
        self._body = bytearray()
        self._head_bytes = 0
        self._is_complete = False

    def feed(self, data: bytes) -> HttpRequest | None:
        """Take bytes; return the request that they complete.

        Raises:
            RefusedError: Not HTTP, or more of it than is read.
        """
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # refused by answering in HTTP/1.1; the request itself is complete
        except httptools.HttpParserError:
            raise RefusedError(400) from None
        if self._head_bytes > _HEAD_BYTES:
            raise RefusedError(431)
        if len(self._body) > _BODY_BYTES:
            raise RefusedError(413)
        return self._taken() if self._is_complete else None

    def _taken(self) -> HttpRequest:
        self._is_complete = False
        return HttpRequest(
            method=self._parser.get_method().decode("latin-1"),
            path=self._url.decode("latin-1").partition("?")[0],
            body=bytes(self._body),
            keep_alive=self._parser.should_keep_alive(),
            chunks=self._parser.get_http_version() != "1.0",
        )

    # called by httptools

    def on_message_begin(self) -> None:
        """Start anew."""
        self._url.clear()
        self._body.clear()
        self.expects_continue = False

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note whether the client waits for leave to send its body."""
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self.expects_continue = True

    def on_headers_complete(self) -> None:
        """Count anew: what follows is body."""
        self._head_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._head_bytes = 0
        if len(self._body) <= _BODY_BYTES:
            self._body += body

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        self._head_bytes = 0
        self._is_complete = True
