"""The same words in shorter sentences."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.speech.base import MAX_UTTERANCE_BYTES
from streaming.speech.google.shortening import MAX_SENTENCE, in_shorter_sentences

SPANISH = (
    "En la siguiente parte veremos con calma un ejemplo largo de una sola frase, escrita sin "
    "ningún punto, que explica cómo distintas personas de un mismo barrio, a lo largo de muchos "
    "años, fueron construyendo entre todas una biblioteca, primero en una casa prestada, después "
    "en un local propio, y por fin en el edificio que hoy conocemos."
)


def sentences_of(text: str) -> list[str]:
    return re.split(r"(?<=[.!?…])\s+|(?<=[\u3002\uff01\uff1f\u0964\u061f\u06d4])\s*|\s*\n\s*", text)


def test_a_text_of_short_sentences_stays_as_it_is() -> None:
    text = "One.  Two, three!\nFour? \u4e00\u3002\u4e8c\u3002"

    assert in_shorter_sentences(text) == text


def test_a_long_sentence_is_cut_where_clauses_end() -> None:
    shorter = in_shorter_sentences(SPANISH)

    sentences = sentences_of(shorter)
    assert len(sentences) == 3
    assert all(len(sentence) <= MAX_SENTENCE for sentence in sentences)
    assert [sentence[-10:] for sentence in sentences] == [
        "gún punto.", "iblioteca.", "conocemos.",
    ]  # fmt: skip
    assert re.findall(r"\w+", shorter) == re.findall(r"\w+", SPANISH)


def test_without_clauses_it_is_cut_at_blanks() -> None:
    shorter = in_shorter_sentences("word " * 100)

    assert set(re.findall(r"\w+", shorter)) == {"word"}
    assert max(map(len, sentences_of(shorter))) <= MAX_SENTENCE


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("\u6587\u5b57" * 200, "\u3002"),
        ("\u6587\u5b57\u3001" * 200, "\u3002"),
        ("\u0e20\u0e32\u0e29\u0e32" * 100, "."),
    ],
)
def test_scripts_without_blanks_are_cut_as_well(text: str, stop: str) -> None:
    shorter = in_shorter_sentences(text)

    sentences = sentences_of(shorter)
    assert max(map(len, sentences)) <= MAX_SENTENCE + 1
    assert all(sentence.rstrip().endswith(stop) for sentence in sentences[:-1] if sentence)


def test_a_letter_keeps_its_marks() -> None:
    shorter = in_shorter_sentences("a\u0301" * 200)

    assert not re.search(r"[. ]\u0301", shorter)


@given(st.text(alphabet=st.sampled_from("ab ,.;\u2014\n\u3002\u6587\u0301"), max_size=1_000))
def test_no_words_are_lost_and_no_sentence_is_long(text: str) -> None:
    shorter = in_shorter_sentences(text)

    assert re.sub(r"[\W_]", "", shorter) == re.sub(r"[\W_]", "", text)
    assert all(len(sentence) <= MAX_SENTENCE + 1 for sentence in sentences_of(shorter))


def test_the_longest_text_stays_below_googles_limit() -> None:
    for unit in ("a", "word ", "word, ", "\u6587"):
        text = (unit * MAX_UTTERANCE_BYTES)[
            : MAX_UTTERANCE_BYTES // len(unit.strip()[-1:].encode())
        ]
        text = text.encode()[:MAX_UTTERANCE_BYTES].decode("utf-8", "ignore")

        assert len(in_shorter_sentences(text).encode()) <= 5_000
