"""Ogg Opus by hand: a file of valid, silent packets, of the size that speech has.

Source: RFC 3533 (Ogg pages), RFC 7845 (Opus in Ogg), RFC 6716, 3.2.5 (padding).
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

SAMPLE_RATE = 48_000  # the clock of granule positions, whatever the input's rate was
PRE_SKIP = 312
FRAME = 960  # samples of a packet of 20 ms
PACKET_BYTES = 80  # about 32 kbit/s
_PACKETS_PER_PAGE = 50  # a second; 255 are possible

_FIRST, _LAST = 2, 4
_SERIAL = 0x43544753


def _packet() -> bytes:
    """Return 20 ms of silence.

    CELT, full band, mono, one frame in the general form, so that padding gives it a size. The two
    bytes of the frame are a range coder's end with the silence flag set.
    """
    frame = b"\xff\xfe"
    head = b"\xfb\x41"  # configuration 31, code 3; one frame, padded
    padding = PACKET_BYTES - len(head) - 1 - len(frame)
    return head + bytes([padding]) + frame + bytes(padding)


_SILENCE = _packet()


# zlib's checksum has the same polynomial, but takes and gives all bits the other way round.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ONES = 0xFFFFFFFF


def _checksum(page: bytes) -> int:
    crc = zlib.crc32(page.translate(_REVERSED), _ONES) ^ _ONES  # begins and ends without inversion
    return int.from_bytes(crc.to_bytes(4, "little").translate(_REVERSED), "big")


def _page(packets: Sequence[bytes], *, flags: int, granule: int, number: int) -> bytes:
    """Return a page; every packet must be shorter than 255 bytes."""
    lacing = bytes(len(packet) for packet in packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, _SERIAL, number, 0, len(packets))
    page = head + lacing + b"".join(packets)
    return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def ogg_pages(duration_s: float, tag: str) -> Iterator[bytes]:
    """Yield the pages of a file; joined they are the file.

    Args:
        duration_s: Length after decoding, to the sample.
        tag: A short comment, `NAME=value`.
    """
    head = struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, PRE_SKIP, 24_000, 0, 0)
    vendor, comment = b"simulator", tag.encode()
    tags = struct.pack(f"<8sI{len(vendor)}sI", b"OpusTags", len(vendor), vendor, 1)
    tags += struct.pack(f"<I{len(comment)}s", len(comment), comment)
    yield _page([head], flags=_FIRST, granule=0, number=0)
    yield _page([tags], flags=0, granule=0, number=1)
    # The last page's position may fall inside its last packet: what is beyond is not played.
    end = PRE_SKIP + round(duration_s * SAMPLE_RATE)
    packets = -(-end // FRAME)
    for number, start in enumerate(range(0, packets, _PACKETS_PER_PAGE), 2):
        count = min(_PACKETS_PER_PAGE, packets - start)
        is_last = start + count == packets
        granule = end if is_last else (start + count) * FRAME
        yield _page(
            [_SILENCE] * count, flags=_LAST if is_last else 0, granule=granule, number=number
        )
