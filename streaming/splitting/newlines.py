"""The rule for a newline inside text: the end of a unit, unless the line is plainly wrapped.

In chats a newline ends what stands before it (headings, items, verses, short lines). Only a long
line without a stop, or one that ends with a word no sentence ends with, goes on, and only if
what follows agrees.
"""

import re

from streaming.splitting.answers import WAIT, Verdict, Window, no, split
from streaming.splitting.characters import BLANKS, NEWLINES
from streaming.splitting.lookbehind import word_before

_LONG_LINE = 40
_ITEM_INDENT = 2
_INDENT = re.compile(rf"[{BLANKS}]{{0,24}}(?:>[ \t]?){{0,3}}")
_MARKUP = re.compile(r"[*_`\"'\u201c\u2018(\[]{0,3}")
_LETTER_MARK = re.compile(r"[a-z]{1,4}[.)](?:\s|\Z)")
_LETTER_MARK_BEGUN = re.compile(r"[a-z]{1,4}[.)]?\Z")
_NUMBER_MARK = re.compile(r"\d{1,9}[.)]|[-+*\u2022]\s|#|```|~~~|\|")
_NUMBER_MARK_BEGUN = re.compile(r"(?:\d{1,9}|[-+*]|`{1,2}|~{1,2})\Z")
_STOPPED = ".!?:;\u2026\u3002\uff01\uff1f|"


def newline(window: Window, index: int) -> Verdict:
    """Judge the newline at `index`."""
    text = window.text
    after = index + 1
    if text[index] == "\r":
        if after == len(text) and not window.is_final:
            return WAIT
        after += text.startswith("\n", after)
    kept = _kept_end(window, index)
    joins = not window.is_heading and _may_go_on(window, index, kept)
    if not joins:
        return split(kept)
    goes_on = _goes_on(window, after, index, kept)
    if goes_on is None:
        return WAIT
    return no(after) if goes_on else split(kept)


def _kept_end(window: Window, index: int) -> int:
    """Return where the line ends without the blanks before its newline."""
    end = index
    while end > window.start and window.text[end - 1].isspace():
        end -= 1
    return end


def _may_go_on(window: Window, index: int, kept: int) -> bool:
    """Return whether the line may be wrapped, judged from the line alone."""
    text = window.text
    if kept <= window.start or index - kept > 1:  # two blanks are a line break in Markdown
        return False
    last = text[kept - 1]
    if last == "\\" or text[window.start].islower():
        return False
    is_long = index - window.line >= _LONG_LINE
    if last == ".":
        return is_long
    if last in _STOPPED:
        return False
    return last == "," or is_long or _is_item(window) or _ends_open(window, kept)


def _is_item(window: Window) -> bool:
    """Return whether the unit starts with a list marker; its next line may be indented."""
    return _NUMBER_MARK.match(window.text, window.start) is not None


def _ends_open(window: Window, kept: int) -> bool:
    """Return whether the line ends with a word that no sentence ends with."""
    word = word_before(window, kept)
    return bool(word) and word.lower() in window.table_at(kept).connectors


def _goes_on(window: Window, after: int, index: int, kept: int) -> bool | None:
    """Return whether the next line continues the sentence; None while that cannot be told."""
    text = window.text
    is_open = _ends_open(window, kept)
    is_short = index - window.line < _LONG_LINE and text[kept - 1] != "," and not is_open
    found = _INDENT.match(text, after)
    here = found.end() if found else after
    if here == len(text):
        return False if window.is_final else None
    if text[here] in NEWLINES or (is_short and here - after < _ITEM_INDENT):
        return False
    found = _MARKUP.match(text, here)
    first = found.end() if found else here
    if first == len(text):
        return False if window.is_final else None
    if text[first].islower():
        return _unless(window, here, _LETTER_MARK, _LETTER_MARK_BEGUN)
    if not is_open or not text[first].isalnum():
        return False
    return _unless(window, here, _NUMBER_MARK, _NUMBER_MARK_BEGUN)


def _unless(window: Window, at: int, mark: re.Pattern[str], begun: re.Pattern[str]) -> bool | None:
    """Return True unless an item's mark stands at `at`; None while one could come to be."""
    if not window.is_final and begun.match(window.text, at):
        return None
    return mark.match(window.text, at) is None
