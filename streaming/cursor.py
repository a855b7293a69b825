"""A reader's place in a turn's log, and its wire form: the SSE event id.

Source: WHATWG HTML 9.2 (an id holds no NUL, CR or LF; ASCII under 128 bytes avoids a preflight).
"""

import re
from dataclasses import dataclass

from streaming.errors import CursorMalformedError

_WIRE = re.compile(r"([A-Za-z0-9_-]{1,64})\.([1-9][0-9]{0,8})-([1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last seq a reader has, and the epoch in which that entry was written."""

    epoch: int
    seq: int


START = Cursor(epoch=1, seq=0)
"""Before the first entry: has seen nothing."""


def format_id(turn_id: str, cursor: Cursor) -> str:
    """Return the event id `<turn_id>.<epoch>-<seq>`."""
    return f"{turn_id}.{cursor.epoch}-{cursor.seq}"


def parse_id(turn_id: str, event_id: str) -> Cursor:
    """Return the cursor that an event id of this turn names.

    Raises:
        CursorMalformedError: not of that form, or of another turn; answer 400.
    """
    match = _WIRE.fullmatch(event_id)
    if match is None or match[1] != turn_id:
        raise CursorMalformedError(
            f"An event id of this turn looks like {turn_id}.1-1; send back the last one you saw."
        )
    return Cursor(epoch=int(match[2]), seq=int(match[3]))
