"""What is cut of a continued answer, case by case, and what is left alone."""

import pytest

from streaming.continuing import PREFACE_CHARS, STARTED_OVER, WINDOW_CHARS, Join, last_words

FOX = "The quick brown fox jumps over the lazy dog. Then it sle"
CODE = """\
Here it is:

```python
def total(items):
    count = 0
    for item in items:
        coun"""
REFRAIN = "Hit the road and don't come back\n"


def joined(written: str, new: str, size: int = 1) -> str:
    """Return what is appended of a text that comes in deltas of a size."""
    join = Join(written)
    pieces = [join.push(new[start : start + size]) for start in range(0, len(new), size)]
    return "".join(pieces) + join.flush()


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("written", "new", "appended"),
    [
        ("Hello", " world", " world"),
        (FOX, "pt.", "pt."),
        (FOX, "Then it slept.", "pt."),
        (FOX, "over the lazy dog. Then it slept.", "pt."),
        (FOX, f"{FOX}pt.", "pt."),
        (FOX, f"\n\n{FOX}pt.", "pt."),
        (FOX, f"Sure, here is the rest:\n\n{FOX}pt.", "pt."),
        (FOX, "…continued:\nlazy dog. Then it slept.", "pt."),
        (CODE, "t += item\n", "t += item\n"),
        (CODE, "        count += item\n", "t += item\n"),
        (CODE, "```python\n        count += item\n```", "t += item\n```"),
        (CODE, "    for item in items:\n        count += item\n", "t += item\n"),
        ("First.\n\n", "\n\nSecond.", "Second."),
        ("First.\n\n", "Second.", "Second."),
        ("First.\n", "\n\nSecond.", "\nSecond."),
        ("for it:\n", "\n    return it", "    return it"),
        ("First sentence here.\n\n", "First sentence here.\n\nSecond.", "Second."),
        ("It", "It was tested.", " was tested."),
        ("Title\n\nIt", "It was tested.", " was tested."),
        ("我们可以一起学习汉语", "我们可以一起学习汉语吧。", "吧。"),
        ("今天天气很好。我们可以一起学习", "我们可以一起学习汉语。", "汉语。"),
        ("ภาษาไทยเขียนโดยไม่มีช่องว่าง", "เขียนโดยไม่มีช่องว่างระหว่างคำ", "ระหว่างคำ"),
        ("Look at the family here: 👨\u200d👩", "\u200d👧 and go.", "\u200d👧 and go."),
        ("Look at this family: 👨\u200d👩", "at this family: 👨\u200d👩\u200d👧!", "\u200d👧!"),
        ("First. It is a prot", "protocol.", "ocol."),
        ("First. I know that", "that it is so.", " it is so."),
        ("\n\nHi\nyou.", "Hi\nyou. All", " All"),
        ("", " as it comes", " as it comes"),
        ("  \n", "  \nHello", "Hello"),
    ],
)
def test_what_is_there_already_is_cut(written: str, new: str, appended: str, size: int) -> None:
    assert joined(written, new, size) == appended


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("written", "new"),
    [
        ("What is the", " the for?"),  # a word is no proof
        ("over and", " and over"),
        ("I said no, no, no,", " no, no!"),
        ("Ha ha ha ha ha ha ha ha", " ha ha ha ha ha ha ha"),
        (REFRAIN * 3, REFRAIN + "end"),  # says it again and again: who knows how often
        ("It is over there", " there it is"),
        ("First.\nYes it\n", "Yes it is"),  # a short line may well be said twice
        ("First.\nlet", " let it be"),
        (FOX, "It sleeps now\nover the lazy dog. Then it slept."),  # no line of chatter
        ("Cafe\u0301 means cafe\u0301 au lait dans la", "\u0301 au lait dans la tasse"),
        ("une cafe\u0301terie tout en longueur", "terie tout en longueur aussi"),
        ("=" * 40, "=" * 40 + "\nTitle"),
        ("    }\n", "    }\n}\n"),
        ("1, 10, 100, 1000, 10000, 10000", "0, 1000000"),
        ("A bon", "bon is sweet."),
        ("pre", "preview"),  # not even three letters of the last word: see GLUED_PROOF
        ("x precarious", "carious words"),  # "carious" is no word of the text
        ("The answer is known to everyone here", " and known to everyone here as well"),
        ("Now e", "\u0301te, c'est"),
        ("A flag 🇪", "🇺 waves"),
        ("谢谢", "谢谢你。"),
        ("Sure, it", "Note: this\nis new"),
        ("All of it. ", "Here is the rest:\n\nAnd something else."),
        ("Done", ""),
    ],
)
def test_what_is_not_proved_to_be_there_is_left_alone(written: str, new: str, size: int) -> None:
    if new in ("preview", "谢谢你。"):
        written = f"A line before, which makes it no whole text: {written}"

    assert joined(written, new, size) == new


def test_text_that_repeats_itself_where_it_broke_off_loses_the_repetition() -> None:
    assert joined(REFRAIN, REFRAIN + "no more", 5) == "no more"


def test_an_answer_in_other_words_is_appended_whole() -> None:
    other = "In other words, a fast animal leaps across a sleepy one."

    assert joined(FOX, other) == other


def test_after_the_decision_a_push_returns_its_argument() -> None:
    join = Join(FOX)
    assert join.push("Then it slept") == "pt"

    text = " for a while"
    assert join.push(text) is text
    assert join.flush() == ""


