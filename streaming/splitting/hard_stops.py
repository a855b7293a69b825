"""The rule for stops that need no blank behind them: `。`, danda, `؟` and their like.

Also the two ASCII marks that are full stops or question marks in one script only: the Armenian
colon and the Greek semicolon.
"""

import re

from streaming.splitting.answers import UNKNOWN, WAIT, Verdict, Window, no, split
from streaming.splitting.characters import HARD_STOPS
from streaming.splitting.lookahead import read_tail
from streaming.splitting.lookbehind import in_code_span

_RUN = re.compile(rf"[{HARD_STOPS}!?.\u2026\u203c\u2047-\u2049]{{1,24}}")
_PAIRS = (
    ("\u300c", "\u300d"),
    ("\u300e", "\u300f"),
    ("\uff08", "\uff09"),
    ("\u300a", "\u300b"),
    ("\u201c", "\u201d"),
)
_MAX_QUOTE = 80
_CLOSING = "\u300d\u300f\u201d\uff09"
_HIRAGANA = re.compile("[\u3041-\u309f]")
_REPORT = re.compile(
    "[\u4e00-\u9fff]{0,3}?[\u8bf4\u8aaa\u95ee\u554f\u9053\u558a\u53eb\u7b54\u7b11]"
)
_REPORT_BEGUN = re.compile(r"[\u4e00-\u9fff]{1,3}\Z")
_ARMENIAN = re.compile(r"[\u0531-\u0587][\W_]*\Z")
_GREEK = re.compile(r"[\u0370-\u03ff\u1f00-\u1fff][\u00bb\"')]*\Z")
_NEAR = 6
_KHMER_ETC = "\u179b\u17d4"


def hard_stop(window: Window, index: int) -> Verdict:
    """Judge the run of hard stops that begins at `index`."""
    text = window.text
    found = _RUN.match(text, index)
    end = found.end() if found else index + 1
    if end == len(text) and not window.is_final:
        return WAIT
    if in_code_span(window, index) or _is_decimal_point(window, index, end):
        return no(end)
    tail = read_tail(window, end)
    if tail == UNKNOWN or _may_be_khmer_etc(window, tail):
        return WAIT
    tail = _before_opening(window, end, tail)
    if text.startswith(_KHMER_ETC, tail) or _is_quoted(window, index, text[end:tail]):
        return no(end)
    if any(mark in _CLOSING for mark in text[end:tail]):
        return _after_quote(window, end, tail)
    return split(tail)


def _before_opening(window: Window, end: int, tail: int) -> int:
    """Return where the tail ends if a quote in it opens what follows: no blank tells it apart."""
    text = window.text
    curly = text.find("\u201c", end, tail)
    straight = text.find('"', end, tail)
    if straight != -1 and text.count('"', window.start, straight) % 2:
        straight = -1
    opened = [at for at in (curly, straight) if at != -1]
    return min(opened, default=tail)


def _is_decimal_point(window: Window, index: int, end: int) -> bool:
    """Return whether a full width full stop stands before a digit, as in «3.14»."""
    text = window.text
    return text[index] == "\uff0e" and end < len(text) and text[end].isalnum()


def _may_be_khmer_etc(window: Window, at: int) -> bool:
    is_begun = window.has(at) and not window.has(at + 1) and window.text[at] == _KHMER_ETC[0]
    return is_begun and not window.is_final


def _is_quoted(window: Window, index: int, closers: str) -> bool:
    """Return whether a near quote or bracket is still open behind the stop, or it ends a title."""
    if "\u300b" in closers:
        return True
    low = max(window.start, index - _MAX_QUOTE)
    for opening, closing in _PAIRS:
        opened = window.text.rfind(opening, low, index)
        if opened > window.text.rfind(closing, low, index) and closing not in closers:
            return True
    return False


def _after_quote(window: Window, end: int, tail: int) -> Verdict:
    """Judge a stop inside a closed quote: the words that report it belong to its sentence."""
    text = window.text
    if _HIRAGANA.match(text, tail) or _REPORT.match(text, tail):
        return no(end)
    if not window.is_final and _REPORT_BEGUN.match(text, tail):
        return WAIT
    return split(tail)


def script_stop(window: Window, index: int) -> Verdict:
    """Judge a colon (the Armenian full stop) or semicolon (the Greek question mark)."""
    text = window.text
    script = _ARMENIAN if text[index] == ":" else _GREEK
    if not script.search(text[max(window.start, index - _NEAR) : index]):
        return no(index + 1)
    tail = read_tail(window, index + 1)
    if tail == UNKNOWN:
        return WAIT
    is_end = not window.has(tail) or text[tail].isspace()
    return split(tail) if is_end and not in_code_span(window, index) else no(index + 1)
