"""Adds audio to the frames of a reader that wants it inline: the log only names it."""

import base64
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import msgspec

from streaming.speech.base import Audio

_CHUNK_MARK = b"\nevent: speech.chunk\ndata: "
"""Only a frame's head can hold it: in the data every line break is escaped."""

_FRAME_END = b"\n\n"


class _Place(msgspec.Struct):
    index: int


_decode_place = msgspec.json.Decoder(_Place).decode


async def with_audio(
    batches: AsyncGenerator[bytes, None], audio_of: Callable[[int], Awaitable[Audio | None]]
) -> AsyncGenerator[bytes, None]:
    """Yield the batches, each chunk of audio by itself: what is in memory at once is bounded.

    Args:
        batches: Whole frames (`streaming.sse.frames`); closed at the end.
        audio_of: Returns a unit's audio by index; None where it is no longer kept: the chunk then
            goes out without data, and its `url` makes it again.
    """
    try:
        async for batch in batches:
            if _CHUNK_MARK not in batch:
                yield batch
                continue
            for part in _parts(batch):
                yield await _filled(part, audio_of)
    finally:
        await batches.aclose()


def _parts(batch: bytes) -> Iterator[bytes]:
    """Cut a batch before and after each chunk of audio."""
    start = 0
    while (at := batch.find(_CHUNK_MARK, start)) >= 0:
        before = batch.rfind(_FRAME_END, start, at)
        begin = start if before < 0 else before + len(_FRAME_END)
        end = batch.index(_FRAME_END, at) + len(_FRAME_END)
        if begin > start:
            yield batch[start:begin]
        yield batch[begin:end]
        start = end
    if start < len(batch):
        yield batch[start:]


async def _filled(part: bytes, audio_of: Callable[[int], Awaitable[Audio | None]]) -> bytes:
    at = part.find(_CHUNK_MARK)
    if at < 0:
        return part
    data = part[at + len(_CHUNK_MARK) : -len(_FRAME_END)]
    audio = await audio_of(_decode_place(data).index)
    if audio is None:
        return part
    encoded = base64.b64encode(audio.data)
    return b'%b,"data":"%b"}%b' % (part[: -len(_FRAME_END) - 1], encoded, _FRAME_END)
