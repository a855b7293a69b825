"""A reader's place and its wire form."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.cursor import START, Cursor, format_id, parse_id
from streaming.errors import CursorMalformedError
from tests.streaming.harness import properties

TURN_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@properties
@given(TURN_IDS, st.integers(1, 999_999_999), st.integers(1, 10**18 - 1))
def test_an_id_is_read_back_as_it_was_written(turn_id: str, epoch: int, seq: int) -> None:
    event_id = format_id(turn_id, Cursor(epoch, seq))

    assert event_id.isascii()
    assert len(event_id) < 128
    assert parse_id(turn_id, event_id) == Cursor(epoch, seq)


@properties
@given(st.text() | st.from_regex(r"turn_1\.[0-9-]{0,40}"))
def test_any_other_string_is_malformed_and_nothing_worse(event_id: str) -> None:
    if re.fullmatch(r"turn_1\.[1-9][0-9]{0,8}-[1-9][0-9]{0,17}", event_id, re.ASCII):
        assert format_id("turn_1", parse_id("turn_1", event_id)) == event_id
        return

    with pytest.raises(CursorMalformedError) as caught:
        parse_id("turn_1", event_id)
    assert caught.value.code == "cursor_malformed"


@pytest.mark.parametrize(
    "event_id",
    [
        "",
        "turn_1",
        "turn_1.1",
        "turn_1.1-",
        "turn_1.-1",
        "turn_1.0-1",
        "turn_1.1-0",
        "turn_1.01-1",
        "turn_1.1-01",
        "turn_1.1--1",
        "turn_1.+1-1",
        "turn_1.1-1\n",
        "\nturn_1.1-1",
        "turn_1.1-1 ",
        "turn_1.1-1\0",
        "turn_1.1-1.1-1",
        "turn_1.1-1e3",
        "turn_1.1-1_0",
        "turn_1.1-\u0661",
        "turn_1.\uff11-1",
        "turn_1.1-" + "9" * 19,
        "turn_1." + "9" * 10 + "-1",
        "turn_1.1-" + "9" * 5000,
        "turn_2.1-1",
        "TURN_1.1-1",
        "urn_1.1-1",
        "\ud83d.1-1",
    ],
)
def test_what_is_not_an_id_of_this_turn_is_malformed(event_id: str) -> None:
    with pytest.raises(CursorMalformedError, match=r"turn_1\.1-1"):
        parse_id("turn_1", event_id)


def test_the_start_is_before_the_first_entry() -> None:
    assert Cursor(epoch=1, seq=0) == START
