"""How long an MP3 file plays, counted by walking over its frames."""

from dataclasses import dataclass

_MPEG_1 = 3
_LAYER_3 = 1
_MONO = 3
_SYNC = 0x7FF
_HEADER_BYTES = 4

_RATES = (44_100, 48_000, 32_000)
_KBIT_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBIT_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATE_DIVISOR = {_MPEG_1: 1, 2: 2, 0: 4}
"""By the header's version bits: MPEG-1, MPEG-2 and MPEG-2.5; 1 is reserved."""

_MAX_GARBAGE = 1 << 16
"""Bytes that are no frames and passed over one by one; then the rest counts as no audio."""


@dataclass(frozen=True, slots=True)
class _Frame:
    kind: tuple[int, int]
    """Version and sample rate: the same in all frames of a file."""
    size: int
    samples: int
    tag_at: int
    """Where a first frame that describes the file instead of sounding says so."""


def mp3_duration_s(data: bytes) -> float:
    """Return the seconds that an MP3 file plays; frames that are cut do not count.

    What the encoder says it added at both ends (a LAME tag) is subtracted, as players do.

    Raises:
        ValueError: there is no whole frame of MPEG layer III with a stated bit rate.

    Source: ISO/IEC 11172-3 and 13818-3; ID3v2.4; the LAME project's page on its tag.
    """
    samples = added = rate = 0
    garbage = 0
    kind: tuple[int, int] | None = None
    place = _after_id3(data)
    while place + _HEADER_BYTES <= len(data) and garbage < _MAX_GARBAGE:
        frame = _frame_at(data, place, kind)
        if frame is None:
            garbage += 1
            place += 1
            continue
        if kind is None and _is_tag(data, place, frame):
            added = _added_samples(data, place, frame)
        else:
            samples += frame.samples
        kind, rate = frame.kind, frame.kind[1]
        place += frame.size
    if not rate:
        raise ValueError("No MP3 file.")
    return max(0, samples - added) / rate


def _after_id3(data: bytes) -> int:
    """Return where the tags at the beginning end."""
    place = 0
    while data[place : place + 3] == b"ID3" and len(data) >= place + 10:
        flags, sizes = data[place + 5], data[place + 6 : place + 10]
        size = sum(
            (byte & 0x7F) << shift for byte, shift in zip(sizes, (21, 14, 7, 0), strict=True)
        )
        place += 10 + size + (10 if flags & 0x10 else 0)
    return place


def _frame_at(data: bytes, place: int, kind: tuple[int, int] | None) -> _Frame | None:
    """Return the whole frame at a place, if there is one of that kind.

    While no kind is known, what follows must be a frame of the same kind, or the end: two bytes
    that look like a frame's first are found in anything.
    """
    frame = _read_header(data, place)
    if frame is None or place + frame.size > len(data):
        return None
    if kind is not None:
        return frame if frame.kind == kind else None
    following = place + frame.size
    if len(data) - following < _HEADER_BYTES or data[following : following + 3] == b"TAG":
        return frame
    second = _read_header(data, following)
    return frame if second is not None and second.kind == frame.kind else None


def _read_header(data: bytes, place: int) -> _Frame | None:
    header = int.from_bytes(data[place : place + _HEADER_BYTES], "big")
    version, layer = header >> 19 & 3, header >> 17 & 3
    kbit_at, rate_at = header >> 12 & 15, header >> 10 & 3
    divisor = _RATE_DIVISOR.get(version)
    if header >> 21 != _SYNC or layer != _LAYER_3 or divisor is None:
        return None
    if kbit_at in {0, 15} or rate_at == len(_RATES):
        return None
    first = version == _MPEG_1
    rate = _RATES[rate_at] // divisor
    kbit = (_KBIT_MPEG1 if first else _KBIT_MPEG2)[kbit_at]
    samples = 1152 if first else 576
    padding = header >> 9 & 1
    size = samples // 8 * kbit * 1000 // rate + padding
    mono = header >> 6 & 3 == _MONO
    side_info = (17 if mono else 32) if first else (9 if mono else 17)
    return _Frame((version, rate), size, samples, tag_at=_HEADER_BYTES + side_info)


def _is_tag(data: bytes, place: int, frame: _Frame) -> bool:
    at = place + frame.tag_at
    return data[at : at + 4] in {b"Xing", b"Info"}


def _added_samples(data: bytes, place: int, frame: _Frame) -> int:
    """Return how many samples the encoder added at both ends, or 0 where it does not say."""
    at = place + frame.tag_at
    flags = data[at + 7] if at + 8 <= len(data) else 0
    fields = zip((1, 2, 4, 8), (4, 4, 100, 4), strict=True)
    lame = at + 8 + sum(size for flag, size in fields if flags & flag)
    if lame + 24 > place + frame.size or not data[lame : lame + 4].isalpha():
        return 0
    both = int.from_bytes(data[lame + 21 : lame + 24], "big")
    return (both >> 12) + (both & 0xFFF)
