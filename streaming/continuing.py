"""Joins an answer that broke off and what a model then says to go on from it.

A model that is asked to go on with an answer (`Prompt.prefix`) does one of these:

1. It goes on after the last visible character, with or without the white space that follows there.
2. It repeats the last words, line or sentence, and goes on.
3. It begins at the beginning, word for word, and goes on past the place where the answer broke.
4. It says a line first ("Here is the rest:") or opens the code block again, then does 2 or 3.
5. It answers anew in other words; then nothing can be joined, and the text is appended.

Nothing is invented, and nothing is cut but what is proved to be there already. A repetition is
proved when it ends where the written text ends, begins at the start of a word, and

- has `PROOF` letters and digits ("the" after "the" is no repetition but a word); or
- is all of the written text, with a letter or nothing but opening marks ("¿", "(", a quote, or
  Markdown's of bold and code, maybe in a list), or all of its last line, with at least two
  letters; or
- would glue two words together ("the quick bro" and "quick brown"), with `GLUED_PROOF` letters;

and, marks apart, the end of the written text does not say it twice: after "ha ha ha" one more is
no surprise.
The longest such repetition is cut. White space where the parts meet is not doubled. A text that
does repeat itself where it broke off cannot be told from a model that repeats it, and loses that.
"""

import re
from collections.abc import Callable, Iterator
from unicodedata import category

PROOF = 12
"""Letters and digits that a repetition must have; one of Chinese, Japanese or Korean is two."""

GLUED_PROOF = 4
"""Letters that are enough where the parts would otherwise make one word."""

WINDOW_CHARS = 1_000
"""How far from the end a repetition may begin, but for one of everything from the beginning.

So much is held back at most, and only while it is, character for character, a text that stands
there; of a repetition from the beginning nothing is held but the place.
"""

PREFACE_CHARS = 120
"""The longest first line that may be chatter."""

STARTED_OVER = 60
"""Letters and digits at the beginning which, repeated, show that a model has started over."""

_ANCHOR = 2 * PROOF
_SPACE_BETWEEN = 2  # white characters between a thing and its repetition
_LETTER = re.compile(r"[^\W\d_]")
_LETTERS = re.compile(r"[^\W\d_].*?[^\W\d_]", re.DOTALL)
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_SYLLABLE = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
# Han, kana and the scripts of South-East Asia: no blanks between words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_JOINERS = "\u200d\ufe0e\ufe0f\u20e3\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_OPENING = "\u00bf\u00a1\"'"
# What opens something in Markdown and, doubled, nothing: no "*", as "*" may be half of "**".
_MARKUP = re.compile(r"(?:(?:[-*+>]|#{1,6}|\d{1,9}[.)])\s+)*(?:\*{2,3}|_{2,3}|~~|`{3,})")
_PREFACE = re.compile(r"```[\w+#.-]*\s*|.*(?:[:\uff1a\u2026]|\.\.\.)[*_)\]]*\s*")


