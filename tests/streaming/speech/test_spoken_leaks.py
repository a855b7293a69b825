"""Nothing that is only for the eye is said: of answers, of any text, of hostile ones."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streaming import sentences
from streaming.sentences import Sentence, SentenceKind
from streaming.speech.spoken import SpokenText
from tests.streaming.speech.leaks import LEAKS, leaks

pytestmark = pytest.mark.long

properties = settings(deadline=None, derandomize=True)

Unit = tuple[SentenceKind, str]

VECTORS = Path(__file__).parents[2] / "vectors"
ANSWERS = json.loads((VECTORS / "spoken.json").read_text("utf-8"))["answers"]
CORPORA = [VECTORS / f"sentences_{domain}.json" for domain in ("chat", "web", "prose")]
LANGUAGES = ["en", "de", "zh", "ja", "ar", "hi"]
KINDS: list[SentenceKind] = ["text", "code", "table", "math", "rule"]
MAX_CPU_S = 10.0
"""For 100,000 characters, of which some 0.3 s are needed; what is quadratic takes minutes."""

_FENCE = r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)"
_BLOCK = re.compile(rf"({_FENCE}|\$\$.*?\$\$|(?m:^\|.*\|$\n?)+)", re.DOTALL)


def by_line(text: str) -> Iterator[Unit]:
    """Yield an answer's blocks and lines: a rough splitter that depends on nothing."""
    for part in _BLOCK.split(text):
        if part.startswith(("```", "~~~")):
            yield "code", part
        elif part.startswith(("$$", "|")):
            yield ("math" if part[0] == "$" else "table"), part
        else:
            yield from (("text", line) for line in part.split("\n"))


def whole(text: str) -> Iterator[Unit]:
    """Yield an answer as if it were one sentence."""
    yield "text", text


def by_clause(text: str) -> Iterator[Unit]:
    """Yield an answer cut after each mark that a clause may end with."""
    for kind, unit in by_line(text):
        pieces = re.split(r"(?<=[,;:—.] )", unit) if kind == "text" else [unit]
        yield from ((kind, piece) for piece in pieces)


class Splitter(Protocol):
    """What is used of the splitter."""

    def push(self, text: str) -> list[Sentence]: ...

    def flush(self) -> list[Sentence]: ...


NEW_SPLITTER: Callable[[], Splitter] | None = vars(sentences).get("SentenceSplitter")
"""None while it is not written yet."""


def by_sentence(text: str) -> Iterator[Unit]:
    """Yield an answer as the splitter cuts it."""
    assert NEW_SPLITTER is not None
    splitter = NEW_SPLITTER()
    for sentence in (*splitter.push(text), *splitter.flush()):
        yield sentence.kind, sentence.text


CUTS: list[Callable[[str], Iterator[Unit]]] = [by_line, whole, by_clause]
if NEW_SPLITTER is not None:
    CUTS.append(by_sentence)


@contextmanager
def cpu_bounded(limit_s: float) -> Iterator[None]:
    """Raise if a block uses more processor time; how busy the machine is does not matter."""

    def stop(*_: object) -> None:
        raise AssertionError(f"More than {limit_s} s of processor time.")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: ascii(answer["text"])[:40])
def test_nothing_leaks_from_an_answer(
    answer: dict[str, str], cut: Callable[[str], Iterator[Unit]]
) -> None:
    spoken = SpokenText(answer["language"])

    said = [spoken.say(kind, text) for kind, text in cut(answer["text"])]

    assert any(said)
    assert {unit: found for unit in said if (found := leaks(unit))} == {}


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.stem)
def test_nothing_leaks_from_the_splitters_texts(corpus: Path) -> None:
    leaked = {}
    for answer in json.loads(corpus.read_text("utf-8")):
        spoken = SpokenText(answer["language"])
        for unit in answer["units"]:
            said = spoken.say(unit["kind"], unit["text"])
            if leaks(said):
                leaked[said] = leaks(said)

    assert leaked == {}


