"""The length of Ogg Opus and MP3 files; the files are empty inside, their headers count."""

import struct

import pytest

from streaming.speech.audio import duration_s

FIRST = 2
NOTHING_ENDS = -1

MPEG_1_44K_128 = b"\xff\xfb\x90\x64"  # 417 bytes, 1152 samples at 44.1 kHz, joint stereo
MPEG_1_44K_128_PADDED = b"\xff\xfb\x92\x64"
MPEG_2_24K_32_MONO = b"\xff\xf3\x44\xc4"  # 96 bytes, 576 samples at 24 kHz
MPEG_25_11K_16_MONO = b"\xff\xe3\x20\xc4"  # 104 bytes, 576 samples at 11.025 kHz
SIZES = {
    MPEG_1_44K_128: 417,
    MPEG_1_44K_128_PADDED: 418,
    MPEG_2_24K_32_MONO: 96,
    MPEG_25_11K_16_MONO: 104,
}


def page(granule: int, body: bytes = b"", *, serial: int = 7, flags: int = 0) -> bytes:
    segments = bytes([255] * (len(body) // 255) + [len(body) % 255])
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, 0, 0, len(segments))
    return head + segments + body


def opus_head(pre_skip: int = 312, version: int = 1) -> bytes:
    return b"OpusHead" + struct.pack("<BBHIhB", version, 1, pre_skip, 24_000, 0, 0)


def an_opus_file(seconds: float, *, serial: int = 7, pre_skip: int = 312) -> bytes:
    samples = round(seconds * 48_000) + pre_skip
    return b"".join(
        [
            page(0, opus_head(pre_skip), serial=serial, flags=FIRST),
            page(0, b"OpusTags", serial=serial),
            page(samples // 2, bytes(700), serial=serial),
            page(NOTHING_ENDS, bytes(255 * 200), serial=serial),
            page(samples, bytes(90), serial=serial, flags=4),
        ]
    )


def frame(header: bytes, body: bytes = b"") -> bytes:
    return header + body + bytes(SIZES[header] - len(header) - len(body))


def test_an_opus_file_plays_from_its_skip_to_its_last_granule() -> None:
    assert duration_s("audio/ogg", an_opus_file(1.25)) == 1.25
    assert duration_s("audio/ogg", an_opus_file(1.25, pre_skip=0)) == 1.25


def test_opus_streams_one_after_another_are_added_up() -> None:
    file = an_opus_file(1.0, serial=1) + an_opus_file(0.5, serial=2) + an_opus_file(2.0, serial=1)

    assert duration_s("audio/ogg", file) == 3.5


def test_a_cut_opus_file_is_as_long_as_its_whole_pages() -> None:
    file = an_opus_file(2.0, pre_skip=0)

    assert duration_s("audio/ogg", file[:-1]) == 1.0


def test_an_opus_stream_without_sound_has_no_length() -> None:
    head = page(0, opus_head(), flags=FIRST)

    assert duration_s("audio/ogg", head) == 0
    assert duration_s("audio/ogg", head + page(100, b"sound")) == 0


def test_pages_of_another_stream_and_bytes_between_pages_are_passed_over() -> None:
    file = an_opus_file(1.0).replace(b"OpusTags", b"OpusTags" + page(10**9, serial=8) + b"OggSnot")
    other = page(0, b"\x01vorbis" + bytes(20), serial=8, flags=FIRST)

    assert duration_s("audio/ogg", b"garbage" + other + file) == 1.0


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"OggS",
        b"OggS" * 10_000,
        page(0, b"\x01vorbis" + bytes(20), flags=FIRST) + page(48_000, b"sound"),
        page(0, opus_head(version=16), flags=FIRST) + page(48_000, b"sound"),
        page(0, opus_head()[:18], flags=FIRST) + page(48_000, b"sound"),
        page(0, opus_head(), flags=0) + page(48_000, b"sound"),
    ],
)
def test_what_is_no_opus_file_is_refused(file: bytes) -> None:
    with pytest.raises(ValueError, match="Opus"):
        duration_s("audio/ogg", file)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (MPEG_1_44K_128, 10 * 1152 / 44_100),
        (MPEG_1_44K_128_PADDED, 10 * 1152 / 44_100),
        (MPEG_2_24K_32_MONO, 10 * 576 / 24_000),
        (MPEG_25_11K_16_MONO, 10 * 576 / 11_025),
    ],
)
def test_the_frames_of_an_mp3_file_are_counted(header: bytes, seconds: float) -> None:
    file = frame(header) * 10

    assert duration_s("audio/mpeg", file) == pytest.approx(seconds)
    assert duration_s("audio/mpeg", file + b"TAG" + bytes(125)) == pytest.approx(seconds)
    assert duration_s("audio/mpeg", file + frame(header)[:-1]) == pytest.approx(seconds)


@pytest.mark.parametrize("name", [b"Xing", b"Info"])
def test_a_frame_that_only_describes_is_not_counted(name: bytes) -> None:
    stereo = frame(MPEG_1_44K_128, bytes(32) + name) + frame(MPEG_1_44K_128) * 4
    mono = frame(MPEG_2_24K_32_MONO, bytes(9) + name) + frame(MPEG_2_24K_32_MONO) * 4

    assert duration_s("audio/mpeg", stereo) == pytest.approx(4 * 1152 / 44_100)
    assert duration_s("audio/mpeg", mono) == pytest.approx(4 * 576 / 24_000)


def test_what_the_encoder_added_is_not_counted() -> None:
    fields = struct.pack(">I", 15) + bytes(4 + 4 + 100 + 4)
    lame = b"LAME3.100" + bytes(12) + (576 << 12 | 1000).to_bytes(3, "big")
    tag = frame(MPEG_1_44K_128, bytes(32) + b"Info" + fields + lame)

    file = tag + frame(MPEG_1_44K_128) * 4

    assert duration_s("audio/mpeg", file) == pytest.approx((4 * 1152 - 1576) / 44_100)


def test_id3_tags_and_garbage_before_the_first_frame_are_passed_over() -> None:
    frames = frame(MPEG_2_24K_32_MONO) * 5
    tag = b"ID3\4\0\0" + bytes([0, 0, 2, 3]) + frame(MPEG_1_44K_128)[:259]
    footed = b"ID3\4\0\x10" + bytes([0, 0, 0, 4]) + b"text" + b"3DI\4\0\x10" + bytes([0, 0, 0, 4])

    for before in (tag, footed, tag + footed, b"\xff\xfb\x90\x64 no frame", b"\xff" * 500):
        assert duration_s("audio/mpeg", before + frames) == pytest.approx(5 * 576 / 24_000)


def test_bytes_between_frames_are_passed_over() -> None:
    one = frame(MPEG_2_24K_32_MONO)

    file = one * 3 + b"\xff\xfb garbage" + one * 3

    assert duration_s("audio/mpeg", file) == pytest.approx(6 * 576 / 24_000)


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"ID3",
        b"\xff\xfb\x90",
        frame(MPEG_1_44K_128)[:-1],
        b"\xff\xfb\x00\x64" * 300,  # free format: no bit rate is told
        b"\xff\xfd\x90\x64" * 300,  # layer II
        b"\xff" * 3_000_000,
    ],
)
def test_what_is_no_mp3_file_is_refused(file: bytes) -> None:
    with pytest.raises(ValueError, match="MP3"):
        duration_s("audio/mpeg", file)
