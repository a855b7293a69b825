"""One request and its answer, on a connection that does nothing else meanwhile.

An exchange is the protocol of its connection's transport: what comes from the socket goes to the
parser, and from there to whoever waits for it, with nothing in between.

The parser (llhttp, through httptools) decides what is HTTP, and is strict but for two habits of
old servers, of which neither moves the end of a body: lines that end in LF alone, and white space
after the size of a chunk. What it leaves open:

1. It is told of no connection's end: whether that ends the body is decided here.
2. It has no bounds: a head, and all that comes without adding to a body, is bounded here.
3. It knows of no request: an answer that nobody asked for is refused here.
"""

import asyncio
from collections.abc import Callable

import httptools
import httpx2

MAX_HEAD_BYTES = 65_536
"""Of status line and header fields; also of interim answers, chunk extensions and trailers, for as
long as they go on without a piece of the body."""

MAX_UNREAD_BYTES = 262_144
"""Reading pauses beyond it, until what has come is taken; a read of the socket may add as much."""

_OK, _REFUSED = 200, 400


class UnansweredError(httpx2.ReadError):
    """The connection was lost, and nothing of an answer had come."""


class Exchange(asyncio.Protocol):  # noqa: PLR0904  # the loop's callbacks, the parser's, and ours
    """Sends one request, and has its answer read by one task.

    Args:
        transport: Connected, and used by nobody else until `close`.

    Attributes:
        status: Of the answer.
        headers: Of the answer: name and value, in order, as they came.
    """

    __slots__ = (
        "_error",
        "_feed",
        "_has_begun",
        "_is_in_head",
        "_is_long",
        "_is_over",
        "_is_reusable",
        "_is_until_closed",
        "_loop",
        "_parser",
        "_pieces",
        "_silent_bytes",
        "_transport",
        "_unread_bytes",
        "_waiting",
        "headers",
        "status",
    )

    def __init__(self, transport: asyncio.Transport) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._parser: httptools.HttpResponseParser | None = parser
        self._feed: Callable[[bytes], None] = parser.feed_data
        self._has_begun = self._is_over = self._is_reusable = self._is_until_closed = False
        self._is_in_head = True
        self._is_long = False
        self._error: httpx2.TransportError | None = None
        self._pieces: list[bytes] = []  # of the body; come, and not yet taken
        self._unread_bytes = self._silent_bytes = 0
        self._waiting: asyncio.Future[bytes] | None = None

    async def ask(self, message: bytes) -> None:
        """Send a whole request and wait for the head of the answer; closes where that fails.

        Raises:
            UnansweredError: The connection was lost before a byte of the answer.
            httpx2.TransportError: It was lost later, or what came is no answer.
        """
        if self._transport.is_closing():  # whoever was its protocol has been told
            raise UnansweredError("The connection was lost before it was used.")
        self._waiting = self._loop.create_future()
        self._is_long = len(message) > MAX_HEAD_BYTES
        try:
            self._transport.set_protocol(self)
            self._transport.write(message)
            await self._waiting
        except BaseException:
            self.close()
            raise

    def read(self) -> asyncio.Future[bytes]:
        """Return what has come of the body since, once there is any; b"" at its end.

        A wait that is cancelled may take with it what had just come.

        Raises:
            httpx2.TransportError: The body broke off, and all that had come of it was taken.
        """
        waiting: asyncio.Future[bytes] = self._loop.create_future()
        if not self._pieces:
            self._waiting = waiting
            if self._is_over:
                self._tell()
            return waiting
        waiting.set_result(b"".join(self._pieces))
        self._pieces.clear()
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._transport.resume_reading()
        self._unread_bytes = 0
        return waiting

    def close(self) -> asyncio.Transport | None:
        """End the exchange; return the connection where another can follow on it, else cut it.

        It can where all of the answer has come, and all of the request has left.
        """
        if self._parser is None:  # closed before, or lost
            return None
        transport = self._transport
        is_free = self._is_reusable and self._is_over and not transport.get_write_buffer_size()
        if is_free:
            transport.resume_reading()
        else:
            self._fail(httpx2.ReadError("The answer was closed before its end."))
        self._let_go()
        return transport if is_free else None

    def data_received(self, data: bytes) -> None:
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self._fail(httpx2.RemoteProtocolError(f"What came is no answer: {exc}"))
        if self._waiting is not None:  # still: nothing of a body was in it
            self._silent_bytes += len(data)
            if self._silent_bytes > MAX_HEAD_BYTES:
                self._fail(httpx2.RemoteProtocolError("The head of the answer is too long."))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_until_closed and exc is None:
            self.on_message_complete()
        else:
            error = (
                httpx2.ReadError("The connection was lost within the answer.")
                if self._has_begun
                else UnansweredError("The connection was lost before the answer.")
            )
            error.__cause__ = exc
            self._fail(error)
        self._let_go()

    def on_message_begin(self) -> None:
        """Refuse an answer to nothing."""
        self._has_begun = True
        if self._is_over:
            raise ValueError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head; those after the body are read past."""
        if self._is_in_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Say that the head is there, unless it is that of an interim answer."""
        parser = self._parser
        assert parser is not None, "it is what calls"  # noqa: S101  # invariant
        self.status = parser.get_status_code()
        if sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            raise ValueError
        if self.status < _OK:  # to change protocols is refused by the parser
            self.headers.clear()
            return
        self._is_in_head = False
        # What TLS has encrypted and not sent is not told: a refusal may come before all has left.
        is_early = self._is_long and self.status >= _REFUSED
        self._is_reusable = parser.should_keep_alive() and not is_early
        names = {name.lower() for name, _ in self.headers}
        self._is_until_closed = names.isdisjoint((b"content-length", b"transfer-encoding"))
        self._tell()

    def on_body(self, body: bytes) -> None:
        """Hand a piece to whoever waits for it, or keep it."""
        self._silent_bytes = 0
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(body)
            return
        self._pieces.append(body)
        self._unread_bytes += len(body)
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Take note of the end, unless it is that of an interim answer."""
        if not self._is_in_head and not self._is_over:
            self._is_over = True
            self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return
        if self._error is None:
            waiting.set_result(b"")
        else:
            waiting.set_exception(self._error)
            waiting.exception()  # taken: it is no fault where nobody waits any more

    def _fail(self, error: httpx2.TransportError) -> None:
        """Cut the connection; what has not ended breaks off with this."""
        self._is_reusable = False
        self._transport.abort()
        if not self._is_over:
            self._is_over, self._error = True, error
            self._tell()

    def _let_go(self) -> None:
        """Leave no circle of references: it would stay in memory until it is collected."""
        self._parser, self._feed = None, _ignore


def _ignore(data: bytes) -> None:
    """Take what comes after all is over."""
