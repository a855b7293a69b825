"""The instruments of the splitter benchmark: a wrong ruler measures nothing."""

from pathlib import Path

import pytest

from tests.benchmarks import conllu
from tests.benchmarks.gold import GoldError, GoldText, Unit, load, spans
from tests.benchmarks.measure import examine
from tests.benchmarks.pieces import tokens
from tests.benchmarks.scoring import Key, Score
from tests.benchmarks.segmenters import Cut, Wrapped, all_segmenters

_TREEBANK = """\
# newdoc id = a
# newpar id = a-p1
# text = He left.
1\tHe\t_\t_\t_\t_\t_\t_\t_\t_
2\tleft\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
3\t.\t_\t_\t_\t_\t_\t_\t_\t_

# text = Why
1\tWhy\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No

# text = ?
1\t?\t_\t_\t_\t_\t_\t_\t_\t_

# newpar id = a-p2
# text = Bye
1\tBye\t_\t_\t_\t_\t_\t_\t_\t_

# newdoc id = b
# text = Hi
1\tHi\t_\t_\t_\t_\t_\t_\t_\t_
"""


def a_text(*units: str | Unit, between: str = " ") -> GoldText:
    marked = tuple(one if isinstance(one, Unit) else Unit(one, "text") for one in units)
    return GoldText("a", "en", "chat", between.join(one.text for one in marked), marked)


def _figures(score: Score) -> tuple[int, int, int]:
    return score.right, score.wrong, score.missed


def test_a_boundary_found_counts_once_and_the_end_of_the_text_is_free() -> None:
    text = a_text("One.", "Two.", "Three.")

    verdict = Key(text).examine([4, len(text.text)])

    assert _figures(verdict.inner) == (1, 0, 1)
    assert _figures(verdict.whole) == (2, 0, 1)


@pytest.mark.parametrize(
    "end", [len('He said "no.'), len('He said "no."'), len('He said "no." 🎉')]
)
def test_quotes_and_emoji_may_go_to_either_side(end: int) -> None:
    text = a_text('He said "no." 🎉', "She left.")

    assert _figures(Key(text).examine([end]).inner) == (1, 0, 0)


@pytest.mark.parametrize(
    "end", [len("It is so."), len("It is so. [1] S"), len("It is so. [1] She left")]
)
def test_a_citation_a_letter_and_a_stop_have_their_side(end: int) -> None:
    text = a_text("It is so. [1]", "She left.")

    assert _figures(Key(text).examine([end]).inner) == (0, 1, 1)


def test_an_optional_end_is_neither_asked_for_nor_wrong() -> None:
    text = a_text(Unit("Regards,", "text", optional=True), "Ann")

    assert _figures(Key(text).examine([]).inner) == (0, 0, 0)
    assert _figures(Key(text).examine([8]).inner) == (0, 0, 0)


def test_boundaries_within_code_are_counted() -> None:
    text = a_text("See:", Unit("```\na. b\n\nc\n```", "code"), "Done.", between="\n")

    verdict = Key(text).examine([4, text.text.index("a.") + 2, text.text.index("c"), 18])

    assert verdict.inside_opaque == 2


def test_ends_at_blank_lines_are_left_out_of_the_paragraph_figure() -> None:
    text = a_text("One.", "Two.", between="\n\n")

    verdict = Key(text).examine([])

    assert _figures(verdict.inner) == (0, 0, 1)
    assert _figures(verdict.paragraph) == (0, 0, 0)


def test_a_unit_that_is_not_in_its_place_is_refused() -> None:
    with pytest.raises(GoldError):
        spans(GoldText("a", "en", "chat", "One. Two.", (Unit("Two.", "text"),)))
    with pytest.raises(GoldError):
        spans(GoldText("a", "en", "chat", "One. Two.", (Unit("One.", "text"),)))


def test_tokens_joined_are_the_text_and_look_like_tokens() -> None:
    for text in load():
        assert "".join(tokens(text.text)) == text.text

    assert tokens("Go, little dog 3.14") == ["Go", ",", " little", " dog", " 3", ".", "14"]
    assert len(tokens("unbelievable")) == 2


def test_a_treebank_becomes_documents_with_their_paragraphs_and_blanks(tmp_path: Path) -> None:
    path = tmp_path / "small.conllu"
    path.write_text(_TREEBANK, encoding="utf-8")

    first, second = conllu.load(path, "en")

    assert first.text == "He left. Why?\n\nBye"
    assert [unit.text for unit in first.units] == ["He left.", "Why", "?", "Bye"]
    assert second.text == "Hi"


def test_a_wrapped_batch_segmenter_says_all_but_its_last_unit_at_every_piece() -> None:
    def halves(text: str, _language: str) -> list[int]:
        return [at for at, char in enumerate(text, 1) if char == "."] + [len(text)]

    cuts = Wrapped("halves", halves).stream(["One.", " Two.", " Three"], "en")

    assert cuts[0] == Cut(end=4, pieces=1, received=4)
    assert cuts[1] == Cut(end=9, pieces=2, received=9)


def test_delays_count_what_came_after_the_end_and_leave_out_the_last_unit() -> None:
    def at_blanks(text: str, _language: str) -> list[int]:
        return [at for at, char in enumerate(text) if at and char == " "] + [len(text)]

    found = examine(Wrapped("blanks", at_blanks), [a_text("One.", "Two.", "Three.")], rounds=1)

    assert found.delays.characters == [1, 1]


def test_every_segmenter_cuts_two_plain_sentences() -> None:
    text = "The first sentence is here. The second one follows it."

    for segmenter in all_segmenters():
        assert segmenter.batch(text, "en") == [27, len(text)], segmenter.name
        assert [cut.end for cut in segmenter.stream(tokens(text), "en")] == [27, len(text)]
