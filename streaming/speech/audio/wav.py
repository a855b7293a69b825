"""WAV files: made of bare samples, and how long one plays."""

import struct
import sys
from array import array
from functools import cache

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE

_LAYOUT = struct.Struct("<HHIIHH")
"""Of a `fmt ` chunk: format, channels, frames per second, bytes per second, per frame, bits."""
_EXTENSIBLE_TAG_AT = 24

_MULAW_BIAS = 132
_MULAW_PIECE = 1 << 15
"""Bytes encoded at a time: the interpreter lets other threads run between two pieces."""


def mulaw_wav(pcm: bytes, sample_rate: int) -> bytes:
    """Return samples (16 bits, little-endian, mono) as a mu-law WAV file of half their size."""
    return wrap_mulaw(mulaw(pcm), sample_rate)


def pcm_wav(pcm: bytes, sample_rate: int) -> bytes:
    """Return samples (16 bits, little-endian, mono) as a WAV file."""
    layout = _LAYOUT.pack(_PCM, 1, sample_rate, 2 * sample_rate, 2, 16)
    return _riff(_chunk(b"fmt ", layout), _chunk(b"data", pcm))


def wrap_mulaw(encoded: bytes, sample_rate: int) -> bytes:
    """Return what `mulaw` made, maybe in several pieces, as a WAV file."""
    layout = _LAYOUT.pack(_MULAW, 1, sample_rate, sample_rate, 1, 8) + b"\0\0"
    fact = struct.pack("<I", len(encoded))
    return _riff(_chunk(b"fmt ", layout), _chunk(b"fact", fact), _chunk(b"data", encoded))


def mulaw(pcm: bytes) -> bytes:
    """Return samples (16 bits, little-endian) as mu-law, one byte each.

    Raises:
        ValueError: the bytes are no whole samples.

    Source: ITU-T G.711, table 2.
    """
    encode = _mulaw_table().__getitem__
    pieces = []
    for start in range(0, len(pcm), _MULAW_PIECE):
        samples = array("h")
        samples.frombytes(pcm[start : start + _MULAW_PIECE])
        if sys.byteorder == "big":
            samples.byteswap()
        pieces.append(bytes(map(encode, samples)))
    return b"".join(pieces)


def wav_duration_s(data: bytes) -> float:
    """Return the seconds that a WAV file plays: PCM, float, mu-law or A-law.

    A size of the samples that cannot be, as written by who does not know the end yet, means the
    rest of the file.

    Raises:
        ValueError: it is no such file.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("No WAV file.")
    layout: tuple[int, int] | None = None
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        place += 8
        if name == b"fmt ":
            layout = _wav_layout(data[place : place + min(size, 40)])
        elif name == b"data":
            if layout is None:
                raise ValueError("A WAV file whose format does not come first.")
            sample_rate, frame_bytes = layout
            return _data_bytes(size, len(data) - place) // frame_bytes / sample_rate
        place += size + size % 2
    raise ValueError("A WAV file without samples.")


def _riff(*chunks: bytes) -> bytes:
    return _chunk(b"RIFF", b"".join((b"WAVE", *chunks)))


def _chunk(name: bytes, body: bytes) -> bytes:
    return b"".join((name, struct.pack("<I", len(body)), body, b"\0" * (len(body) % 2)))


@cache
def _mulaw_table() -> bytes:
    """Return the byte of each sample; a negative sample counts from the table's end."""
    positive, negative = _mulaw_magnitudes(0xFF), _mulaw_magnitudes(0x7F)
    return positive[:32768] + negative[32768:0:-1]


def _mulaw_magnitudes(silence: int) -> bytes:
    """Return the bytes of the magnitudes 0 to 32768 of one sign, of which `silence` is the first.

    Each of eight segments has sixteen steps, twice as wide as those of the segment before.
    """
    steps = bytearray()
    for code in range(128):
        segment, step = divmod(code, 16)
        end = ((17 + step) << (segment + 3)) - _MULAW_BIAS
        steps += bytes([silence - code]) * (end - len(steps))
    return bytes(steps + bytes([silence - 127]) * (32769 - len(steps)))


def _data_bytes(claimed: int, left: int) -> int:
    """Return the size of the samples: who writes while it speaks claims 0, or far too many."""
    return left if claimed == 0 else min(claimed, left)


def _wav_layout(body: bytes) -> tuple[int, int]:
    """Return a format's frames per second, and bytes per frame."""
    if len(body) < _LAYOUT.size:
        raise ValueError("A WAV file whose format is cut.")
    tag, channels, sample_rate, _, _, bits = _LAYOUT.unpack_from(body)
    if tag == _EXTENSIBLE and len(body) > _EXTENSIBLE_TAG_AT + 1:
        (tag,) = struct.unpack_from("<H", body, _EXTENSIBLE_TAG_AT)
    frame_bytes = channels * ((bits + 7) // 8)
    if tag not in {_PCM, _FLOAT, _ALAW, _MULAW} or not frame_bytes or not sample_rate:
        raise ValueError(f"A WAV file of format {tag}, which we do not know.")
    return sample_rate, frame_bytes
