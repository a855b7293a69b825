"""Whatever a model does and however it comes: nothing invented, nothing lost, no seam."""

import random
import re
from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from loadtests.llm_simulator.prose import answer_text, split_pieces
from streaming.continuing import PREFACE_CHARS, PROOF, WINDOW_CHARS, Join, last_words
from tests.streaming.harness import properties

# Few characters, so that texts repeat themselves all the time.
TEXTS = st.text("aB .:\n-我👩\u200d\u0301", max_size=60) | st.text(max_size=60)
WORDS = st.lists(st.sampled_from(["the ", "stream", " ", "\n", "ends", ". ", "我们", "-"])).map(
    "".join
)
SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=8)


def sliced(text: str, sizes: list[int]) -> list[str]:
    """Return the text in slices of these sizes, again and again."""
    pieces, start, turn = [], 0, 0
    while start < len(text):
        size = sizes[turn % len(sizes)]
        pieces.append(text[start : start + size])
        start, turn = start + size, turn + 1
    return pieces


def joined(written: str, pieces: list[str]) -> str:
    join = Join(written)
    return "".join([join.push(piece) for piece in pieces]) + join.flush()


@properties
@given(written=TEXTS | WORDS, new=TEXTS | WORDS, again=st.integers(0, 60), sizes=SIZES)
def test_what_is_appended_does_not_depend_on_the_deltas(
    written: str, new: str, again: int, sizes: list[int]
) -> None:
    new = written[-again:] + new if again else written + new

    assert joined(written, sliced(new, sizes)) == joined(written, [new])


@properties
@given(written=TEXTS | WORDS, new=TEXTS | WORDS, again=st.integers(0, 60), sizes=SIZES)
def test_what_is_cut_stands_at_the_end_of_the_written_text(
    written: str, new: str, again: int, sizes: list[int]
) -> None:
    new = written[-again:] + new if again else new

    appended = joined(written, sliced(new, sizes))

    assert new.endswith(appended)
    cut = new[: len(new) - len(appended)].strip()
    repeated = cut.partition("\n")[2].strip() if is_preface(cut.partition("\n")[0]) else cut
    if appended or len(cut) < 60:
        assert written.rstrip().endswith((cut, repeated))
    else:  # started over, and never came to an end
        assert written.strip().startswith(cut) or written.rstrip().endswith((cut, repeated))


def is_preface(line: str) -> bool:
    return line.startswith("```") or line.rstrip(" *_)]").endswith((":", "…", "..."))


@properties
@given(written=TEXTS | WORDS, new=TEXTS | WORDS, sizes=SIZES)
def test_what_is_held_back_is_bounded_or_stands_at_the_beginning(
    written: str, new: str, sizes: list[int]
) -> None:
    join, came, told = Join(written), "", ""

    for piece in sliced(written + new, sizes):
        came += piece
        told += join.push(piece)
        held = came[: len(came) - len(told)] if came.endswith(told) else came

        is_there = written.strip().startswith(came.strip()) or not told
        assert is_there or len(held) <= len(written) + WINDOW_CHARS + PREFACE_CHARS


@properties
@given(written=TEXTS | WORDS, new=TEXTS | WORDS, text=st.text())
def test_once_something_new_has_come_nothing_is_held_back_any_more(
    written: str, new: str, text: str
) -> None:
    join = Join(written)
    join.push(new)
    join.push("\n" + "Nothing of this was ever written before, nowhere and by nobody." * 3)

    assert join.push(text) == text
    assert join.flush() == ""


@properties
@given(TEXTS | WORDS)
def test_last_words_are_the_end_of_the_text(written: str) -> None:
    words = last_words(written)

    assert written.strip().endswith(words)
    assert bool(words) == bool(written.strip())


# --- whole answers, broken anywhere, continued in every way ---

ALPHABETS = (
    "abcdefghij",
    "абвгдежзик",
    "αβγδεζηθικ",
    "の言葉文章東京日本人",
    "אבגדהוזחטי",
    "कखगघङचछजझञ",
)


def an_answer(rng: random.Random) -> str:
    """Return prose with lists, tables, code and emoji; or words of any script, or code."""
    kind = rng.randrange(4)
    if kind < 2:
        return answer_text(f"{rng.random()}", tokens=rng.randint(2, 400))
    alphabet = rng.choice(ALPHABETS)
    words = [
        "".join(rng.choices(alphabet, k=rng.randint(1, 9)))
        + rng.choice(
            ["", "", "", ".", ",", "e\u0301", " 👩\u200d👧", ":", "()", "\n", "\n\n", ")\n    "]
        )
        for _ in range(rng.randint(2, 150))
    ]
    return rng.choice([" ", " ", "  ", "\n    "]).join(words)