class Join:
    """Makes of a continued answer what is to be appended to the text so far.

    What is held back comes out of a later `push`, or of `flush`. All pushes together take time in
    proportion to the text; once the beginning is understood, a push returns its argument.

    Args:
        written: The text so far. White space at its end may come again: it is not doubled.

    Attributes:
        started_over: Whether the model began as the written text begins (`STARTED_OVER` letters
            and more, exactly) and then went on in other words. What the pushes have returned is
            then a whole answer of its own. A model that used other words from the start is not
            recognised.
        has_repeated: Whether it said what was there already, and that was left out.
    """

    __slots__ = (
        "_before", "_gap", "_is_decided", "_preface", "_repetition", "_stage", "_written",
        "has_repeated", "started_over",
    )  # fmt: skip

    def __init__(self, written: str) -> None:
        self._written = written.strip()
        self._gap = written[len(written.rstrip()) :]
        self._preface = ""
        self._before = ""  # white space before what is compared
        self._repetition = _Repetition(self._written)
        # Not bound: what holds itself waits for a collection.
        self._stage: Callable[[Join, str], str] = Join._skip_space
        self._is_decided = not written
        self.started_over = False
        self.has_repeated = False

    def push(self, text: str) -> str:
        """Return what may be appended now."""
        return text if self._is_decided else self._stage(self, text)

    def flush(self) -> str:
        """Return what is still to be appended; the model has finished.

        Not asked where it broke off again: what is held back then stands there already, or comes
        again from whoever goes on.

        Of an answer that started over and ended before it came to anything new, nothing is.
        """
        if self._is_decided:
            return ""
        text = self._end()
        self._is_decided = True
        return text

    def _end(self) -> str:
        if self._stage is Join._close_gap:
            return ""
        if self._stage is Join._hear_preface:
            return self._close_gap(self._preface)
        repetition = self._repetition
        repetition.end()
        self.has_repeated = repetition.is_proved or repetition.begins_anew
        if repetition.is_proved:
            return self._close_gap(repetition.rest)
        if repetition.begins_anew:
            return ""
        return self._close_gap(self._preface + self._before + repetition.rest)

    def _skip_space(self, text: str) -> str:
        self._before += text
        compared = self._before.lstrip()
        if not compared and len(self._before) <= WINDOW_CHARS:
            return ""
        self._before = self._before[: len(self._before) - len(compared)]
        self._repetition.is_glued = not (self._preface or self._before or self._gap)
        self._repetition.line_starts = "\n" not in self._gap and self._before == self._indent()
        self._stage = Join._compare
        return self._compare(compared)

    def _indent(self) -> str:
        line = self._written[self._written.rfind("\n") + 1 :]
        return line[: len(line) - len(line.lstrip())]

    def _compare(self, text: str) -> str:
        repetition = self._repetition
        if not repetition.feed(text):
            return ""
        if repetition.is_proved:
            self.has_repeated = True
            return self._close_gap(repetition.rest)
        self.started_over = self.started_over or repetition.begins_anew
        said = self._preface + self._before + repetition.rest
        if not self._preface and _may_be_preface(said):
            self._stage = Join._hear_preface
            return self._hear_preface(said)
        return self._close_gap(said)

    def _hear_preface(self, text: str) -> str:
        self._preface += text
        line, newline, rest = self._preface.partition("\n")
        if not newline and len(line) <= PREFACE_CHARS:
            return ""
        if not newline or not _PREFACE.fullmatch(line):
            return self._close_gap(self._preface)
        self._preface = line + newline
        self._repetition = _Repetition(self._written)
        self._stage = Join._skip_space
        return self._skip_space(rest)

    def _close_gap(self, text: str) -> str:
        """Leave out white space that ends the written text; decide once it can be told."""
        self._before = text if self._stage is not Join._close_gap else self._before + text
        self._stage = Join._close_gap
        held = self._before
        if len(held) < len(self._gap) and self._gap.startswith(held):
            return ""
        self._is_decided = True
        return held[_common(held, self._gap) :]


class _Repetition:
    """Follows a text for as long as it repeats the written one from some place on.

    Places are tried from the first on, so that the longest repetition is found; each is tried
    once. What has come is not kept: it is the written text, `_length` characters from `_start`.
    """

    __slots__ = (
        "_length", "_start", "_written", "begins_anew", "is_glued", "is_proved", "line_starts",
        "rest",
    )  # fmt: skip

    def __init__(self, written: str) -> None:
        self._written = written
        self._start = 0
        self._length = 0
        self.is_glued = False  # whether letters meet letters if nothing is cut
        self.line_starts = False  # whether the text is indented as the last line is
        self.is_proved = False
        self.begins_anew = False
        self.rest = ""  # what has come and repeats nothing

    def feed(self, text: str) -> bool:
        """Take more text; return whether all is known: `is_proved` and `rest`."""
        end = self._start + self._length
        if len(text) < len(self._written) - end and self._written.startswith(text, end):
            self._length += len(text)
            return False
        return self._settle(self._written[self._start : end] + text, is_all=False)

    def end(self) -> None:
        """Take what has come for all there is: now all is known."""
        came = self._written[self._start : self._start + self._length]
        if self._start == 0 and _weight(came) >= STARTED_OVER:
            self.begins_anew = True  # whatever shorter repetition its first words may be as well
        else:
            self._settle(came, is_all=True)
            self.begins_anew = False

    def _settle(self, came: str, *, is_all: bool) -> bool:
        for start in self._starts(came):
            count = len(self._written) - start
            if count > len(came):
                if is_all:
                    continue
                self._start, self._length = start, len(came)
                return False
            if self._is_proof(count):
                self.is_proved, self.rest = True, came[count:]
                return True
        self.rest = came
        return True

    def _starts(self, came: str) -> Iterator[int]:
        """Yield the places from which the written text and this one are alike, from the first."""
        written = self._written
        if self._start == 0 and written:
            if written.startswith(came) or came.startswith(written):
                yield 0
            common = written[: _common(came[:WINDOW_CHARS], written[:WINDOW_CHARS])]
            self.begins_anew = _weight(common) >= STARTED_OVER
        for start in range(max(self._start, len(written) - WINDOW_CHARS, 1), len(written)):
            if written[start] != came[:1] or not _begins_word(written, start):
                continue
            if written.startswith(came[: len(written) - start], start):
                yield start

    def _is_proof(self, count: int) -> bool:
        written = self._written
        repeated = written[-count:]
        if count == len(written) and _MARKUP.fullmatch(repeated):
            return True
        if _says_twice(written, repeated):
            return False
        if count == len(written) and (_LETTER.search(repeated) or _only_opens(repeated)):
            return True
        is_line = self.line_starts and repeated == written[written.rfind("\n") + 1 :].lstrip()
        if is_line and _LETTERS.search(repeated, 0, WINDOW_CHARS):
            return True
        if self.is_glued and _is_spaced(written[-1]) and _is_spaced(repeated[0]):
            return len(_LETTER.findall(repeated)) >= GLUED_PROOF
        return _weight(repeated[:WINDOW_CHARS]) >= PROOF


