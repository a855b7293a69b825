"""What holds of the splitter for any text, however it is sliced."""

# ruff: noqa: RUF001  - signs of other scripts are the point

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.sentences import Sentence, SentenceSplitter

LANGUAGES = ("en", "de-CH", "fr", "ru", "zh", "th", "")
# Pieces that mean something to a rule, alone or with the pieces beside them.
PIECES = (
    "Hello", " world", "The ", " I", " i", "e", "Word ", "iPhone", "Dr.", "e.g.", "z. B. ",
    "3. ", "Mai", "U.S. ", "a.m. ", "Mr. ", "no. ", "etc. ", "7", "3.14", "http://x.y/z. ",
    ". ", "! ", "? ", "...", ". . . . ", "…", " ", "  ", "\t", "\u00a0", "\u202f", "\n", "\n\n",
    "\r\n", "\r", "\u2028", "- ", "* ", "+", "1. ", "2) ", "1.) ", "2.) ", "a. ", "b. ", "a) ",
    "•", "⁃", "# ", "## ", "> ", "```", "~~~", "`", "``", "|", " a | b |\n", "|---|",
    "---|---\n", "$$", "\\[", "\\]", "\\begin{align}", "\\end{align}", "---", "===", "<think>",
    "</think>", "<pre>", "</pre>", "<br>", "**bold**", "*", "_", "“", "”", '"', "'", "«", "»",
    " »", "(", ")", "[1]", "[", "]", "¿", "¡", "—", " — ", ":)", "🎉", " 👍🏽", "\u200d", "\u0301",
    "\x00", "\ud800", "。", "！", "」", "「", "说",
    "है। ", "؟ ", "։ ", "Ի: ", "ε; ", "ល។", "។", "．",
    "５", "ครับ ", "ไทย", "long line of some words without any end ",
)  # fmt: skip


def cut(pieces: list[str], language: str = "en") -> list[Sentence]:
    splitter = SentenceSplitter(language=language)
    found = [sentence for piece in pieces for sentence in splitter.push(piece)]
    return found + splitter.flush()


def sliced(text: str, chooser: random.Random) -> list[str]:
    pieces = []
    at = 0
    while at < len(text):
        size = chooser.randint(1, chooser.choice((1, 3, 9, 40)))
        pieces.append(text[at : at + size])
        at += size
    return pieces


def a_text(chooser: random.Random) -> str:
    return "".join(chooser.choice(PIECES) for _ in range(chooser.randint(1, 30)))


def test_a_thousand_texts_sliced_eleven_ways_are_cut_the_same() -> None:
    chooser = random.Random(20_261_121)  # noqa: S311  - a seed, no secret

    for _ in range(1_000):
        text = a_text(chooser)
        language = chooser.choice(LANGUAGES)
        whole = cut([text], language)
        assert cut(list(text), language) == whole, text
        for _ in range(10):
            pieces = sliced(text, chooser)
            assert cut(pieces, language) == whole, (text, pieces)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=30), st.sampled_from(LANGUAGES)
)
def test_slicing_and_empty_pieces_change_nothing(pieces: list[str], language: str) -> None:
    whole = cut(["".join(pieces)], language)

    assert cut(pieces, language) == whole
    assert cut(["", *"".join(pieces), ""], language) == whole


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=30).map("".join))
def test_sentences_are_the_text_in_order_with_white_space_between(text: str) -> None:
    sentences = cut([text])

    ends = [0, *(sentence.end for sentence in sentences)]
    starts = [*(sentence.start for sentence in sentences), len(text)]
    for sentence in sentences:
        assert sentence.text == text[sentence.start : sentence.end]
        assert sentence.text == sentence.text.strip()
        assert sentence.text
    for end, start in zip(ends, starts, strict=True):
        assert start >= end
        assert not text[end:start].strip()
    assert all(one.end <= other.start for one, other in pairwise(sentences))


def test_nothing_is_taken_back() -> None:
    chooser = random.Random(7)  # noqa: S311  - a seed, no secret

    for _ in range(200):
        text = a_text(chooser)
        splitter = SentenceSplitter()
        given_out = [sentence for character in text for sentence in splitter.push(character)]
        whole = cut([text])
        assert whole[: len(given_out)] == given_out


def test_what_is_pending_is_the_start_of_a_text_sentence_to_come() -> None:
    chooser = random.Random(11)  # noqa: S311  - a seed, no secret

    for _ in range(300):
        text = a_text(chooser)
        whole = {sentence.start: sentence for sentence in cut([text])}
        splitter = SentenceSplitter()
        for count, character in enumerate(text, 1):
            splitter.push(character)
            start, so_far = splitter.pending()
            if so_far:
                assert text[start:count] == so_far
                may_head_table = "|" in whole[start].text.splitlines()[0]
                assert whole[start].kind == "text" or may_head_table


HOSTILE = (
    ".", ". ", ". . .", "*", "`", "|", "$", ">", "> ", '"', "“", "(", "1.2.", "a.b.c.", "x",
    "\n", "\r\n", "\r", "#", "-", "- ", "1. ", "a. ", "~", "=", "🧑\u200d🚀", "\u0301", "\ud800",
    "\x00", "。", "।", "ก", "ก ", "[1", "<", "</b", ":)", "!", "?! ", "...", "z. ", "Dr. ",
    "1) 2) ", "• ", "„« ", "word\n", "\\[", "```\n", "```x", "| a |\n", "|a", "$$ x", "<think>",
    "\\begin{a}", "A. ", "p.m. A", " ", "\u200b", "a | b\n", "a | b.\n-", "a|\n---|-\n",
)  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE, ids=[repr(unit) for unit in HOSTILE])
@pytest.mark.parametrize("head", ["", "Text "])
def test_what_is_looked_at_again_is_bounded_on_hostile_input(head: str, unit: str) -> None:
    text = head + unit * (3_000 // len(unit))

    splitter = SentenceSplitter()
    sentences = [sentence for character in text for sentence in splitter.push(character)]

    assert len(splitter._window.text) <= 2_200, "the open text is bounded"
    assert splitter._window.scan >= len(splitter._window.text) - 450, "so is what waits in it"
    sentences += splitter.flush()
    assert sentences == cut([text])
    longest = max((len(one.text) for one in sentences if one.kind == "text"), default=0)
    assert longest <= 1_100 or unit == "<think>"
