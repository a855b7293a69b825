"""How entries look on the wire, as a decoder that is not ours reads them."""

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streaming.cursor import START, Cursor
from streaming.events import (
    Event,
    TextDelta,
    TextDone,
    Timings,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnInterrupted,
    TurnReset,
    TurnStarted,
    UsageData,
)
from streaming.frames import FrameEncoder, bye_frame, heartbeat_frame, reset_frame
from tests.streaming.harness import decode, properties

USAGE = UsageData(3, 5, "exact")
EVENTS: list[Event] = [
    TurnStarted("t", "c", "m", "default", "model", True),
    TextDelta("Hi"),
    TextDone("Hi", "m", True),
    TurnReset("Hi", "cursor_lost"),
    TurnCompleted("m", True, "Hi", "stop", USAGE, Timings(0.1, 0.2)),
    TurnFailed("m", True, "Hi", USAGE, "upstream_timeout", "No token.", True),
    TurnCancelled("m", False, "Hi", UsageData(None, None, "unknown"), "user"),
    TurnInterrupted("m", True, "Hi", UsageData(1, 1, "estimated"), "shutdown"),
]
TEXTS = st.text() | st.lists(
    st.sampled_from(["\r", "\n", "\r\n", "\n\n", "\0", "\u2028", "\u2029", "\x85", "\ufeff", ":"])
    | st.sampled_from(["data: x", "id: y", "event: z", "\U0001f600", "\U0010ffff", '"', "\\", " "])
).map("".join)


def lines_with(frame: bytes, field: bytes) -> int:
    """Return how many lines give a field a value."""
    return sum(line.startswith(field + b":") for line in frame.split(b"\n"))


@properties
@given(TEXTS, st.integers(1, 999_999_999), st.integers(1, 10**18 - 1))
@example("", 1, 1)
@example("\r\n\0\u2028\U0001f600", 1, 1)
def test_any_text_comes_out_as_it_went_in(text: str, epoch: int, seq: int) -> None:
    frame = FrameEncoder("turn_1").encode(epoch, seq, TextDelta(text))

    (event,) = decode(frame)

    assert (event.event, event.id) == ("text.delta", f"turn_1.{epoch}-{seq}")
    assert json.loads(event.data) == {"text": text}


@properties
@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_frames_in_a_row_stay_one_event_each(texts: list[str]) -> None:
    encode = FrameEncoder("turn_1").encode
    frames = b"".join(encode(1, seq, TextDelta(text)) for seq, text in enumerate(texts, 1))

    events = decode(frames)

    assert [json.loads(event.data)["text"] for event in events] == texts
    assert [event.id for event in events] == [f"turn_1.1-{n + 1}" for n in range(len(texts))]


@properties
@given(TEXTS)
def test_an_end_carries_any_text(text: str) -> None:
    encode = FrameEncoder("turn_1").encode

    (failed,) = decode(encode(1, 9, TurnFailed("m", True, text, USAGE, "code", text, False)))
    (reset,) = decode(reset_frame("turn_1", Cursor(1, 8), TurnReset(text, "cursor_lost")))

    assert json.loads(failed.data)["detail"] == text
    assert json.loads(failed.data)["text"] == json.loads(reset.data)["text"] == text


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_an_event_is_one_line_each_of_id_name_and_data(event: Event) -> None:
    frame = FrameEncoder("turn_1").encode(2, 7, event)

    assert frame.endswith(b"\n\n")
    assert b"\r" not in frame
    assert [line.split(b":")[0] for line in frame.splitlines()] == [b"id", b"event", b"data", b""]
    (decoded,) = decode(frame)
    assert (decoded.id, decoded.event) == ("turn_1.2-7", event.name)
    assert list(json.loads(decoded.data)) == list(event.__struct_fields__)


def test_no_event_has_the_name_that_a_browser_fires_itself() -> None:
    names = [event.name for event in EVENTS]

    assert "error" not in names
    assert len(set(names)) == len(names)


def test_a_reset_has_the_id_of_the_last_entry_its_text_covers() -> None:
    (event,) = decode(reset_frame("turn_1", Cursor(2, 41), TurnReset("So far", "cursor_lost")))

    assert (event.id, event.event) == ("turn_1.2-41", "turn.reset")
    assert json.loads(event.data) == {
        "text": "So far",
        "reason": "cursor_lost",
        "sentence": 0,
        "speech": 0,
    }


def test_a_reset_that_covers_nothing_has_no_id() -> None:
    frame = reset_frame("turn_1", START, TurnReset("", "cursor_lost"))

    assert lines_with(frame, b"id") == 0
    assert decode(frame)[0].event == "turn.reset"


def test_a_heartbeat_has_a_comment_and_moves_no_cursor() -> None:
    entry = FrameEncoder("turn_1").encode(1, 3, TextDelta("x"))
    frame = heartbeat_frame("turn_1", 3)

    assert frame.startswith(b": ")
    assert lines_with(frame, b"id") == 0
    beat = decode(entry + frame)[1]
    data = json.loads(beat.data)
    assert beat.event == "heartbeat"
    assert beat.id == "turn_1.1-3"  # the decoder's memory of the entry before
    assert (data["turn_id"], data["last_seq"]) == ("turn_1", 3)
    assert datetime.fromisoformat(data["at"]).utcoffset() == timedelta(0)


def test_bye_asks_each_reader_to_come_back_at_another_moment() -> None:
    frames = [bye_frame("restarting") for _ in range(300)]

    assert all(lines_with(frame, b"id") == 0 for frame in frames)
    events = [decode(frame)[0] for frame in frames]
    retries = [event.retry for event in events if event.retry is not None]
    assert {event.event for event in events} == {"bye"}
    assert {event.data for event in events} == {'{"reason":"restarting"}'}
    assert len(retries) == 300
    assert all(500 <= retry <= 2500 for retry in retries)
    assert max(retries) - min(retries) > 1000  # 300 draws: chance of less is under 1e-80