def last_words(written: str) -> str:
    """Return the shortest end of a text that, once repeated, is surely seen to be a repetition.

    Of a text that has no such end, because it is short or says the same again and again, it is
    what `WINDOW_CHARS` allow.
    """
    shown = written.strip()
    first = max(0, len(shown) - WINDOW_CHARS)
    for start in range(len(shown) - PROOF, first, -1):
        if not _begins_word(shown, start) or not _may_be_first(shown[start - 1 : start + 1]):
            continue
        words = shown[start:]
        if _weight(words) >= _ANCHOR and not _says_twice(shown, words):
            return words
    return shown[first:]


def _begins_word(text: str, place: int) -> bool:
    """Whether a word, or what else may be read by itself, begins at a place that is not 0."""
    before, first = text[place - 1], text[place]
    if first in _JOINERS or category(first)[0] == "M" or before == "\u200d":
        return False  # within what is shown as one character
    if _UNSPACED.match(before) or _UNSPACED.match(first):
        return True
    return not first.isalnum() or not (before.isalnum() or category(before)[0] == "M")


def _may_be_first(pair: str) -> bool:
    """Whether the second of two characters can begin what is quoted: no comma, no half a name."""
    return not pair[1].isspace() and (pair[0].isspace() or bool(_UNSPACED.fullmatch(pair[1])))


def _weight(text: str) -> int:
    """Return how much a text says: punctuation, indentation and emoji are nothing."""
    return len(_LETTER_OR_DIGIT.findall(text)) + len(_SYLLABLE.findall(text))


def _only_opens(text: str) -> bool:
    """Whether nothing but marks have come that stand before words, and are not doubled there."""
    return all(each in _OPENING or category(each) in {"Ps", "Pi"} for each in text)


def _is_spaced(character: str) -> bool:
    """Whether it is a letter of a script that has blanks between words."""
    return character.isalpha() and not _UNSPACED.match(character)


def _says_twice(written: str, end: str) -> bool:
    """Whether a text says its end twice in a row, or the end itself is a thing said twice."""
    stop = len(written) - len(end)
    while stop and written[stop - 1].isspace():
        stop -= 1
    if written.endswith(end, 0, stop):
        return True
    periods = range(1, min(len(end) // 2 + _SPACE_BETWEEN, WINDOW_CHARS, len(end) - 1) + 1)
    return any(_has_period(end, period) for period in periods)


def _has_period(text: str, period: int) -> bool:
    if not text.startswith(text[period : period + _SPACE_BETWEEN + 1]):
        return False  # nearly always, and at no cost
    between = text[len(text) - period : period]  # two that do not touch have only blanks between
    return text.startswith(text[period:]) and (not between or between.isspace())


def _may_be_preface(text: str) -> bool:
    """Whether a text begins as a sentence, a block of code or an ellipsis does, as far as known."""
    if any(mark.startswith(text[:3]) for mark in ("```", "...", "\u2026")):
        return True
    return text[0] == "\u2026" or (text[0].isalpha() and not text[0].islower())


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    alike = (place for place, (a, b) in enumerate(pairs) if a != b)
    return next(alike, min(len(one), len(other)))
