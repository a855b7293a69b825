"""Audio in the frames of a reader."""

import base64
import json
from collections.abc import AsyncGenerator, Sequence

from streaming.events import SpeechChunk, TextDelta
from streaming.frames import FrameEncoder
from streaming.speech.base import Audio
from streaming.speech.inline import with_audio

ENCODE = FrameEncoder("turn_1").encode


def a_chunk(index: int) -> SpeechChunk:
    audio_id = f"turn_1.{index}"
    return SpeechChunk(index, 0, "audio/wav", 0.5, 3, audio_id, f"/api/v1/speech/{audio_id}")


async def sent(batches: Sequence[bytes], *, kept: Sequence[int]) -> list[bytes]:
    async def source() -> AsyncGenerator[bytes, None]:
        for batch in batches:
            yield batch

    async def audio_of(index: int) -> Audio | None:
        return Audio("audio/wav", b"\x00%d\xff" % index, 0.5) if index in kept else None

    return [part async for part in with_audio(source(), audio_of)]


def data_of(frame: bytes) -> dict[str, object]:
    data: dict[str, object] = json.loads(frame.split(b"\ndata: ", 1)[1])
    return data


async def test_frames_without_audio_pass_as_they_are() -> None:
    batch = ENCODE(1, 1, TextDelta("a")) + ENCODE(1, 2, TextDelta("event: speech.chunk\ndata: {}"))

    assert await sent([batch, b": heartbeat\n\n"], kept=[0]) == [batch, b": heartbeat\n\n"]


async def test_each_chunk_goes_out_by_itself_with_its_audio() -> None:
    chunks = [ENCODE(1, seq, a_chunk(seq)) for seq in (3, 4)]
    batch = ENCODE(1, 2, TextDelta("a")) + chunks[0] + chunks[1] + ENCODE(1, 5, TextDelta("b"))
    parts = await sent([batch], kept=[3, 4])

    assert [part.count(b"\n\n") for part in parts] == [1, 1, 1, 1]
    assert base64.b64decode(str(data_of(parts[1])["data"])) == b"\x003\xff"
    assert base64.b64decode(str(data_of(parts[2])["data"])) == b"\x004\xff"
    assert parts[1].startswith(b"id: turn_1.1-3\nevent: speech.chunk\ndata: {")
    assert {**data_of(parts[1]), "data": 0} == {**data_of(chunks[0]), "data": 0}


async def test_a_chunk_alone_in_its_batch_is_found() -> None:
    (part,) = await sent([ENCODE(1, 1, a_chunk(7))], kept=[7])

    assert "data" in data_of(part)


async def test_audio_that_is_no_longer_kept_leaves_the_chunk_without_data() -> None:
    frame = ENCODE(1, 1, a_chunk(7))

    assert await sent([frame], kept=[]) == [frame]
