"""What a log's frames come to: the text so far, and where a takeover or a reset goes on. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from streaming.cursor import Cursor
from streaming.draft import Draft
from streaming.event_log.base import HeldLog

_TERMINAL = (b"turn.completed", b"turn.failed", b"turn.cancelled", b"turn.interrupted")
_decode = msgspec.json.decode


@dataclass(slots=True)
class Replayed:
    """The state after some entries.

    `sentence` and `speech` are the next indexes, `is_text_done` says that only speech was missing,
    `terminal` is the name and the data of the event that ended it.
    """

    draft: Draft = field(default_factory=Draft)
    sentence: int = 0
    speech: int = 0
    is_text_done: bool = False
    terminal: tuple[str, Mapping[str, object]] | None = None


def replay(frames: Iterable[bytes], *, first_seq: int = 1) -> Replayed:
    """Return what a reader of these frames, from `first_seq` on, knows."""
    state = Replayed()
    for seq, frame in enumerate(frames, first_seq):
        name, data = _parts(frame)
        match name:
            case b"text.delta":
                state.draft.add(_decode(data)["text"], seq)
            case b"sentence.completed":
                state.sentence = _decode(data)["index"] + 1
            case b"speech.chunk" | b"speech.failed":
                state.speech = _decode(data)["index"] + 1
            case b"text.done":
                state.is_text_done = True
            case b"turn.reset":
                reset = _decode(data)
                state = Replayed(sentence=reset["sentence"], speech=reset["speech"])
                state.draft.add(reset["text"], seq)
            case _ if name in _TERMINAL:
                state.terminal = (name.decode(), _decode(data))
            case _:
                pass
    return state


def snapshot(held: HeldLog) -> tuple[Cursor, Replayed] | None:
    """Return what a reader may be reset to: up to which entry, and what it knows then.

    That is everything but the end, which a reader must be told as itself; None: nothing is held.
    """
    covers = held.before_end
    if covers is None:
        return None
    count = covers.seq - held.base
    return covers, replay(held.frames[:count], first_seq=held.base + 1)


def split_frames(data: bytes) -> list[bytes]:
    """Return the frames that were joined: each ends with an empty line, which none contains."""
    return [frame + b"\n\n" for frame in data.split(b"\n\n")[:-1]]


def ends_log(frames: Sequence[bytes]) -> bool:
    """Say whether the last of the frames is a terminal event."""
    return bool(frames) and _parts(frames[-1])[0] in _TERMINAL


def _parts(frame: bytes) -> tuple[bytes, bytes]:
    _, _, rest = frame.partition(b"\nevent: ")
    name, _, data = rest.partition(b"\ndata: ")
    return name, data
