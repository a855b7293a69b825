"""The first line of a table without edges: it is one only if a delimiter row stands below it.

`Size | Chest` is text until `---|---` follows. So what ends with a line that holds a bar is not
given out before the next line has shown that it is no delimiter row.
"""

import re

from streaming.splitting.answers import WAIT, Verdict, Window, split, table
from streaming.splitting.characters import BLANKS, NEWLINES

_MOST_BLANKS = 24
_GAP = re.compile(rf"[{BLANKS}]{{0,{_MOST_BLANKS}}}")
_LINE = re.compile(f"[^{NEWLINES}]*\\Z")
_INDENT = re.compile(r"[ \t]{0,24}(?:>[ \t]{0,3}){0,8}")
_LONGEST = 400
_SIGNS = re.compile(rf"[-:| \t]{{0,{_LONGEST}}}")
_CELL = r"[ \t]{0,24}:?-{1,99}:?[ \t]{0,24}"
_DELIMITER = re.compile(rf"\|?(?:{_CELL}\|){{1,99}}(?:{_CELL})?[ \t]{{0,24}}")


def unless_head_row(window: Window, end: int) -> Verdict:
    """Return the answer that the unit ends at `end`, unless its last line heads a table."""
    text = window.text
    bar = text.rfind("|", window.start, end)
    if bar == -1 or window.is_heading:
        return split(end)
    found = _GAP.match(text, end)
    here = found.end() if found else end
    if here == len(text):
        return split(end) if window.is_final else WAIT
    if text[here] not in NEWLINES:
        return split(end)
    line = _line_start(window, end)
    if bar < line:
        return split(end)
    below = _is_above_delimiter(window, here)
    if below is None:
        return WAIT
    return table(line) if below else split(end)


def _line_start(window: Window, end: int) -> int:
    """Return where the line that ends at `end` starts, or its unit if that starts in it."""
    line = _LINE.search(window.text, window.start, end)
    start = line.start() if line else window.start
    while start < end and window.text[start] in " \t":
        start += 1
    return start


def _is_above_delimiter(window: Window, newline: int) -> bool | None:
    """Return whether a delimiter row stands below the line; None while that cannot be told."""
    text = window.text
    after = newline + 1
    if text[newline] == "\r":
        if after == len(text) and not window.is_final:
            return None
        after += text.startswith("\n", after)
    indent = _INDENT.match(text, after)
    row = indent.end() if indent else after
    signs = _SIGNS.match(text, row)
    end = signs.end() if signs else row
    if end - row >= _LONGEST:
        return _DELIMITER.match(text, row) is not None
    if end == len(text) and not window.is_final:
        return None
    is_whole = end == len(text) or text[end] in NEWLINES
    return is_whole and _DELIMITER.fullmatch(text, row, end) is not None
