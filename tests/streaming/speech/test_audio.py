"""Audio files written and measured; every file here is made by hand, byte by byte."""

import struct
import wave
from array import array
from bisect import bisect_right
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.speech.audio import duration_s, mulaw, mulaw_wav, pcm_wav

SAMPLES = range(-32768, 32768)


def pcm_of(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def mulaw_decoded(code: int) -> int:
    """Return the sample of a byte, as G.711 writes it: complemented sign, segment and step."""
    code ^= 0xFF
    magnitude = ((2 * (code & 15) + 33) << ((code >> 4 & 7) + 2)) - 132
    return -magnitude if code & 0x80 else magnitude


def chunk(name: bytes, body: bytes, claimed: int | None = None) -> bytes:
    size = len(body) if claimed is None else claimed
    return name + struct.pack("<I", size) + body + b"\0" * (len(body) % 2)


def a_wav(*chunks: bytes, claimed: int | None = None) -> bytes:
    return chunk(b"RIFF", b"WAVE" + b"".join(chunks), claimed)


def fmt(tag: int, *, rate: int = 8000, channels: int = 1, bits: int = 16) -> bytes:
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits))


def extensible(tag: int, *, rate: int = 8000, bits: int = 16) -> bytes:
    head = struct.pack("<HHIIHH", 0xFFFE, 1, rate, rate * bits // 8, bits // 8, bits)
    return chunk(b"fmt ", head + struct.pack("<HHIH", 22, bits, 4, tag) + bytes(14))


def test_every_sample_is_encoded_as_the_table_of_g711_has_it() -> None:
    # Decision values in steps of four, as the recommendation prints them: 0 1 3 5 … 31 35 … 8159.
    ends = [31, 95, 223, 479, 991, 2015, 4063, 8159]
    decisions = list(range(1, 31, 2))
    for step, (begin, end) in enumerate(pairwise(ends), start=2):
        decisions += range(begin, end, 1 << step)

    encoded = mulaw(pcm_of(*SAMPLES))

    for sample, code in zip(SAMPLES, encoded, strict=True):
        silence = 0x7F if sample < 0 else 0xFF
        assert code == silence - bisect_right(decisions, abs(sample) / 4), sample


def test_a_sample_on_a_decision_value_becomes_the_louder_on_both_sides() -> None:
    assert mulaw(pcm_of(0, 3, 4, 11, 12)) == bytes([0xFF, 0xFF, 0xFE, 0xFE, 0xFD])
    assert mulaw(pcm_of(-1, -3, -4, -11, -12)) == bytes([0x7F, 0x7F, 0x7E, 0x7E, 0x7D])
    assert mulaw(pcm_of(32767, -32768)) == bytes([0x80, 0x00])


def test_a_level_is_encoded_as_itself() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)  # minus nothing is nothing

    assert mulaw(pcm_of(*map(mulaw_decoded, codes))) == codes


@pytest.mark.parametrize("count", [1, 16_383, 16_384, 16_385, 100_000])
def test_long_and_short_sounds_are_encoded_whole(count: int) -> None:
    samples = array("h", (n * 31 % 65536 - 32768 for n in range(count)))

    encoded = mulaw(pcm_of(*samples))

    assert encoded == b"".join(mulaw(pcm_of(sample)) for sample in samples)


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        mulaw(b"\0\0\0")


@pytest.mark.parametrize("count", [0, 1, 2, 22_050])
def test_a_written_file_is_as_long_as_its_samples(count: int) -> None:
    pcm = bytes(2 * count)

    assert duration_s("audio/wav", mulaw_wav(pcm, 22_050)) == count / 22_050
    assert duration_s("audio/wav", pcm_wav(pcm, 22_050)) == count / 22_050


def test_a_mulaw_file_says_all_that_a_player_wants_to_know() -> None:
    made = mulaw_wav(pcm_of(1, 2, 3), 22_050)

    layout = struct.pack("<HHIIHHH", 7, 1, 22_050, 22_050, 1, 8, 0)
    fact, data = struct.pack("<I", 3), b"\xff\xff\xff"
    assert made == a_wav(chunk(b"fmt ", layout), chunk(b"fact", fact), chunk(b"data", data))
    assert len(made) % 2 == 0


def test_a_pcm_file_can_be_read_by_others() -> None:
    with wave.open(BytesIO(pcm_wav(pcm_of(1, -2, 3), 24_000))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert file.readframes(9) == pcm_of(1, -2, 3)


@pytest.mark.parametrize(
    ("layout", "seconds"),
    [
        (fmt(1), 0.5),
        (fmt(1, channels=2), 0.25),
        (fmt(1, bits=24, rate=8000), 8000 // 3 / 8000),
        (fmt(3, bits=32), 0.25),
        (fmt(6, bits=8), 1.0),
        (fmt(7, bits=8), 1.0),
        (extensible(1), 0.5),
    ],
)
def test_a_wav_file_of_any_coding_is_measured(layout: bytes, seconds: float) -> None:
    file = a_wav(chunk(b"LIST", b"odd"), layout, chunk(b"data", bytes(8000)), chunk(b"LIST", b"x"))

    assert duration_s("audio/wav", file) == pytest.approx(seconds)


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 0x7FFFFFFF, 16_002])
def test_a_size_that_cannot_be_means_the_rest_of_the_file(claimed: int) -> None:
    file = a_wav(fmt(1), chunk(b"data", bytes(16_000), claimed), claimed=claimed)

    assert duration_s("audio/wav", file) == 1.0


def test_a_cut_wav_file_is_as_long_as_what_is_left() -> None:
    file = a_wav(fmt(1), chunk(b"data", bytes(16_000)))

    assert duration_s("audio/wav", file[:-8001]) == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"RIFF",
        b"RIFX" + a_wav(fmt(1), chunk(b"data", b"1234"))[4:],
        a_wav(fmt(1)),
        a_wav(chunk(b"data", bytes(100)), fmt(1)),
        a_wav(fmt(1, rate=0), chunk(b"data", bytes(100))),
        a_wav(fmt(1, channels=0), chunk(b"data", bytes(100))),
        a_wav(fmt(0x55), chunk(b"data", bytes(100))),
        a_wav(chunk(b"fmt ", b"short"), chunk(b"data", bytes(100))),
    ],
)
def test_what_is_no_wav_file_is_refused(file: bytes) -> None:
    with pytest.raises(ValueError, match=r"WAV"):
        duration_s("audio/wav", file)


def test_other_media_types_are_refused() -> None:
    with pytest.raises(ValueError, match="audio/flac"):
        duration_s("audio/flac", b"fLaC")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    media_type=st.sampled_from(["audio/wav", "audio/ogg", "audio/mpeg"]),
    data=st.binary(max_size=400),
    head=st.sampled_from(
        [b"", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0", b"OggS\0\2", b"ID3", b"\xff\xfb"]
    ),
)
def test_garbage_has_a_length_or_is_refused(media_type: str, data: bytes, head: bytes) -> None:
    try:
        seconds = duration_s(media_type, head + data)
    except ValueError:
        return
    assert 0 <= seconds < float("inf")
