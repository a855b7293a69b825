"""Uncompressed audio: a tone whose pitch is the text's own; and MP3, which is silent."""

import math
import struct
import sys
from array import array
from functools import lru_cache
from hashlib import sha256

SAMPLE_RATE = 24_000
MP3_FRAME = 576  # samples of a frame of MPEG-2 layer III
_LOWEST_HZ, _PITCHES = 200, 400
_AMPLITUDE = 6_000
_PCM, _MULAW = 1, 7
_BIAS, _CLIP = 132, 32_635  # G.711

# 32 kbit/s at 24 kHz: mono, no CRC; nothing but zeros after the header is a silent frame.
_MP3_FRAME = b"\xff\xf3\x44\xc4" + bytes(92)


def digest_of(text: str) -> str:
    """Return what tells the audio of one text from that of another."""
    return sha256(text.encode()).hexdigest()[:16]


def pitch_of(text: str) -> int:
    """Return the tone of a text, in whole Hz."""
    return _LOWEST_HZ + int(digest_of(text)[:6], 16) % _PITCHES


def pcm(text: str, duration_s: float) -> bytes:
    """Return headerless samples, 16 bits, little endian, mono."""
    return _repeated(_second_of(pitch_of(text)), 2 * round(duration_s * SAMPLE_RATE))


def mulaw(text: str, duration_s: float) -> bytes:
    """Return headerless samples, G.711 mu-law."""
    return _repeated(_mulaw_second_of(pitch_of(text)), round(duration_s * SAMPLE_RATE))


def wav(text: str, duration_s: float) -> bytes:
    """Return a WAV file of linear samples."""
    return _riff(_PCM, 16, pcm(text, duration_s))


def mulaw_wav(text: str, duration_s: float) -> bytes:
    """Return a WAV file of G.711 mu-law samples."""
    return _riff(_MULAW, 8, mulaw(text, duration_s))


def mp3(duration_s: float) -> bytes:
    """Return MP3 frames, 24 kHz, 32 kbit/s, to the next frame."""
    return _MP3_FRAME * math.ceil(duration_s * SAMPLE_RATE / MP3_FRAME)


def _repeated(second: bytes, size: int) -> bytes:
    return (second * (size // len(second) + 1))[:size]


@lru_cache(maxsize=_PITCHES)
def _second_of(pitch: int) -> bytes:
    """Return a second of a tone; a whole number of waves, so that it repeats without a click."""
    step = 2 * math.pi * pitch / SAMPLE_RATE
    samples = array("h", (round(_AMPLITUDE * math.sin(step * at)) for at in range(SAMPLE_RATE)))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


@lru_cache(maxsize=_PITCHES)
def _mulaw_second_of(pitch: int) -> bytes:
    return bytes(_mulaw(sample) for (sample,) in struct.iter_unpack("<h", _second_of(pitch)))


def _mulaw(sample: int) -> int:
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = magnitude >> exponent + 3 & 0x0F
    return ~((0x80 if sample < 0 else 0) | exponent << 4 | mantissa) & 0xFF


def _riff(audio_format: int, bits: int, data: bytes) -> bytes:
    width = bits // 8
    head = struct.pack("<HHIIHH", audio_format, 1, SAMPLE_RATE, SAMPLE_RATE * width, width, bits)
    padded = data + bytes(len(data) % 2)
    chunks = b"WAVEfmt " + struct.pack("<I", len(head)) + head
    chunks += b"data" + struct.pack("<I", len(data)) + padded
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks
