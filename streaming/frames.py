"""How one entry looks on the wire: `id`, `event`, `data`, blank line.

Encoded once, as bytes, when appended. JSON escapes CR and LF, so model text can never end a line.
Source: WHATWG HTML 9.2, server-sent events.
"""

import random
from datetime import UTC, datetime

import msgspec

from streaming.cursor import Cursor
from streaming.events import Event

_encode_json = msgspec.json.Encoder().encode


class FrameEncoder:
    """Encodes the entries of one turn: `id`, `event`, `data`, blank line."""

    __slots__ = ("_prefix",)

    def __init__(self, turn_id: str) -> None:
        self._prefix = b"id: " + turn_id.encode("ascii") + b"."

    def encode(self, epoch: int, seq: int, event: Event) -> bytes:
        """Return the entry's frame. The hot path: one format, one JSON encoding."""
        return b"%b%d-%d\nevent: %b\ndata: %b\n\n" % (
            self._prefix,
            epoch,
            seq,
            _NAMES[event.name],
            _encode_json(event),
        )


class _Names(dict[str, bytes]):
    """Event names as bytes, encoded once."""

    def __missing__(self, name: str) -> bytes:
        self[name] = name.encode("ascii")
        return self[name]


_NAMES = _Names()


def reset_frame(turn_id: str, covers: Cursor, event: Event) -> bytes:
    """Return a `turn.reset` for one reader; its id is that of the last entry its text covers."""
    if covers.seq == 0:  # nothing covered: an id would name no entry
        return b"event: %b\ndata: %b\n\n" % (_NAMES[event.name], _encode_json(event))
    return FrameEncoder(turn_id).encode(covers.epoch, covers.seq, event)


def heartbeat_frame(turn_id: str, last_seq: int) -> bytes:
    """Return a heartbeat: an event for the page, a comment for proxies. It moves no cursor."""
    data = {"turn_id": turn_id, "last_seq": last_seq, "at": datetime.now(UTC)}
    return b": heartbeat\nevent: heartbeat\ndata: %b\n\n" % _encode_json(data)


def session_ended_frame(reason: str) -> bytes:
    """Return the notice that a reader's sign-in is over: it moves no cursor."""
    return b"event: session.ended\ndata: %b\n\n" % _encode_json({"reason": reason})


def bye_frame(reason: str, wait_s: float | None = None) -> bytes:
    """Return the request to reconnect after so many seconds.

    Without a number they are spread over 0.5 to 2.5, so that not all come at once.
    """
    spread_ms = 500 + random.randrange(2000)  # noqa: S311  # spreads load, guards nothing
    retry_ms = spread_ms if wait_s is None else round(1000 * wait_s)
    return b"retry: %d\nevent: bye\ndata: %b\n\n" % (retry_ms, _encode_json({"reason": reason}))
