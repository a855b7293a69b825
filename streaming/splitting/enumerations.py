"""The rule for lists that run on in one line: «1. one 2. two», «a) one b) two», «• one • two».

Only the expected next mark, in the style of the one the unit starts with, is believed.
"""

import re

from streaming.splitting.answers import UNKNOWN, WAIT, Verdict, Window, no, split
from streaming.splitting.lookahead import CARELESS, read_beyond, read_word
from streaming.splitting.lookbehind import starts_lower

_FIRST = re.compile(r"\(?(\d{1,3}|[a-z])(\.\)|[.)])(?=\s)")
_MARK = re.compile(r"(?<=[ \u00a0])\(?(\d{1,3}|[a-z])\Z")
_MAX_MARK = 6
_EYES = ":;-"
_BEFORE = " \u00a0("


def next_item(window: Window, index: int) -> Verdict:
    """Judge the `.` or `)` at `index`: it ends the unit before its number if it marks an item.

    The verdict «no» resumes at `index` itself: another rule has yet to judge it.
    """
    text = window.text
    if index == window.start or not _may_mark(text, index):
        return no(index)
    low = max(window.start, index - _MAX_MARK)
    mark = _MARK.search(text[low:index])
    first = _FIRST.match(text, window.start) if mark else None
    if mark is None or first is None or not _follows(first[1], mark[1]):
        return no(index)
    style = first[2]
    end = index + len(style)
    if end >= len(text) and not window.is_final:
        return WAIT
    if text[index:end] != style or not window.has(end) or not text[end].isspace():
        return no(index)
    before = low + mark.start()
    return split(window.start + len(text[window.start : before].rstrip()))


def _may_mark(text: str, index: int) -> bool:
    """Return whether a number or a letter on its own stands before `index`; cheap."""
    return text[index - 1].isdecimal() or (text[index - 1].isalpha() and text[index - 2] in _BEFORE)


def _follows(first: str, mark: str) -> bool:
    if first.isdigit() != mark.isdigit():
        return False
    return int(mark) == int(first) + 1 if mark.isdigit() else ord(mark) == ord(first) + 1


def bracket(window: Window, index: int) -> Verdict:
    """Judge a closing bracket: «2)» may begin the next item of a list, «:)» end a sentence."""
    if index > window.start + 1 and window.text[index - 1] in _EYES:
        return _smile(window, index)
    verdict = next_item(window, index)
    return no(index + 1) if verdict == no(index) else verdict


def _smile(window: Window, index: int) -> Verdict:
    """Judge «:)» where a stop may be missing: an end before a word that opens sentences.

    Before a small one only where sentences start small.
    """
    end = index + 1
    beyond = read_beyond(window, end)
    if beyond is None:
        return WAIT
    tail, following = beyond
    if following is None or tail > end or not following.first.isalpha():
        return no(end)
    is_small = not following.first.isupper()
    if is_small and not starts_lower(window):
        return no(end)
    word = read_word(window, following.at)
    if word is None:
        return WAIT
    known = CARELESS if is_small else window.table_at(index).openers
    return split(end) if word in known else no(end)


def bullet(window: Window, index: int) -> Verdict:
    """Judge a bullet within a line: it ends a unit that began with the same bullet."""
    text = window.text
    is_item = (
        window.start != UNKNOWN
        and index > window.start
        and text[window.start] == text[index]
        and text[index - 1].isspace()
    )
    if not is_item:
        return no(index + 1)
    return split(window.start + len(text[window.start : index].rstrip()))
