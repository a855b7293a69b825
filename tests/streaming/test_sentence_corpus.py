"""The splitter on texts that its rules were not made for: quality, delay, no change of mind.

The corpus is the examiner's: a rule is made from an example of its own, never from a text in here.
"""

import random
from collections import Counter
from functools import cache

import pytest

from streaming.sentences import Sentence, SentenceSplitter
from tests.benchmarks.gold import GoldText, load, spans
from tests.benchmarks.pieces import random_pieces, tokens
from tests.benchmarks.scoring import Key, Verdict
from tests.benchmarks.segmenters import Ours
from tests.benchmarks.stress import code, items
from tests.benchmarks.tables import percentile

_SLICINGS = 10_000
_LONGEST_SLICE = 12


@cache
def _texts() -> tuple[GoldText, ...]:
    return tuple(load())


@cache
def _streamed() -> dict[str, Verdict]:
    """Return what came out token by token, by domain."""
    by_domain: dict[str, Verdict] = {}
    for text in _texts():
        ends = [cut.end for cut in Ours().stream(tokens(text.text), text.language)]
        by_domain.setdefault(text.domain, Verdict()).__iadd__(Key(text).examine(ends))
    return by_domain


@cache
def _split(text: GoldText) -> tuple[Sentence, ...]:
    splitter = SentenceSplitter(language=text.language)
    return (*splitter.push(text.text), *splitter.flush())


def test_the_marked_units_make_up_their_texts() -> None:
    for text in _texts():
        marked = "".join(text.text[one.start : one.end] for one in spans(text))

        assert "".join(marked.split()) == "".join(text.text.split()), text.id


def test_the_corpus_is_large_and_mixed_enough_to_tell_something() -> None:
    chat = [text for text in _texts() if text.domain == "chat"]
    kinds = Counter(unit.kind for text in chat for unit in text.units)

    assert len({text.id for text in _texts()}) == len(_texts())
    assert len(chat) >= 180
    assert len({text.language for text in chat}) >= 22
    assert min(kinds[kind] for kind in ("code", "table", "math", "rule")) >= 4


def test_chat_text_is_cut_where_a_reader_would_cut_it() -> None:
    score = _streamed()["chat"].inner

    assert score.precision >= 98.0, score
    assert score.f1 >= 97.5, score


@pytest.mark.parametrize(("domain", "f1"), [("web", 90.5), ("prose", 98.0)])
def test_other_english_is_cut_as_well_as_the_best_library_does(domain: str, f1: float) -> None:
    score = _streamed()[domain].inner

    assert score.f1 >= f1, score


def test_nothing_is_cut_inside_code_tables_and_maths() -> None:
    assert sum(verdict.inside_opaque for verdict in _streamed().values()) == 0


def test_code_tables_maths_and_rules_are_units_of_their_kind() -> None:
    for text in _texts():
        wanted = [unit for unit in text.units if unit.kind != "text"]
        found = [one for one in _split(text) if one.kind != "text"]

        assert [(one.kind, one.text) for one in found] == [(one.kind, one.text) for one in wanted]


def test_a_unit_is_the_text_at_its_offsets_and_white_space_is_all_that_is_left_out() -> None:
    for text in _texts():
        at = 0
        for one in _split(text):
            assert one.text == text.text[one.start : one.end] == one.text.strip()
            assert one.text
            assert not text.text[at : one.start].strip()
            at = one.end
        assert not text.text[at:].strip()


def test_ten_thousand_random_slicings_change_nothing() -> None:
    dice = random.Random(1)  # noqa: S311  # seeded, so that a failure can be repeated

    for number in range(_SLICINGS):
        text = _texts()[number % len(_texts())]
        pieces = random_pieces(text.text, dice, _LONGEST_SLICE)
        splitter = SentenceSplitter(language=text.language)
        found = [one for piece in pieces for one in splitter.push(piece)] + splitter.flush()
        assert tuple(found) == _split(text), (text.id, pieces)


def test_a_unit_is_said_a_few_characters_after_its_end() -> None:
    delays = [
        cut.received - cut.end
        for text in _texts()
        for cut in Ours().stream(list(text.text), text.language)[:-1]
    ]

    assert percentile(delays, 50) <= 2
    assert percentile(delays, 99) <= 8
    assert max(delays) <= 24


def test_a_long_fence_is_one_unit() -> None:
    splitter = SentenceSplitter()

    found = [one for piece in tokens(code(8_000)) for one in splitter.push(piece)]
    found += splitter.flush()

    assert [one.kind for one in found] == ["text", "code", "text"]


def test_three_hundred_items_without_a_stop_are_three_hundred_units_in_time() -> None:
    text = items(300)

    cuts = Ours().stream(tokens(text), "en")

    assert [cut.end for cut in cuts] == [at for at, char in enumerate(text) if char == "\n"]
    assert all(len(tokens(text[cut.end + 1 : cut.received])) <= 1 for cut in cuts)
