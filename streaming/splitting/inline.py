"""The inline layer: what may end a sentence, and the rule to ask of each."""

import re
from collections.abc import Callable, Mapping

from streaming.splitting.answers import UNKNOWN, WAIT, Verdict, Window, no, split
from streaming.splitting.characters import BULLETS, HARD_STOPS, NEWLINES, SOFT_STOPS
from streaming.splitting.enumerations import bracket, bullet, next_item
from streaming.splitting.hard_stops import hard_stop, script_stop
from streaming.splitting.lookbehind import in_code_span
from streaming.splitting.newlines import newline
from streaming.splitting.stops import stop

_TICKS = re.compile("`{1,24}")
_THAI_PARTICLE = re.compile(
    "(?:\u0e04\u0e23\u0e31\u0e1a|\u0e04\u0e48\u0e30|\u0e04\u0e30|\u0e08\u0e49\u0e30)\\Z"
)
_THAI_CLAUSE = 140

_MARKS = re.escape(SOFT_STOPS + HARD_STOPS + NEWLINES + BULLETS + "`):;")
# What is sure to end nothing is passed over here, which is cheaper than to ask a rule: a full stop
# with a letter or sign behind it, a bracket that closes no item and no smile, a Latin colon.
# One class stands first, as the search is then fast.
_IS_OPEN = (
    r"(?:(?<![.:;)])|(?<=\.)(?![a-z0-9,/\\@#$%&=|;:-])(?:(?![A-Z])|(?<=[^\W\d_A-Z]{3}.))|(?<=[:;])(?<![A-Za-z0-9].)"
    r"|(?<=[\d:;-]\))|(?<=[ \u00a0(][^\W\d_]\)))"
)
Search = Callable[..., re.Match[str] | None]  # of a pattern
CANDIDATE = re.compile(f"[{_MARKS}]{_IS_OPEN}")
# Scripts without stops: their sentences are parted by blanks.
CANDIDATE_OR_BLANK = re.compile(f"[{_MARKS} ]{_IS_OPEN}")


def _dot(window: Window, index: int) -> Verdict:
    if not window.has(index + 1) and not window.is_final:
        return WAIT
    verdict = next_item(window, index)
    return stop(window, index) if verdict == no(index) else verdict


def _ticks(window: Window, index: int) -> Verdict:
    """Open or close an inline code span; nothing ends here."""
    text = window.text
    found = _TICKS.match(text, index)
    end = found.end() if found else index + 1
    if end == len(text) and not window.is_final:
        return WAIT
    if not in_code_span(window, index):
        if index > window.start and text[index - 1].isalnum():
            return no(end)  # no code begins in a word; in Armenian it is a kind of comma
        window.code_span, window.code_ticks = index, end - index
    elif end - index == window.code_ticks:
        window.code_span = UNKNOWN
    return no(end)


def _blank(window: Window, index: int) -> Verdict:
    """Judge a blank in Thai or Lao: an end behind a polite particle, or of a long clause."""
    text = window.text
    is_thai = index > window.start and "\u0e00" <= text[index - 1] <= "\u0eff"
    if not is_thai:
        return no(index + 1)
    is_polite = _THAI_PARTICLE.search(text[max(window.start, index - 6) : index])
    return split(index) if is_polite or index - window.start > _THAI_CLAUSE else no(index + 1)


# The rule for each sign a candidate begins with.
RULES: Mapping[str, Callable[[Window, int], Verdict]] = (
    dict.fromkeys(SOFT_STOPS, stop)
    | dict.fromkeys(HARD_STOPS, hard_stop)
    | dict.fromkeys(NEWLINES, newline)
    | dict.fromkeys(BULLETS, bullet)
    | {".": _dot, "`": _ticks, ")": bracket, ":": script_stop, ";": script_stop, " ": _blank}
)
