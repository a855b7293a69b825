"""Event streams are read as an EventSource reads them, wherever the network cuts them."""

import pytest

from loadtests.people.sse import Event, EventStream

_STREAM = (
    "\ufeffretry: 500\r\n: a comment\r\n\r\n"
    'id: t.1-1\r\nevent: turn.started\r\ndata: {"a":1}\r\n\r\n'
    "id: t.1-2\revent: text.delta\rdata: naïve 🙂\rdata: two lines\r\r"
    "event: heartbeat\ndata:no space\nunknown: field\nretry: soon\n\n"
    "id: with\0nul\nid\n\n"
    "event: empty\n\n"
    "data\n\n"
    "id: t.1-9\ndata: dropped, since the stream ends here"
)
_EVENTS = [
    Event("turn.started", '{"a":1}', "t.1-1"),
    Event("text.delta", "naïve 🙂\ntwo lines", "t.1-2"),
    Event("heartbeat", "no space", "t.1-2"),
    Event("message", "", ""),
]


def test_a_stream_cut_in_two_at_any_byte_gives_the_same_events() -> None:
    whole = _STREAM.encode()
    for cut in range(len(whole) + 1):
        stream = EventStream()

        events = stream.feed(whole[:cut]) + stream.feed(whole[cut:])

        assert events == _EVENTS, cut
        assert (stream.retry_ms, stream.comments) == (500, 1), cut


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_stream_in_pieces_of_a_size_gives_the_same_events(size: int) -> None:
    whole, stream = _STREAM.encode(), EventStream()

    events = [
        event
        for place in range(0, len(whole), size)
        for event in stream.feed(whole[place : place + size])
    ]

    assert events == _EVENTS


def test_an_event_without_id_keeps_the_cursor_that_the_connection_was_opened_with() -> None:
    assert EventStream("t.1-7").feed(b"event: bye\ndata: {}\n\n") == [Event("bye", "{}", "t.1-7")]
