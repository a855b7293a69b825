"""Where a text is cut before its sentence ends."""

import re

from hypothesis import given
from hypothesis import strategies as st

from streaming.speech.clauses import HARD_BYTES, HARD_CHARS, begun, first_clause_end, pieces
from tests.streaming.harness import properties


def test_the_first_clause_ends_at_the_first_mark_that_is_far_enough() -> None:
    text = "Well, when you come to think of it, nobody knows."

    assert text[: first_clause_end(text)] == "Well, when you come to think of it,"


def test_without_a_clause_a_phrase_may_end_before_the_word_that_joins_the_next() -> None:
    text = "The water in the long canal stayed quiet until the boats came home"

    assert text[: first_clause_end(text)] == "The water in the long canal stayed quiet"
    assert first_clause_end(text[:40]) == 0  # a clause may still come
    assert first_clause_end("Nobody expected anything remotely comparable happening again") == 0


def test_a_phrase_does_not_sound_like_an_end() -> None:
    assert begun("The water stayed quiet") == "The water stayed quiet,"
    assert begun("When it came,") == "When it came,"
    assert begun("水は静かで、") == "水は静かで、"


def test_a_mark_within_brackets_code_or_quotes_is_none() -> None:
    assert first_clause_end("The settings (there are many of them, by the way) matter") == 0
    assert first_clause_end("Call `connect(host_name_of_it, port)` and wait") == 0
    assert first_clause_end('She said "never in my life, sir" once more') == 0
    assert first_clause_end("These are **very important words, friends** of mine") == 0


def test_a_mark_without_a_blank_behind_it_is_part_of_a_number_or_an_address() -> None:
    assert first_clause_end("It costs about twenty times 1,000,000 gold coins") == 0


def test_marks_of_east_asian_scripts_need_no_blank() -> None:
    text = "今日はとても天気がいいので朝から散歩に出かけましたが、すぐに帰りました"

    assert text[: first_clause_end(text)].endswith("、")


def test_a_short_text_is_one_piece() -> None:
    assert pieces("  Good morning.  ") == ["Good morning."]
    assert pieces(" ") == []


def test_a_long_sentence_is_cut_at_its_last_clause_that_fits() -> None:
    clause = "and the river that we saw in the morning was quiet,"
    cut = pieces(" ".join([clause] * 5))

    assert len(cut) > 1
    assert all(piece.endswith("quiet,") for piece in cut)


def test_a_long_sentence_without_a_mark_is_cut_at_a_blank_only_where_it_must() -> None:
    assert len(pieces("word " * 40)) == 1  # 199: long, but not too long
    assert all(len(piece) <= HARD_CHARS for piece in pieces("word " * 100))


@given(st.text(alphabet=st.sampled_from("ab ,;:—、。é漢😀\n"), max_size=2000))
@properties
def test_pieces_fit_and_lose_nothing_but_blanks(text: str) -> None:
    cut = pieces(text)

    assert re.sub(r"\s", "", "".join(cut)) == re.sub(r"\s", "", text)
    assert all(piece.strip() == piece and piece for piece in cut)
    assert all(len(piece) <= HARD_CHARS and len(piece.encode()) <= HARD_BYTES for piece in cut)
