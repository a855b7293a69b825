"""What is said of a sentence: the vectors, what lasts over sentences, and how units end."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.sentences import SentenceKind
from streaming.speech.spoken import SpokenText
from tests.streaming.speech.leaks import leaks

properties = settings(deadline=None, derandomize=True)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "spoken.json").read_text("utf-8"))
BLOCKS: list[SentenceKind] = ["code", "table", "math"]
CLAUSE_MARKS = [",", ";", ":", " —", "，", "、", "；", "：", "،"]  # noqa: RUF001
STOPS = list(".!?…。！？।؟۔።။។։")  # noqa: RUF001
COUNTS = st.integers(0, 8)


def say(text: str, language: str = "en") -> str:
    """Return what is said of a turn's only sentence."""
    return SpokenText(language).say("text", text)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: ascii(case["text"])[:40])
def test_a_sentence_is_said_as_the_vectors_have_it(case: dict[str, str]) -> None:
    kind: SentenceKind = case["kind"]  # type: ignore[assignment]  # data: one of the literals

    assert SpokenText(case["language"]).say(kind, case["text"]) == case["expected"]


@pytest.mark.parametrize("turn", VECTORS["turns"], ids=range(len(VECTORS["turns"])))
def test_a_turn_is_said_as_the_vectors_have_it(
    turn: dict[str, list[tuple[SentenceKind, str, str]]],
) -> None:
    spoken = SpokenText(str(turn["language"]))

    said = [spoken.say(kind, text) for kind, text, _ in turn["sentences"]]

    assert said == [expected for _, _, expected in turn["sentences"]]


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_of_a_kind_in_a_row_are_said_once(kind: SentenceKind) -> None:
    spoken = SpokenText()

    first = spoken.say(kind, "x")

    assert first
    assert not spoken.say(kind, "y")
    assert not spoken.say("rule", "---")
    assert not spoken.say("text", "🎉")
    assert not spoken.say(kind, "z")
    assert spoken.say("text", "Then:") == "Then:"
    assert spoken.say(kind, "z") == first


def test_blocks_of_different_kinds_are_each_said() -> None:
    spoken = SpokenText()

    assert [spoken.say(kind, "x") for kind in (*BLOCKS, *BLOCKS)] == 2 * [
        "Code block.", "Table.", "Formula.",
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["EN", "en-GB", "en_US", "", " ", "tlh", "x-klingon", "-"])
def test_a_language_we_have_no_words_of_is_answered_in_english(language: str) -> None:
    assert SpokenText(language).say("code", "x") == "Code block."


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>", "</think>"),
        ("<Thinking>", "</THINKING >"),
        ('<reasoning effort="high">', "</reasoning>"),
        ("<seed:think>", "</seed:think>"),
        ("<!--", "-->"),
    ],
)
@properties
@given(st.tuples(COUNTS, COUNTS, COUNTS), st.sets(st.integers(1, 24)))
def test_what_is_hidden_is_silent_wherever_the_text_is_cut(
    opening: str, closing: str, counts: tuple[int, int, int], cuts: set[int]
) -> None:
    before, hidden, after = (
        [f"{n}{i}" for i in range(c)] for n, c in zip("bha", counts, strict=True)
    )
    words = [*before, opening, *hidden, closing, *after]
    places = [0, *sorted(place for place in cuts if place < len(words)), len(words)]
    spoken = SpokenText()

    said = [spoken.say("text", " ".join(words[start:end])) for start, end in pairwise(places)]

    assert re.findall(r"\w+", " ".join(said)) == before + after


@properties
@given(st.lists(st.sampled_from(["**", "__", "*", "~~", "==", "a", "b.", "c"])), st.integers(0, 20))
def test_half_an_emphasis_is_no_more_said_than_a_whole(words: list[str], cut: int) -> None:
    spoken = SpokenText()

    said = [spoken.say("text", "".join(part)) for part in (words[:cut], words[cut:])]

    assert re.findall("[a-c]", "".join(said)) == re.findall("[a-c]", "".join(words))
    assert leaks(said[0]) + leaks(said[1]) == []


@pytest.mark.parametrize("hidden", ["<think>", "<!-- a comment", "<style>"])
def test_what_stays_open_silences_blocks_too(hidden: str) -> None:
    spoken = SpokenText()

    said = [spoken.say("text", hidden)] + [spoken.say(kind, "x") for kind in BLOCKS]

    assert not any(said)


def test_a_span_that_ends_within_a_block_is_closed() -> None:
    spoken = SpokenText()
    spoken.say("text", "<think>Let me try.")

    assert not spoken.say("code", "```\na = 1\n</think>")
    assert spoken.say("text", "It is one.") == "It is one."


@pytest.mark.parametrize(
    "text",
    [
        "Put it into <think> tags.",
        "It opens with <think>.",
        'The "<think>" element opens it.',
        "Write `<think>` first.",
        "Use <think> for what is not to be read.",
        "Add a <script> block to the page.",
        "Put the <script> or the <style> where you like.",
        "The <style> of a page comes first, <script> last.",
    ],
)
def test_a_tag_that_is_only_named_hides_nothing_that_follows(text: str) -> None:
    spoken = SpokenText()

    assert spoken.say("text", text)
    assert spoken.say("text", "The rest is said.") == "The rest is said."


@pytest.mark.parametrize("mark", CLAUSE_MARKS)
def test_a_clause_keeps_the_mark_it_was_cut_after(mark: str) -> None:
    assert say(f"Erst **das**{mark} ") == f"Erst das{mark}"


@pytest.mark.parametrize("end", STOPS)
@pytest.mark.parametrize("closer", ["", '"', "”", ")", "»", "」", "**"])
def test_a_sentence_that_ends_with_a_mark_gets_no_second(end: str, closer: str) -> None:
    assert say(f"- abc{end}{closer}") == f"abc{end}{closer.strip('*')}"


@pytest.mark.parametrize(
    "text", ["", " ", "🎉", "---", "|--|--|", "**", "()", "[]()", "<br>", "&nbsp;"]
)
def test_a_sentence_without_letter_or_digit_is_silent(text: str) -> None:
    assert not say(text)


@pytest.mark.parametrize(
    "answer", VECTORS["answers"], ids=lambda answer: ascii(answer["text"])[:40]
)
def test_what_was_said_is_said_the_same_again(answer: dict[str, str]) -> None:
    for line in answer["text"].splitlines():
        said = say(line, answer["language"])

        assert say(said, answer["language"]) == said