def test_an_exact_continuation_comes_within_a_word_or_two() -> None:
    join = Join(FOX)

    assert join.push("pt") + join.push(" on") == "pt on"


def test_of_an_answer_that_starts_over_nothing_is_told_until_it_says_something_new() -> None:
    written = "".join(f"Sentence {number} of this answer. " for number in range(5_000))
    join = Join(written)

    for start in range(0, len(written) - 1, 4):
        assert join.push(written[start : min(start + 4, len(written) - 1)]) == ""

    assert join.push(" And more.") == "And more."
    assert not join.started_over


def test_an_answer_that_starts_over_and_leaves_its_own_words_is_told_whole() -> None:
    written = FOX * 3
    start = written[:140]
    join = Join(written)

    said = join.push(start) + join.push("other words")

    assert said == start + "other words"
    assert join.started_over
    assert join.push("!") == "!"


def test_other_words_from_the_start_are_not_recognised_as_starting_over() -> None:
    join = Join(FOX * 3)

    join.push("The quick brown cat sits on the mat.")
    join.flush()

    assert not join.started_over


def test_an_answer_that_started_over_and_broke_off_again_adds_nothing() -> None:
    assert joined(FOX * 3, (FOX * 3)[:90]) == ""
    assert joined(FOX, FOX) == ""
    assert joined(FOX, "over the lazy dog. Then it sle") == ""
    assert joined(f"{FOX}pt. But later {FOX}", FOX) == ""  # from one of two places
    assert joined(FOX + "\n\n", "\n") == ""
    assert joined(FOX + "\n \n", FOX + "\n") == ""


@pytest.mark.parametrize(
    ("written", "new", "appended"),
    [
        ("I", "I'd suggest three steps.", "'d suggest three steps."),
        ("¿", "¿Y qué pasa?", "Y qué pasa?"),
        ("¿Y", "¿Y qué pasa?", " qué pasa?"),
        ("“", "“No”, she said.", "No”, she said."),
        ("I", " think so.", " think so."),
        ("1", "1 is prime.", "1 is prime."),
        ("*", "*bold** text", "*bold** text"),
        ("**", "**bold** text", "bold** text"),
        ("**", "bold** text", "bold** text"),
        ("- **", "- **bold** text", "bold** text"),
        ("1. ***", "1. ***bold*** text", "bold*** text"),
        ("```", "```python\nprint()", "python\nprint()"),
    ],
)
def test_an_answer_that_broke_off_at_its_first_letter_begins_once(
    written: str, new: str, appended: str
) -> None:
    assert joined(written, new) == appended
    assert joined(written, new, size=1000) == appended


def test_an_answer_that_starts_over_with_the_words_that_it_broke_off_at_adds_nothing_old() -> None:
    refrain = "According to the documentation both forms are valid."
    between = " She closed the laptop, took her coat and went home. "
    whole = f"{refrain}{between}{refrain} The formula is simple."
    written = whole[: len(refrain) * 2 + len(between)]
    for length in range(STARTED_OVER + 20, len(written) + 1):
        assert joined(written, whole[:length]) == ""
    assert joined(written, whole) == " The formula is simple."


def test_an_end_that_only_looks_like_a_repetition_is_told() -> None:
    assert joined("Yes. Is that so? ", "Yes.") == "Yes."
    assert joined("One more line to sing. And a last one. ", "One more line") == "One more line"
    verse = "A verse that is sung more than once, and that has more than sixty letters in it, "
    assert joined(f"{verse}one. {verse}two. ", f"{verse}two") == f"{verse}two"
    assert joined("Done. ", "Sure, here") == "Sure, here"
    assert joined("Done. ", "Note:\n") == "Note:\n"


def test_what_is_held_back_is_bounded() -> None:
    part = "".join(f"{number} bottles, " for number in range(2_000))
    written = f"A beginning. {part}"
    join = Join(written)

    # Repeats the text from a place too far from its end, and for long.
    start = len("A beginning. ")
    pieces = [join.push(written[place : place + 5]) for place in range(start, start + 4_000, 5)]

    assert len("".join(pieces)) >= 4_000 - WINDOW_CHARS
    join = Join("x")
    assert len(join.push("\n" * (WINDOW_CHARS + 1)) + join.push("\n")) > WINDOW_CHARS
    assert Join("x y").push("N" * (PREFACE_CHARS + 1)) == "N" * (PREFACE_CHARS + 1)


@pytest.mark.parametrize(
    "written", [FOX, CODE, FOX * 50, "今天天气很好。" + "我们可以一起学习汉语。" * 2 + "好"]
)
def test_last_words_are_an_end_that_is_recognised(written: str) -> None:
    words = last_words(f"{written}\n")

    assert written.endswith(words)
    assert joined(written, f"{words} and on") == " and on"
    assert joined(f"Before. {written}", f"{words} and on") == " and on"


def test_last_words_are_few() -> None:
    assert last_words(FOX) == "jumps over the lazy dog. Then it sle"
    assert last_words("Too short") == "Too short"
    assert len(last_words("ha " * 1_000)) <= WINDOW_CHARS
    assert last_words("   ") == ""
    song = "Sung twice, " + "la " * 20
    assert last_words(song) == song.removeprefix("Sung ").rstrip()  # "la la" proves nothing
