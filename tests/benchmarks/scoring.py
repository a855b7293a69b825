"""Compares boundaries, in one way for every segmenter.

A boundary is the end of a unit. Two ends are the same boundary when only white space, closing or
opening quotes and brackets, emoji or emphasis marks stand between them: whether an emoji or a quote
mark goes left or right is not what is examined. A list marker, a digit of a citation, a dash or a
stop does count: cut before `[1]` is not cut after it.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Self

from tests.benchmarks.gold import OPAQUE, GoldText, spans

# So and Sk are pictures and skin tones, Me and Cf join inside an emoji; P* are quotes and brackets.
_WITHOUT_WEIGHT = frozenset(
    {"Zs", "Zl", "Zp", "Cc", "Cf", "Me", "So", "Sk", "Ps", "Pe", "Pi", "Pf"}
)
_MARKS = frozenset("\"'`*_~>\ufe0e\ufe0f")


def carries_weight(char: str) -> bool:
    """Return whether a boundary before this character differs from one after it."""
    return char not in _MARKS and unicodedata.category(char) not in _WITHOUT_WEIGHT


class Ruler:
    """Turns offsets of one text into boundaries: how many characters with weight stand before."""

    def __init__(self, text: str) -> None:
        self._before = [0, *accumulate(map(carries_weight, text))]

    @property
    def end(self) -> int:
        """Return the boundary at the end of the text."""
        return self._before[-1]

    def at(self, offset: int) -> int:
        """Return the boundary at an offset."""
        return self._before[offset]

    def all_at(self, offsets: Iterable[int]) -> frozenset[int]:
        """Return the boundaries at some offsets; the start of the text is none."""
        return frozenset(map(self.at, offsets)) - {0}


@dataclass(slots=True)
class Score:
    """Counts of boundaries; per cent are 100 where nothing was to be found or said."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def __iadd__(self, other: Self) -> Self:
        self.right += other.right
        self.wrong += other.wrong
        self.missed += other.missed
        return self

    @property
    def precision(self) -> float:
        """Return how many of the boundaries said are right, in per cent."""
        return _percent(self.right, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Return how many of the marked boundaries were said, in per cent."""
        return _percent(self.right, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Return the harmonic mean of precision and recall, in per cent."""
        return _percent(2 * self.right, 2 * self.right + self.wrong + self.missed)


@dataclass(slots=True)
class Verdict:
    """How one segmenter did on one text, or on many.

    Attributes:
        inner: All boundaries but the end of the text, which nobody can miss.
        whole: With the end of the text.
        paragraph: Only boundaries that are not at a blank line.
        inside_opaque: Boundaries within a code, table or maths unit.
    """

    inner: Score = field(default_factory=Score)
    whole: Score = field(default_factory=Score)
    paragraph: Score = field(default_factory=Score)
    inside_opaque: int = 0

    def __iadd__(self, other: Self) -> Self:
        self.inner += other.inner
        self.whole += other.whole
        self.paragraph += other.paragraph
        self.inside_opaque += other.inside_opaque
        return self


class Key:
    """The marked boundaries of one text, to examine any number of segmenters with."""

    def __init__(self, text: GoldText) -> None:
        self.ruler = Ruler(text.text)
        marked = spans(text)
        self.optional = self.ruler.all_at(one.end for one in marked if one.unit.optional)
        self.wanted = self.ruler.all_at(one.end for one in marked) - self.optional
        opaque = [one for one in marked if one.unit.kind in OPAQUE]
        self._opaque = [(self.ruler.at(one.start), self.ruler.at(one.end)) for one in opaque]
        self._at_blank_line = self.ruler.all_at(_blank_lines(text.text))

    def examine(self, ends: Sequence[int]) -> Verdict:
        """Return how well units that end at these offsets match."""
        said = self.ruler.all_at(ends)
        last = frozenset({self.ruler.end})
        return Verdict(
            inner=self._score(said, without=last),
            whole=self._score(said, without=frozenset()),
            paragraph=self._score(said, without=last | self._at_blank_line),
            inside_opaque=sum(a < one < b for one in said for a, b in self._opaque),
        )

    def _score(self, said: frozenset[int], *, without: frozenset[int]) -> Score:
        said = said - self.optional - without
        wanted = self.wanted - without
        return Score(len(said & wanted), len(said - wanted), len(wanted - said))


def _blank_lines(text: str) -> Iterable[int]:
    at = text.find("\n\n")
    while at >= 0:
        yield at
        at = text.find("\n\n", at + 1)


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 100.0
