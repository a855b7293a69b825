"""Where an answer is cut that grows too long."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streaming.limit import RESERVE_CHARS, ResponseLimit
from tests.streaming.harness import properties

CHARS = "ab .!?…。\n\u2019\u2028é😀"
SLICES = st.lists(st.text(CHARS, max_size=60), max_size=60)


def play(pieces: Iterable[str], max_chars: int) -> tuple[str, bool]:
    """Return what is sent of an answer in these pieces, and whether it was cut."""
    limit = ResponseLimit(max_chars)
    sent = ""
    for piece in pieces:
        sent += limit.push(piece)
        if limit.is_full:
            return sent, True
    return sent + limit.flush(), False


def sliced(text: str, sizes: Sequence[int]) -> list[str]:
    """Return the text in slices of these sizes, again and again."""
    pieces, start, turn = [], 0, 0
    while start < len(text):
        size = sizes[turn % len(sizes)]
        pieces.append(text[start : start + size])
        start, turn = start + size, turn + 1
    return pieces


@properties
@given(SLICES, st.integers(1, 700))
def test_an_answer_is_a_prefix_never_longer_than_the_cap(pieces: list[str], max_chars: int) -> None:
    text = "".join(pieces)

    sent, is_cut = play(pieces, max_chars)

    assert len(sent) <= max_chars
    assert text.startswith(sent)
    assert is_cut == (len(text) > max_chars)
    if not is_cut:
        assert sent == text


@properties
@given(
    st.lists(st.text(CHARS, max_size=400), max_size=20),
    st.integers(1, 3000),
)
@example(["Hi. " + "x" * 480], 500)
@example(["word " + "x" * 480], 500)
@example(["word", " " + "x" * 480], 500)
def test_what_is_held_back_is_bounded_however_it_comes(pieces: list[str], max_chars: int) -> None:
    limit = ResponseLimit(max_chars)
    came = sent = 0

    for piece in pieces:
        came += len(piece)
        sent += len(limit.push(piece))
        if limit.is_full:
            break
        assert came - sent <= RESERVE_CHARS


def test_nothing_is_held_back_far_from_the_cap() -> None:
    limit = ResponseLimit(2000)

    assert [limit.push("no end in sight ") for _ in range(117)] == ["no end in sight "] * 117


@properties
@given(
    words=st.lists(st.integers(1, 12), min_size=60, max_size=400),
    per_sentence=st.integers(1, 5),
    max_chars=st.integers(480, 900),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=10),
    mark=st.sampled_from([".", "!", "?", "…", '."', ".”)"]),
)
def test_a_cut_falls_on_the_last_sentence_end_that_fits(
    *, words: list[int], per_sentence: int, max_chars: int, sizes: list[int], mark: str
) -> None:
    sentences = [
        " ".join("x" * size for size in words[start : start + per_sentence]) + mark
        for start in range(0, len(words), per_sentence)
    ]
    text = " ".join(sentences * 20)
    ends, end = [], -1
    for sentence in sentences * 20:
        end += 1 + len(sentence)
        ends.append(end)

    sent, is_cut = play(sliced(text, sizes), max_chars)

    assert is_cut
    assert len(sent) == max(end for end in ends if end <= max_chars)


@properties
@given(
    words=st.lists(st.integers(1, 20), min_size=1, max_size=50),
    max_chars=st.integers(200, 900),
    sizes=st.lists(st.integers(1, 1000), min_size=1, max_size=10),
)
def test_without_a_sentence_end_the_cut_falls_between_words(
    words: list[int], max_chars: int, sizes: list[int]
) -> None:
    text = " ".join(["x" * size for size in words] * 1000)[: max_chars * 3] + " end"

    sent, is_cut = play(sliced(text, sizes), max_chars)

    assert is_cut
    assert " " in text[len(sent) - 1 : len(sent) + 1]
    assert len(sent) > max_chars - 2 * RESERVE_CHARS


def test_a_word_that_would_not_fit_whole_is_left_out() -> None:
    text = "x" * 90 + " " + "y" * 40

    assert play(sliced(text, [1]), 100) == ("x" * 90, True)


def test_a_sentence_that_outgrows_what_is_held_back_is_cut_at_its_last_word_that_fits() -> None:
    text = "x" * 841 + ". " + "yyy " * 100
    pieces = [text[:840], text[840:900], *sliced(text[900:], [30])]

    sent, is_cut = play(pieces, 1000)

    assert is_cut
    assert len(sent) == text.rindex(" ", 0, 1001)


def test_one_endless_word_fills_the_cap() -> None:
    assert play(sliced("x" * 5000, [7]), 1000) == ("x" * 1000, True)
    assert play([" " + "x" * 50], 10) == (" " + "x" * 9, True)


@pytest.mark.parametrize("size", [1, 3, 400])
def test_a_stop_that_does_not_fit_is_not_cut_from_its_sentence(size: int) -> None:
    text = "一二三四五六七八九。" * 40

    sent, _ = play(sliced(text, [size]), 209)

    assert sent == text[:200]


def test_a_distant_sentence_end_does_not_cost_half_the_answer() -> None:
    text = "x " * 300 + "end. " + "y " * 2000

    sent, _ = play([text], 1000)

    assert len(sent) > 1000 - RESERVE_CHARS


def test_a_finished_answer_of_exactly_the_cap_is_whole() -> None:
    text = "A sentence. " * 50

    assert play(sliced(text, [5]), len(text)) == (text, False)


@pytest.mark.parametrize("max_chars", [1, 2, 3, 4, 5])
def test_a_tiny_cap_still_lets_something_through(max_chars: int) -> None:
    sent, is_cut = play(sliced("abcdefghij klm", [2]), max_chars)

    assert is_cut
    assert sent == "abcdefghij"[:max_chars]
