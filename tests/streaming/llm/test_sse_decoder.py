"""Any bytes, however they are cut, give the events that the standard says."""

from itertools import pairwise

import pytest
from httpx_sse._decoders import SSEDecoder as IndependentDecoder
from hypothesis import given
from hypothesis import strategies as st

from streaming.errors import SourceProtocolError
from streaming.llm.sse_decoder import SSEDecoder

LINES = st.sampled_from(
    [
        b"data: one",
        b"data:two",
        b"data:  three",
        b"data",
        b"data:",
        b"event: ping",
        b"event",
        b": a comment",
        b":",
        b"id: 7",
        b"retry: 10",
        b"unknown: field",
        "data: \u2028 é 😀 \x85 \x0b".encode(),
        b"\xef\xbb\xbfdata: not at the start",
        b"",
        b"",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
BODIES = st.lists(st.tuples(LINES, ENDS).map(b"".join)).map(b"".join)


def decoded(*chunks: bytes) -> list[tuple[bytes, bytes]]:
    decoder = SSEDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def drain(decoder: SSEDecoder, chunks: list[bytes]) -> None:
    for chunk in chunks:
        list(decoder.feed(chunk))


def sliced(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[start:end] for start, end in pairwise(places)]


@given(BODIES, st.lists(st.integers(0, 10_000)))
def test_any_slicing_of_a_body_gives_the_same_events(body: bytes, cuts: list[int]) -> None:
    whole = decoded(body)

    assert decoded(*sliced(body, cuts)) == whole
    assert decoded(*(body[n : n + 1] for n in range(len(body)))) == whole


@given(BODIES, st.lists(st.integers(0, 10_000)))
def test_an_independent_decoder_reads_the_same_events(body: bytes, cuts: list[int]) -> None:
    independent = IndependentDecoder()
    text = body.removeprefix(b"\xef\xbb\xbf")
    lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode().split("\n")[:-1]
    events = [event for line in lines if (event := independent.decode(line))]
    # Unlike a browser it dispatches events that have a name, an id or a retry but no data.
    expected = [(event.event, event.data) for event in events if event.data]

    read = [(n.decode() or "message", d.decode()) for n, d in decoded(*sliced(body, cuts)) if d]

    assert read == expected


def test_a_byte_order_mark_is_dropped_at_the_start_only_however_it_is_cut() -> None:
    body = b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n"

    assert decoded(body) == [(b"", b"a")]
    assert decoded(*(body[n : n + 1] for n in range(len(body)))) == [(b"", b"a")]


def test_several_events_of_one_read_come_one_by_one() -> None:
    assert decoded(b"data: a\n\ndata: b\n\nevent: x\ndata: c\ndata: d\n\ndata: cut") == [
        (b"", b"a"),
        (b"", b"b"),
        (b"x", b"c\nd"),
    ]


def test_a_whole_event_amid_another_belongs_to_that_one() -> None:
    assert decoded(b"event: x\n", b"data: a\n\n", b"data: b\n", b"data: c\n\n") == [
        (b"x", b"a"),
        (b"", b"b\nc"),
    ]
    assert decoded(b"data: half a li", b"data: a\n\n") == [(b"", b"half a lidata: a")]


@pytest.mark.fault(38)
@pytest.mark.parametrize(
    ("chunk", "repeats"),
    [
        pytest.param(b"x" * 100, 11, id="a line without end"),
        pytest.param(b":" * 100, 11, id="a comment without end"),
        pytest.param(b"data: " + b"x" * 90 + b"\n", 12, id="an event of many lines"),
        pytest.param(b"data\n" * 20, 13, id="empty data lines"),
        pytest.param(b"data: " + b"x" * 1_000 + b"\n\n", 1, id="one long read"),
    ],
)
def test_what_would_grow_without_end_is_refused(chunk: bytes, repeats: int) -> None:
    decoder = SSEDecoder(max_event_bytes=1_000)

    with pytest.raises(SourceProtocolError, match="too long"):
        drain(decoder, [chunk] * repeats)


def test_a_body_is_bounded_and_short_events_are_not() -> None:
    decoder = SSEDecoder(max_event_bytes=100, max_body_bytes=10_000)
    for _ in range(1_000):
        assert list(decoder.feed(b"data: x\n\n")) == [(b"", b"x")]

    with pytest.raises(SourceProtocolError, match="too long"):
        list(decoder.feed(b": ping\n\n" * 200))


def test_a_line_that_comes_byte_by_byte_is_joined_once() -> None:
    decoder = SSEDecoder()
    for _ in range(200_000):
        assert not list(decoder.feed(b"x"))  # quadratic joins would take minutes here
    decoder.feed(b"")

    assert list(decoder.feed(b"\ndata: after\n\n")) == [(b"", b"after")]
