"""What is said next, and when."""

from streaming.sentences import Sentence, SentenceKind
from streaming.speech.units import JOINED_CHARS, Unit, UnitPlanner


def a_planner(text: str = "") -> UnitPlanner:
    """Return a planner that says what it is given, but no code."""

    def say(kind: SentenceKind, words: str) -> str:
        return "" if kind == "code" else words.strip()

    return UnitPlanner(say, lambda start, end: text[start:end])


def heard(planner: UnitPlanner, text: str, *sentences: str, kind: SentenceKind = "text") -> None:
    """Let the planner hear parts of a text."""
    at = 0
    for index, sentence in enumerate(sentences):
        start = text.index(sentence, at)
        at = start + len(sentence)
        planner.add(index, Sentence(sentence, kind, start, at))


def all_units(planner: UnitPlanner, *, joined: bool = False) -> list[Unit]:
    """Return all that is left to say."""
    units = []
    while (unit := planner.next(joined=joined)) is not None:
        units.append(unit)
    return units


def test_each_sentence_is_a_unit_in_order() -> None:
    text = "One. Two. Three."
    planner = a_planner(text)
    heard(planner, text, "One.", "Two.", "Three.")

    assert all_units(planner) == [Unit(0, "One."), Unit(1, "Two."), Unit(2, "Three.")]


def test_what_says_nothing_is_no_unit_but_keeps_its_place() -> None:
    planner = a_planner()
    planner.add(0, Sentence("x = 1", "code", 0, 5))
    planner.add(1, Sentence("Done.", "text", 6, 11))

    assert all_units(planner) == [Unit(1, "Done.")]


def test_the_first_clause_is_said_before_its_sentence_has_ended() -> None:
    text = "When the morning comes over the hills, the birds begin to sing, softly."
    planner = a_planner(text)
    early = planner.early(0, text[:45], is_late=False)
    heard(planner, text, text)

    assert early == Unit(0, "When the morning comes over the hills,")
    assert all_units(planner) == [Unit(0, "the birds begin to sing, softly.")]


def test_nothing_is_said_early_of_a_short_beginning_unless_it_is_late() -> None:
    text = "When morning comes, "

    assert a_planner().early(0, text, is_late=False) is None
    assert a_planner().early(0, text, is_late=True) == Unit(0, "When morning comes,")


def test_only_the_first_sentence_is_begun_early() -> None:
    planner = a_planner()
    planner.add(0, Sentence("One.", "text", 0, 4))

    assert planner.early(5, "a" * 30 + ", " + "b" * 30, is_late=True) is None


def test_a_long_first_sentence_is_begun_with_its_first_clause() -> None:
    text = "When the morning comes over the hills, the birds begin to sing, and nobody sleeps."
    planner = a_planner(text)
    heard(planner, text, text)

    assert all_units(planner)[0].text == "When the morning comes over the hills,"


def test_short_sentences_of_a_paragraph_are_joined_where_there_is_time() -> None:
    text = "One. Two. Three.\nFour."
    planner = a_planner(text)
    heard(planner, text, "One.", "Two.", "Three.", "Four.")

    assert all_units(planner, joined=True) == [Unit(0, "One. Two. Three."), Unit(3, "Four.")]


def test_sentences_are_joined_up_to_a_length_only() -> None:
    sentence = "a" * 99 + "."
    text = " ".join([sentence] * 7)
    planner = a_planner(text)
    heard(planner, text, *[sentence] * 7)
    units = all_units(planner, joined=True)

    assert all(len(unit.text) <= JOINED_CHARS + 2 for unit in units)
    assert " ".join(unit.text for unit in units) == text


def test_another_kind_is_never_joined() -> None:
    planner = a_planner("One. two")
    planner.add(0, Sentence("One.", "text", 0, 4))
    planner.add(1, Sentence("two", "math", 5, 8))

    assert len(all_units(planner, joined=True)) == 2
