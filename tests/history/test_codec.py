"""How values are written down."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history import codec
from history.model import SpokenUnit
from tests.history.factories import a_conversation


@given(st.integers(-(10**12), 10**13))
def test_milliseconds_come_back_as_they_were(ms: int) -> None:
    assert codec.to_ms(codec.from_ms(ms)) == ms


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    utc = datetime(2026, 1, 1, 12, 0, 0, 5_999, tzinfo=UTC)

    assert codec.to_ms(utc) == codec.to_ms(utc.astimezone(timezone(timedelta(hours=5.5))))
    assert codec.from_ms(codec.to_ms(utc)) == utc.replace(microsecond=5_000)


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        codec.to_ms(datetime(2026, 1, 1))  # noqa: DTZ001  # the mistake under test


def test_a_lone_surrogate_in_a_map_comes_back() -> None:
    text = codec.dump_map({"a": "\ud800", "é": ["𐀀", None, 1.5]})

    assert text.isascii()
    assert codec.load_map(text) == {"a": "\ud800", "é": ["𐀀", None, 1.5]}


def test_speech_comes_back_in_order_with_any_text() -> None:
    speech = (SpokenUnit(0, "Grüße, \ud800 \x00"), SpokenUnit(4, "你好。"), SpokenUnit(2, ""))
    text = codec.dump_speech(speech)

    assert text.isascii()
    assert codec.load_speech(text) == speech
    assert codec.load_speech(codec.dump_speech(())) == ()


def test_a_record_of_a_release_without_speech_has_none() -> None:
    assert codec.load_speech(None) == ()


def test_fields_that_a_newer_release_adds_are_ignored() -> None:
    usage = codec.load_usage('{"input":1,"output":null,"source":"exact","cached":9}')
    speech = codec.load_speech('[{"sentence":2,"text":"Hi.","language":"en","voice":"x"}]')
    feedback = codec.load_feedback('{"rating":"up","comment":null,"at":0,"tags":["x"]}')

    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (1, None)
    assert speech == (SpokenUnit(2, "Hi.", "en"),)
    assert feedback is not None
    assert feedback.at == codec.from_ms(0)


@given(st.integers(0, 10**14), st.text("abcABC019-_.~", min_size=1, max_size=40))
def test_a_cursor_comes_back_as_it_was(ms: int, conversation_id: str) -> None:
    conversation = a_conversation(conversation_id, updated_at=codec.from_ms(ms))

    assert codec.parse_cursor(codec.format_cursor(conversation)) == (ms, conversation_id)