def exactly(_written: str, rest: str, _rng: random.Random) -> str:
    return rest


def last_words_again(written: str, rest: str, rng: random.Random) -> str:
    starts = [match.start() for match in re.finditer(r"(?<!\S)\S", written)]
    return written[starts[-min(rng.randint(1, 12), len(starts))] :] + rest


def last_sentence_again(written: str, rest: str, _rng: random.Random) -> str:
    starts = [match.end() for match in re.finditer(r"^|[.!?:]\s+|\n\s*", written)]
    return written[max(start for start in starts if start < len(written)) :] + rest


def last_line_again(written: str, rest: str, _rng: random.Random) -> str:
    return written[written.rfind("\n") + 1 :] + rest


def as_asked(written: str, rest: str, _rng: random.Random) -> str:
    return last_words(written) + rest


def from_the_beginning(written: str, rest: str, _rng: random.Random) -> str:
    return written + rest


def with_a_line_first(written: str, rest: str, rng: random.Random) -> str:
    line = rng.choice(["Sure, here is the rest:\n\n", "…continued:\n", "```\n", "Of course...\n"])
    return line + last_line_again(written, rest, rng)


def weight(text: str) -> int:
    return sum(1 + ("\u3040" <= each <= "\u9fff") for each in text if each.isalnum())


def says_twice(text: str, end: str) -> bool:
    """Whether a text ends with something twice, with at most two white characters between."""
    if text[: len(text) - len(end)].rstrip().endswith(end):
        return True
    return any(
        len(end[:place].rstrip()) <= place
        and end.startswith(end[place:])
        and (place <= len(end) // 2 or end[len(end) - place : place].isspace())
        for place in range(1, min(len(end) // 2 + 2, len(end) - 1) + 1)
    )


def repeats_itself(written: str, rest: str) -> bool:
    """Whether an answer says after its break what it said before it."""
    rest = rest.lstrip()
    starts = [rest, *(line.lstrip() for line in [rest.partition("\n")[2]] if line)]
    return any(
        written.endswith(start[:count]) and sum(map(str.isalpha, start[:count])) > 1
        for start in starts
        for count in range(2, min(len(start), len(written)) + 1)
    )


Behaviour = Callable[[str, str, random.Random], str]

REPEATING: tuple[Behaviour, ...] = (
    last_words_again, last_sentence_again, last_line_again, as_asked, with_a_line_first,
)  # fmt: skip


def excuse(behave: Behaviour, written: str, rest: str, new: str) -> str | None:
    """Return why nobody could have joined these two, as far as that can be told."""
    if repeats_itself(written, rest):
        return "the answer repeats itself"
    said = new[: len(new) - len(rest)]
    if behave is with_a_line_first:
        said = said.partition("\n")[2]
    said = said.strip()
    if said and says_twice(written, said):
        return "what is repeated is there twice"
    if behave is exactly:
        return None
    if behave is from_the_beginning:
        return "hardly a letter" if sum(map(str.isalpha, said)) < 2 else None
    return "too little is repeated" if weight(said) < PROOF else None


def test_every_continuation_is_joined_without_a_seam_whatever_happens(runs: int) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for seed in range(runs):
        rng = random.Random(seed)  # noqa: S311  # seeded, so that a failure can be repeated
        whole = an_answer(rng)
        pieces = split_pieces(whole)
        cut = rng.randrange(1, len(whole)) if seed % 3 else len("".join(pieces[: len(pieces) // 2]))
        written = whole[:cut]
        if not written.strip():
            continue
        rest = whole[len(written.rstrip()) :]  # as the contract has it: from the last visible one
        for behave in (exactly, from_the_beginning, *REPEATING):
            new = behave(
                written.strip() if behave is from_the_beginning else written.rstrip(), rest, rng
            )
            sizes = [rng.choice([1, 2, 4, 9, 80]) for _ in range(9)]

            text = written + joined(written, sliced(new, sizes))

            reason = None if text == whole else excuse(behave, written.strip(), rest, new)
            assert text == whole or reason is not None, (
                seed,
                behave.__name__,
                written[-60:],
                new[:90],
            )
            seen[behave.__name__, reason or "joined"] += 1

    for behave, share in ((exactly, 0.99), (from_the_beginning, 0.98), (as_asked, 0.98)):
        of_it = {reason: count for (name, reason), count in seen.items() if name == behave.__name__}
        assert of_it["joined"] >= share * sum(of_it.values()), of_it
