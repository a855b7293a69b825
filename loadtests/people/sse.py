"""An event stream, read as an EventSource reads it: bytes in, events out, wherever they are cut.

Follows WHATWG HTML, section 9.2.6 (interpreting an event stream). Does no I/O and knows no clock.
"""

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event. `last_id`: the cursor behind it, its own id or an earlier one."""

    name: str
    data: str
    last_id: str


class EventStream:
    """One connection's stream; whoever reconnects makes a new one.

    What has not been closed by a blank line when the stream ends is dropped, as it must be.

    Args:
        last_id: The cursor that the connection was opened with.

    Attributes:
        retry_ms: What the last `retry:` line asked for; None before one.
        comments: How many comment lines have come.
    """

    def __init__(self, last_id: str = "") -> None:
        self.retry_ms: int | None = None
        self.comments = 0
        self._last_id = last_id
        self._rest = b""
        self._is_begun = False
        self._skips_newline = False
        self._name = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; return the events that they complete."""
        events: list[Event] = []
        for line in self._lines(data):
            if line:
                self._take(line.decode("utf-8", "replace"))
            elif self._data:
                events.append(Event(self._name or "message", "\n".join(self._data), self._last_id))
                self._name, self._data = "", []
            else:
                self._name = ""
        return events

    def _lines(self, data: bytes) -> list[bytes]:
        if self._skips_newline and data:
            data = data.removeprefix(b"\n")  # the second half of a CRLF that was cut
            self._skips_newline = False
        data = self._rest + data
        if not self._is_begun:
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._rest = data
                return []
            self._is_begun, data = True, data.removeprefix(_BOM)
        if b"\r" not in data:
            *lines, self._rest = data.split(b"\n")
            return lines
        self._skips_newline = data.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(data)
        return lines

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments += 1
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._last_id = value
            case "retry" if value.isascii() and value.isdecimal():
                self.retry_ms = int(value)
            case _:
                pass  # an unknown field is ignored
