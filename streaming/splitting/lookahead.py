"""What follows a candidate: closers, citations and emoji of its sentence, then the next word.

Every reader answers `UNKNOWN` or None («wait») while more text could change what it read. Every
run is bounded, so that look-ahead and cost are, on any input.
"""

import re
from typing import NamedTuple

from streaming.splitting.answers import UNKNOWN, Window
from streaming.splitting.characters import (
    BLANKS,
    CLOSERS,
    DASHES,
    EMOJI,
    NEWLINES,
    OPENERS,
)  # fmt: skip

_CITATION = r"\[\^?\d{1,3}(?:[,\u2013-] ?\d{1,3}){0,4}\]|\u3010[^\u3011\s]{1,20}\u3011"
_EMOTICON = r"[:;=]['-]?[)(DPp3]{1,8}(?!\w)"
_TAIL = re.compile(
    rf"(?:[{re.escape(CLOSERS)}{EMOJI}\u00b9\u00b2\u00b3\u2070-\u2079]|</?[a-zA-Z]{{1,10}} ?/?>"
    rf"|{_CITATION}){{0,16}}"
    rf"(?:[ \u00a0\u202f]{{1,2}}(?:[{EMOJI}]{{1,16}}|{_CITATION}|{_EMOTICON}|[\u00bb](?!\w))"
    rf"[{re.escape(CLOSERS)}]{{0,4}}){{0,4}}"
)
# What the tail could still take in if the text went on.
_TAIL_BEGUN = re.compile(
    r"[ \u00a0\u202f]{0,2}(?:\[\^?[\d, \u2013-]{0,24}|\u3010[^\u3011\s]{0,20}|</?[a-zA-Z]{0,10} ?/?"
    r"|[:;=]['-]?[)(DPp3]{0,8}|\u00bb)?\Z"
)
_GAP = re.compile(rf"[{BLANKS}]{{0,24}}")
_OPENING = re.compile(
    rf"(?:[{DASHES}]{{1,3}}[ \u00a0]?)?(?:\.{{3}}|\u2026)?"
    rf"(?:[{re.escape(OPENERS)}][ \u00a0\u202f]?){{0,6}}"
)
_WORD = re.compile(r"[^\W_][\w'\u2019-]{0,14}")

# The English «I» and its contractions: a capital that says nothing about a beginning.
I_FORMS = frozenset(
    ["i", *(f"i{mark}{rest}" for mark in "'\u2019" for rest in ("m", "d", "ll", "ve"))]
)

# English words that begin sentences, and hardly go on with one, also where typed carelessly.
CARELESS = frozenset([
    "he", "she", "it", "it's", "they", "we", "you", "this", "that", "there", "then", "but",
    "so", "my", "his", "her", "their", "what", "how", "why", "that's", "there's", "he's", "she's",
    "we're", "they're", "you're", "these", "those", "who", "when", "where", "if", "maybe",
    "please", "thanks", "lol", "don't", "can't", "didn't", "isn't", "just", "also", "never",
])  # fmt: skip

_KOREAN_REPORT = ("\ub77c", "\ud558", "\uace0")

_MAX_WORD = 15
_ELLIPSIS_CHARS = 3


class Next(NamedTuple):
    """The first word behind a gap, or the newline or the end that is there instead.

    Attributes:
        at: Index of its first letter, digit or sign.
        first: That character; a newline if the line ends, "" if the text does.
        opening: Dashes, quotes, brackets, markup or dots that stand before it.
    """

    at: int
    first: str
    opening: str


def read_tail(window: Window, at: int) -> int:
    """Return where closers, citations, emoji and closing markup behind a stop end, or UNKNOWN."""
    text = window.text
    found = _TAIL.match(text, at)
    end = found.end() if found else at
    if not window.is_final and (end == len(text) or _TAIL_BEGUN.match(text, end)):
        return UNKNOWN
    return end


def read_next(window: Window, at: int) -> Next | None:
    """Return what follows from `at` on, or None while that cannot be told."""
    text = window.text
    found = _GAP.match(text, at)
    here = found.end() if found else at
    if here == len(text):
        return Next(here, "", "") if window.is_final else None
    if text[here] in NEWLINES:
        return Next(here, "\n", "")
    found = _OPENING.match(text, here)
    word = found.end() if found else here
    if not window.is_final and (word == len(text) or _may_be_dots(text, word)):
        return None
    first = text[word] if word < len(text) else ""
    return Next(word, "\n" if first and first in NEWLINES else first, text[here:word])


def read_beyond(window: Window, end: int) -> tuple[int, Next | None] | None:
    """Read what is behind a stop that ends at `end`; None: wait.

    Returns:
        Where the tail ends, and what follows it, None if that stands there without a gap.
    """
    near = window.text[end : end + 2]
    # The usual cases: a newline, or a blank and a letter.
    if near[:1] in {"\n", " "} and (near[0] == "\n" or near[1:].isalpha()):
        return end, Next(end, "\n", "") if near[0] == "\n" else Next(end + 1, near[1], "")
    tail = read_tail(window, end)
    if tail == UNKNOWN:
        return None
    if window.has(tail) and not window.text[tail].isspace():
        return tail, None
    following = read_next(window, tail)
    if following is None:
        return None
    if following.first in _KOREAN_REPORT and tail > end:
        return tail, None  # «"…" said»: the particle belongs to the quote before it
    return tail, following


def _may_be_dots(text: str, at: int) -> bool:
    """Return whether what is there could become an ellipsis before the next word."""
    return (
        text[at] == "."
        and not text[at : at + _ELLIPSIS_CHARS].strip(".")
        and (len(text) - at <= _ELLIPSIS_CHARS)
    )


def read_word(window: Window, at: int) -> str | None:
    """Return the whole word at `at` in lower case, at most 15 characters; None: wait."""
    found = _WORD.match(window.text, at)
    if found is None:
        return ""
    end = found.end()
    if end == len(window.text) and end - at < _MAX_WORD and not window.is_final:
        return None
    return found[0].lower()
