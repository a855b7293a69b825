"""A reading notices whatever breaks a promise, and nothing else."""

import json
from typing import Any

import pytest

from loadtests.people.reading import Expected, Reading
from loadtests.people.sse import Event

_TOKENS = ["One", " two", ",", " three", ",", " four", "."]
_TEXT = "".join(_TOKENS)
_END: dict[str, Any] = {"text": _TEXT, "stored": True, "finish_reason": "stop"}


def entry(seq: int, name: str, *, epoch: int = 1, **data: Any) -> Event:
    """Return an entry of a turn's log."""
    return Event(name, json.dumps(data), f"t.{epoch}-{seq}")


def answer() -> list[Event]:
    """Return a whole answer as it should be."""
    deltas = [entry(2 + place, "text.delta", text=token) for place, token in enumerate(_TOKENS)]
    end = entry(2 + len(_TOKENS), "turn.completed", **_END)
    return [entry(1, "turn.started"), *deltas, end]


def renumbered(events: list[Event]) -> list[Event]:
    """Return the events as a server that does not know what it does would number them."""
    return [Event(event.name, event.data, f"t.1-{seq}") for seq, event in enumerate(events, 1)]


def read(events: list[Event], *, knows: bool = True) -> Reading:
    """Read events, knowing the answer or not."""
    reading = Reading("t", Expected.of(_TOKENS) if knows else None)
    for event in events:
        reading.take(event)
    return reading


@pytest.mark.parametrize("knows", [True, False])
def test_an_answer_as_it_should_be_has_no_faults(knows: bool) -> None:
    reading = read(answer(), knows=knows)

    assert reading.faults == {}
    assert (reading.text, reading.end, reading.tokens) == (_TEXT, "turn.completed", 7)
    assert reading.cursor == "t.1-9"


def test_deltas_of_several_tokens_count_each_of_them() -> None:
    events = [entry(1, "text.delta", text="One two,"), entry(2, "text.delta", text=" three, four.")]

    reading = read([*events, entry(3, "turn.completed", **_END)])

    assert (reading.faults, reading.tokens) == ({}, 7)


@pytest.mark.parametrize("place", range(1, 8))
@pytest.mark.parametrize("knows", [True, False])
def test_an_entry_that_is_missing_is_lost(place: int, knows: bool) -> None:
    events = answer()
    del events[place]

    reading = read(events, knows=knows)

    assert reading.faults["entry_lost"] == 1
    assert reading.lost_tokens() == 1
    assert reading.faults["text_differs"] == 1


@pytest.mark.parametrize("place", range(9))
def test_an_entry_that_comes_twice_is_noticed_and_not_shown(place: int) -> None:
    events = answer()
    events.insert(place, events[place])

    reading = read(events)

    noticed = "after_end" if place == 8 else "entry_again"
    assert reading.faults == {noticed: 1}
    assert reading.text == _TEXT


@pytest.mark.parametrize("place", range(1, 8))
def test_a_token_that_is_left_out_before_it_is_numbered_is_lost(place: int) -> None:
    events = answer()
    del events[place]
    told = json.loads(events[-1].data) | {"text": _TEXT.replace(_TOKENS[place - 1], "", 1)}
    events[-1] = entry(0, "turn.completed", **told)

    assert read(renumbered(events)).lost_tokens() >= 1


@pytest.mark.parametrize("place", range(1, 8))
def test_a_token_that_is_numbered_twice_is_doubled(place: int) -> None:
    events = answer()
    events.insert(place, events[place])

    reading = read(renumbered(events))

    assert reading.doubled_tokens() == 1
    assert reading.lost_tokens() == 0


def test_an_answer_that_ends_too_early_has_lost_its_rest() -> None:
    events = [*answer()[:4], entry(5, "turn.completed", **_END | {"text": "One two,"})]

    assert read(events).lost_tokens() == 4
    assert read(events, knows=False).faults == {}
    cut_short = entry(5, "turn.completed", text="One two,", finish_reason="length")
    assert read([*events[:4], cut_short]).faults == {}


def test_a_reset_replaces_the_text_and_the_place() -> None:
    reset = Event("turn.reset", json.dumps({"text": "One two,", "speech": 0}), "t.2-5")
    rest = [
        entry(6, "text.delta", epoch=2, text=" three, four."),
        entry(7, "turn.completed", epoch=2, **_END),
    ]

    reading = read([*answer()[:2], reset, *rest])

    assert (reading.faults, reading.text) == ({}, _TEXT)


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (entry(2, "text.delta", text="Something else"), "text_wrong"),
        (Event("text.delta", "{", "t.1-2"), "data_broken"),
        (Event("text.delta", '{"text":"One"}', "other.1-2"), "id_wrong"),
        (Event("text.delta", '{"text":"One"}', ""), "id_wrong"),
        (entry(2, "text.done", text="One"), "text_differs"),
        (entry(2, "speech.chunk", index=1, bytes=0), "audio_out_of_order"),
        (entry(2, "speech.chunk", index=0, bytes=4, data="AAAA"), "audio_broken"),
        (entry(2, "turn.completed", text="", finish_reason="length", stored=False), "not_stored"),
    ],
)
def test_what_else_is_wrong_has_a_code_of_its_own(event: Event, fault: str) -> None:
    assert read([entry(1, "turn.started"), event]).faults[fault] == 1


def test_what_has_no_place_in_the_log_is_no_entry() -> None:
    reading = Reading("t")

    assert not reading.take(Event("heartbeat", '{"last_seq":3}', ""))
    assert not reading.take(Event("bye", '{"reason":"restarting"}', ""))
    assert reading.left_for == "restarting"
    assert reading.faults == {}


def test_a_cancelled_answer_may_end_before_or_behind_what_was_read() -> None:
    for text in ("One", "One two, three"):
        assert read([*answer()[:4], entry(5, "turn.cancelled", text=text)]).faults == {}
    other = read([*answer()[:4], entry(5, "turn.cancelled", text="Two")])
    assert other.faults == {"text_differs": 1}


def test_a_whole_answer_is_judged_as_a_streamed_one() -> None:
    reading, short = Reading("t", Expected.of(_TOKENS)), Reading("t", Expected.of(_TOKENS))

    reading.take_whole({"status": "completed", **_END})
    short.take_whole({"status": "completed", **_END, "text": "One two,"})

    assert (reading.faults, reading.tokens) == ({}, 7)
    assert short.lost_tokens() == 4
