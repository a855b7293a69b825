"""A provider's chunks become the text of an answer, or one of our errors."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.errors import (
    SourceError,
    SourceFilteredError,
    SourceProtocolError,
    SourceReportedError,
    SourceTruncatedError,
)
from streaming.llm.base import Finish
from streaming.llm.chunks import AnswerDecoder

DONE = b"data: [DONE]\n\n"


def frame(data: object, *, event: str = "") -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def chunk(content: object = None, *, finish: str | None = None, **delta: object) -> bytes:
    choice = {"index": 0, "delta": {"content": content, **delta}, "finish_reason": finish}
    return frame({"choices": [choice], "usage": None})


def read(*body: bytes) -> tuple[list[str], Finish]:
    decoder = AnswerDecoder()
    texts = [text for part in body for text in decoder.feed(part)]
    return texts, decoder.finish()


def fault(*body: bytes) -> tuple[list[str], SourceError]:
    """Return what came before a fault, and the fault."""
    decoder = AnswerDecoder()
    texts: list[str] = []
    try:
        for part in body:
            for text in decoder.feed(part):
                texts += [text]  # at once: what precedes a fault counts
        decoder.finish()
    except SourceError as error:
        return texts, error
    pytest.fail("no fault")


def test_deltas_come_one_by_one_with_reason_and_usage() -> None:
    usage = frame({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    body = chunk("", role="assistant") + chunk("Hel") + chunk("lo") + chunk(finish="stop")

    assert read(body, usage, DONE) == (["Hel", "lo"], Finish("stop", 3, 2))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("eos", "stop"),
        ("tool_calls", "stop"),
        ("function_call", "stop"),
    ],
)
def test_a_finish_reason_is_mapped(reason: str, expected: str) -> None:
    assert read(chunk("Hi"), chunk(finish=reason))[1].reason == expected


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("content_filter", SourceFilteredError),
        ("error", SourceReportedError),
        ("abort", SourceTruncatedError),
        ("insufficient_system_resource", SourceTruncatedError),
        ("", SourceTruncatedError),
        (None, SourceTruncatedError),
    ],
)
def test_a_finish_reason_that_is_no_good_end_is_an_error(
    reason: str | None, error: type[SourceError]
) -> None:
    texts, raised = fault(chunk("Hi"), chunk(finish=reason))

    assert (texts, type(raised)) == (["Hi"], error)


@pytest.mark.fault(42)
@pytest.mark.parametrize("reason", ["tool_calls", "function_call"])
def test_a_model_that_only_asks_for_a_tool_did_not_answer(reason: str) -> None:
    assert isinstance(fault(chunk(finish=reason))[1], SourceProtocolError)


def test_text_in_the_finishing_chunk_counts_and_text_after_it_does_not() -> None:
    assert read(chunk("a"), chunk("b", finish="stop"), chunk("c"))[0] == ["a", "b"]


@pytest.mark.parametrize(
    "data",
    [
        b"not JSON",
        b"",
        b"[]",
        b"7",
        b"null",
        b'{"choices":null}',
        b"{}",
        b'{"choices":{}}',
        b'{"choices":[null]}',
        b'{"choices":[{"delta":"text"}]}',
        b'{"choices":[{"delta":null},{"delta":7}]}',
        b'{"choices":[{"delta":{"content":5}}]}',
        b'{"choices":[{"index":"0","delta":{}}]}',
        b'{"choices":[{"finish_reason":5}]}',
        b'{"choices":[{"delta":{"content":"\xff\xfe"}}]}',
        b'{"choices":[{"delta":{"content":"\xed\xa0\x80"}}]}',
        b'{"choices":[{"delta":{"content":"cut',
        b'{"x":' + b"[" * 100_000,
        b'{"choices":[' + b"[" * 100_000,
        b"1" * 10_000,
    ],
)
def test_what_is_no_chunk_is_a_protocol_error_after_the_text_before_it(data: bytes) -> None:
    texts, error = fault(chunk("kept") + b"data: " + data + b"\n\n" + chunk("lost"))

    assert texts == ["kept"]
    assert isinstance(error, SourceProtocolError)
    assert "choices" not in error.detail


@pytest.mark.parametrize(
    "body",
    [
        frame({"error": {"message": "secret words"}}),
        frame({"error": "secret words", "choices": None}),
        frame({"error": "secret words", "choices": 7}),
        frame({"error": {"message": "secret words"}, "choices": []}, event="error"),
        b"event: error\ndata: secret words\n\n",
    ],
)
def test_an_error_inside_the_stream_is_reported_without_its_words(body: bytes) -> None:
    texts, error = fault(chunk("kept"), body)

    assert (texts, type(error)) == (["kept"], SourceReportedError)
    assert "secret" not in str(error)


def test_events_of_a_providers_own_are_read_past_unless_they_are_chunks() -> None:
    foreign = frame({"type": "ping"}, event="ping") + b"event: x\ndata: not JSON\n\n"
    named = b"event: completion\n" + chunk("b")
    azure = frame({"choices": [], "prompt_filter_results": [], "error": None})

    assert read(azure, chunk("a"), foreign, named, chunk(finish="stop"))[0] == ["a", "b"]


def test_reasoning_shows_as_life_without_text() -> None:
    thoughts = chunk(None, reasoning_content="hm") + chunk(None, reasoning="hm") + chunk("", x=1)

    assert read(thoughts, chunk("Hi", finish="stop"))[0] == ["", "", "Hi"]


def test_a_refusal_is_what_the_model_says() -> None:
    assert read(chunk(None, refusal="I can't."), chunk(finish="stop"))[0] == ["I can't."]


def test_text_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "thinking"}, {"type": "text", "text": "b"}]

    assert read(chunk(parts), chunk(finish="stop"))[0] == ["ab"]


@pytest.mark.fault(42)
def test_only_the_first_choice_counts() -> None:
    other = frame({"choices": [{"index": 1, "delta": {"content": "x"}, "finish_reason": "stop"}]})

    assert read(other, chunk("a"), other, chunk(finish="stop"))[0] == ["a"]


def test_a_pair_of_surrogates_cut_apart_becomes_one_character() -> None:
    assert read(chunk("a\ud83d"), chunk("\ude00b"), chunk(finish="stop"))[0] == ["a", "😀b"]
    assert read(chunk("\ud83d"), chunk(""), chunk("\ude00", finish="stop"))[0] == ["😀"]


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (["\ud83d", "a"], "\ufffda"),
        (["\ude00"], "\ufffd"),
        (["\ud83d", "\ud83d\ude00"], "\ufffd😀"),
        (["a\ud83d"], "a\ufffd"),
        (["nul\0"], "nul\ufffd"),
    ],
)
def test_what_no_store_would_keep_is_replaced(contents: list[str], text: str) -> None:
    assert "".join(read(*map(chunk, contents), chunk(finish="stop"))[0]) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40), st.data())
def test_text_cut_anywhere_between_utf16_units_comes_out_whole(
    text: str, data: st.DataObject
) -> None:
    units = text.encode("utf-16-le")
    places = data.draw(st.sets(st.integers(0, len(units) // 2)))
    bounds = sorted({0, len(units), *(2 * place for place in places)})
    parts = [
        units[start:end].decode("utf-16-le", "surrogatepass") for start, end in pairwise(bounds)
    ]

    assert "".join(read(*map(chunk, parts), chunk(finish="stop"))[0]) == text


@pytest.mark.fault(37)
@given(st.binary(max_size=200))
def test_any_bytes_give_text_or_one_of_our_errors(noise: bytes) -> None:
    try:
        texts, _ = read(chunk("a"), noise, b"\n\ndata: " + noise + b"\n\n", chunk(finish="stop"))
    except SourceError:
        return
    "".join(texts).encode()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda of: (
            st.lists(of)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "content",
                        "index",
                        "usage",
                        "error",
                        "finish_reason",
                        "reasoning",
                    ]
                ),
                of,
            )
        ),
    )
)
def test_any_json_gives_text_or_one_of_our_errors(data: object) -> None:
    try:
        texts, _ = read(chunk("a"), frame(data), frame({"choices": [data]}), chunk(finish="stop"))
    except SourceError:
        return
    "".join(texts).encode()


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2, "details": {"x": [1]}}, (1, 2)),
        ({"prompt_tokens": -1, "completion_tokens": 2.5}, (None, None)),
        ({"prompt_tokens": 10**30, "completion_tokens": "2"}, (None, None)),
        ([], (None, None)),
        ("free", (None, None)),
    ],
)
def test_usage_that_makes_no_sense_is_unknown(
    usage: object, tokens: tuple[int | None, int | None]
) -> None:
    body = chunk("a", finish="stop") + frame({"choices": [], "usage": usage})

    assert read(body)[1] == Finish("stop", *tokens)


def test_usage_that_is_no_utf8_is_unknown() -> None:
    body = b'data: {"choices":[],"usage":{"\xff":1}}\n\n'

    assert read(chunk("a", finish="stop"), body)[1] == Finish("stop", None, None)
