"""Cut an event stream's bytes into events: pure, bounded, linear in what it is fed.

Follows WHATWG HTML 9.2.6 for line ends (CR, LF, CRLF), the leading byte order mark, comments,
fields and dispatch. Intentional divergences:

1. `id` and `retry` are read past: nobody reconnects to a model.
2. Bytes, not text: whoever parses the data finds out whether it is UTF-8.
3. Sizes are bounded, because the other end may be hostile.
"""

from collections.abc import Iterable, Iterator

from streaming.errors import SourceProtocolError

MAX_EVENT_BYTES = 1 << 20
"""Longest line, and most data in one event: about 3000 times a usual one."""

MAX_BODY_BYTES = 64 << 20
"""Longest answer: at some 320 bytes for a token about 200 000 tokens."""

_BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n\r"

Event = tuple[bytes, bytes]
"""An event's name (empty: `message`) and its data."""


class SSEDecoder:
    """Feed it bytes as they come, however they are cut; get the events they complete."""

    def __init__(
        self, *, max_event_bytes: int = MAX_EVENT_BYTES, max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        self._max_event_bytes = max_event_bytes
        self._body_bytes_left = max_body_bytes
        self._pieces: list[bytes] = []  # of the line that has not ended; joined once, at its end
        self._pieces_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = b""
        self._is_first_line = True
        self._is_after_cr = False
        self._is_between_events = True

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Return the events that the chunk completes; use them up before feeding more.

        Raises:
            SourceProtocolError: a line, an event or the body is too long; also while iterating.
        """
        self._body_bytes_left -= len(chunk)
        if self._body_bytes_left < 0:
            raise SourceProtocolError("The model provider's answer is too long.")
        if (
            self._is_between_events
            and chunk.startswith(b"data: ")
            and chunk.endswith(b"\n\n")
            and len(chunk) <= self._max_event_bytes
        ):
            body = chunk[6:-2]
            # Looked for as numbers: as bytes it takes 2,000 instructions more, each (callgrind).
            if _LF not in body and _CR not in body:
                # One whole event: nearly every read of a paced stream.
                self._is_first_line = self._is_after_cr = False
                return ((b"", body),)
        return self._events(chunk)

    def _events(self, chunk: bytes) -> Iterator[Event]:
        if self._is_after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._is_after_cr = False
        if not chunk:
            return
        self._is_after_cr = chunk.endswith(b"\r")
        for piece in chunk.splitlines(keepends=True):  # of bytes: CR, LF and CRLF only
            line = self._line(piece)
            if line is None:
                return
            if line:
                self._field(line)
            elif self._data:
                yield self._dispatched()
            else:
                self._name = b""
            self._is_between_events = not line and not self._pieces

    def _line(self, piece: bytes) -> bytes | None:
        """Return the line that the piece ends, without its end; None while it goes on."""
        self._pieces_bytes += len(piece)
        if self._pieces_bytes > self._max_event_bytes:
            raise SourceProtocolError("The model provider sent a line that is too long.")
        self._pieces.append(piece)
        self._is_between_events = False
        if piece[-1] not in b"\r\n":
            return None
        line = b"".join(self._pieces) if len(self._pieces) > 1 else piece
        self._pieces.clear()
        self._pieces_bytes = 0
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BOM)
        return line.rstrip(b"\r\n")

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            # The field's name counts, so that empty data lines without end are bounded as well.
            self._data_bytes += len(line)
            if self._data_bytes > self._max_event_bytes:
                raise SourceProtocolError("The model provider sent an event that is too long.")
            self._data.append(value)
        elif name == b"event":
            self._name = value

    def _dispatched(self) -> Event:
        event = (self._name, b"\n".join(self._data))
        self._data.clear()
        self._data_bytes = 0
        self._name = b""
        return event
