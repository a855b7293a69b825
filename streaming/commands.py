"""What one process asks of the one that holds a turn: stop it, pace its speech, let it fall silent.

A command that a release does not know is ignored there.
"""

import msgspec

from streaming.cursor import Cursor
from streaming.events import CancelledBy


class CancelTurn(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop it; its text ends where the entry `seen` ends."""

    by: CancelledBy
    seen: Cursor | None = None


class PlaybackReported(msgspec.Struct, frozen=True, tag="playback"):
    """So far its audio has been played."""

    played_s: float
    buffered_s: float


class FallSilent(msgspec.Struct, frozen=True, tag="silence"):
    """Cut its speech; its text stands: the next turn of its conversation has begun."""


Command = CancelTurn | PlaybackReported | FallSilent

encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def decode(data: bytes) -> Command | None:
    """Return the command, None where this release does not know it."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        return None
