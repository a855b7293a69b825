"""How long an Ogg Opus file plays, counted from its pages' headers."""

import struct
from dataclasses import dataclass

_PAGE = struct.Struct("<4sBBqIIIB")
"""Capture pattern, version, flags, granule position, serial, number, checksum, segments."""
_FIRST_PAGE = 0x02
_OPUS_HEAD = struct.Struct("<8sBBH7x")
"""Signature, version, channels, samples to skip, and what does not matter here."""
_OPUS_RATE = 48_000
"""Granule positions of Opus count at this rate, whatever rate the sound had before."""


@dataclass(slots=True)
class _Stream:
    serial: int
    pre_skip: int
    granule: int = 0

    @property
    def samples(self) -> int:
        return max(0, self.granule - self.pre_skip)


def opus_duration_s(data: bytes) -> float:
    """Return the seconds that an Ogg Opus file plays; streams one after another are added up.

    Pages that are cut or not Opus do not count; what is between pages is passed over.

    Raises:
        ValueError: there is no stream of Opus.

    Source: RFC 3533 (pages), RFC 7845 (Opus in Ogg).
    """
    streams: list[_Stream] = []
    place = data.find(b"OggS")
    while 0 <= place <= len(data) - _PAGE.size:
        _, version, flags, granule, serial, _, _, segments = _PAGE.unpack_from(data, place)
        body = place + _PAGE.size + segments
        end = body + sum(data[place + _PAGE.size : body])
        if version != 0 or end > len(data):
            place = data.find(b"OggS", place + 4)
            continue
        if flags & _FIRST_PAGE:
            streams += _begun(serial, data[body:end])
        elif streams and streams[-1].serial == serial:
            # -1 says that no packet ends on this page.
            streams[-1].granule = max(streams[-1].granule, granule)
        place = data.find(b"OggS", end)
    if not streams:
        raise ValueError("No Ogg Opus file.")
    return sum(stream.samples for stream in streams) / _OPUS_RATE


def _begun(serial: int, head: bytes) -> list[_Stream]:
    """Return the stream that a first page begins, or nothing where it is not Opus."""
    if len(head) < _OPUS_HEAD.size:
        return []
    signature, version, _, pre_skip = _OPUS_HEAD.unpack_from(head)
    if signature != b"OpusHead" or version & 0xF0:
        return []
    return [_Stream(serial, pre_skip)]