# fmt: off
MARKUP = st.sampled_from([
    *"[]()<>*_`~#|!&;:/.-=+^$\\{}\"'\n ,?@%0129abwxW", "http", "https://", "www.", "amp;", "&lt;",
    "&#60;", "&amp;", "&#x26;", "&#xf0000;", "x@a.b", "<b>", "</b>", "<a b=c>", "<think>",
    "</think>", "<!--", "-->", "<think", "<sup>1</sup>", "->", "**", "``", "[1]", "](", "](u)",
    "![", "[^a]", "(see [1])", "【", "1†", "】", "$$", "`a`", "\\(", "\\)", "\\[", "\\]",
    "\\begin{a}", "\\end{a}", "\\frac", "^2", "👩", "🏽", "\u200d", "🇩", "\ufe0f", "\u20e3", "→",
    "✅", "\ue000", "\U000f0000", "\ud800", "文", "。", "ن", "\u200c", "\t", "a_b", "\x1b[",
    "\u2028", "\u202e", "\x00", "\U0001d5d5", "ⅷ", "½", "한",
])
# fmt: on
ANY_TEXT = st.text(st.characters(exclude_categories=[])) | st.lists(MARKUP).map("".join)


@properties
@given(st.lists(st.tuples(st.sampled_from(KINDS), ANY_TEXT)), st.sampled_from(LANGUAGES))
@example([("text", "&`amp;`")], "en")
@example([("text", "ht`tp`://x"), ("text", "ww`w.`x"), ("text", "<`b`>")], "en")
def test_nothing_leaks_from_any_text(units: list[Unit], language: str) -> None:
    spoken = SpokenText(language)

    said = [spoken.say(kind, text) for kind, text in units]

    assert [leaks(unit) for unit in said] == [[] for _ in units]
    again = SpokenText(language)
    assert said == [again.say(kind, text) for kind, text in units]


# fmt: off
HOSTILE = [
    *"[]<>*_`&(){}!~$\\#|@/.,:;?^=+-—\"' \n\t%aé文🎉→•", "![", "](", "](a", "](a(", "](<",
    '](x "', "][", "[[", "[a]: ", "[1]", "[1,", "[^", "[^1]: ", "【", "【1†", "(see ", "(see [1]",
    "(see [1], ", "[cite_", "([1]" + " [1]" * 40, ":contentReference[", "<sup>1", "<|", "<a,",
    "<a ", "<a b=", "<a b=c ", "<a b='", "<a1>", "</a1>", "<!", "<!--", "<think>", "</think>",
    "<style>", "<think>,",
    "&amp;", "&#1", "&a", "a@", "a.", "a-", "a.com/", "www.", "http://", "https://a.b/(", ":/",
    "://", "$a", "$a ", "$1 ", "\\(", "\\[", "\\]\\[", "\\begin{a}", "\\a", "a\\", "^2", "a^2 ",
    "_a", "*a", "- ", "\n- a", "a\n", "> ", "# ", " #", "1. ", "- [ ] ", "| ", " | ", "```````",
    "`a ``b ", "`a", "x<", "x>", "<=", ">=", "->", "a * ", "2*", "~5", "a~", "x ** 2 ", "a b=",
    "==a", "= ", "-—", "- -", " ,", ", ", "(,", "( ", " .", ". ", "?!", ":a", ":a_", ":a:", " · ",
    "→ ", "a_", "( )", "\u200d", "👩\u200d", "🇩", "1\ufe0f\u20e3", "\ue200", "\u200c", "\x1b[",
    "\x1b[1", "\U0001d5d5",
]
# fmt: on


@pytest.mark.parametrize("part", HOSTILE, ids=ascii)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        *(pytest.param(*frame, marks=pytest.mark.long) for frame in (("a", ""), ("a ", " b"))),
    ],
)
def test_a_hundred_thousand_signs_cost_no_more_than_as_many_letters(
    part: str, before: str, after: str
) -> None:
    text = before + (part * (100_000 // len(part))) + after

    with cpu_bounded(MAX_CPU_S):
        said = SpokenText().say("text", text)

    assert leaks(said) == []


@pytest.mark.parametrize("name", LEAKS)
def test_the_checker_finds_what_would_leak(name: str) -> None:
    seen = {
        "back-tick": "a `b`", "asterisk": "a **b**", "emphasis": "__a__", "bracket": "see [1]",
        "address": "http://a.b", "heading": "# a", "table": "a | b", "tag or comparison": "<b>",
        "entity": "a &amp; b", "formula": "\\(x", "invisible": "a\u200d", "emoji": "a 🎉",
        "blanks": "a  b", "nothing": "—",
    }  # fmt: skip

    assert name in leaks(seen[name])
    assert leaks("It's 5 – 6 €, “sure” (50 %): a/b & c, AT&T… me@a.b?") == []  # noqa: RUF001
