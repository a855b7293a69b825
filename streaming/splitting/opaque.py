"""Blocks nobody looks into: each knows how to find its own end, line by line.

A block keeps no text. `advance` looks at every character once: it moves `window.scan` over what
it has seen, and the text before `scan` may then be taken away.
"""

import re
from typing import Literal, Protocol

from streaming.splitting.answers import UNKNOWN, Window

BlockKind = Literal["text", "code", "table", "math", "rule"]

_LINE_END = re.compile(r"\r\n|\n|\r(?=[^\n])")
_ROW_HEAD = re.compile(r"[ \t]{0,24}(?:>[ \t]?){0,8}[ \t]{0,24}")
_MAX_TICKS = 64
# What ends a table without edges: a heading, a fence, an item.
_BLOCK = re.compile(r"#{1,6}[ \t]|`{3}|~{3}|[-*+][ \t]{1,4}[^|\s:-]")
_BLOCK_BEGUN = re.compile(r"(?:#{1,6}|`{1,2}|~{1,2}|[-*+][ \t]{0,4})\Z")


class Opaque(Protocol):
    """A block whose inside is not cut."""

    @property
    def kind(self) -> BlockKind:
        """What its unit is."""

    def advance(self, window: Window) -> int:
        """Return where the block ends, or UNKNOWN after moving `scan` over what is inside."""


def _next_line(window: Window) -> bool:
    """Move `scan` to the head of the next line; False while that has not begun."""
    found = _LINE_END.search(window.text, window.scan)
    if found:
        window.scan = found.end()
        return True
    # A final \r could still become \r\n.
    window.scan = max(window.scan, len(window.text) - window.text.endswith("\r"))
    return False


class Fence:
    """Code between fences. An end is a line of at least as many of the same marks.

    Args:
        mark: A back-tick or a tilde.
        count: How many opened it.
        is_quoted: It stands in a block quote, and ends with it.
    """

    kind: BlockKind = "code"

    def __init__(self, mark: str, count: int, *, is_quoted: bool) -> None:
        head = r"[ \t]{0,24}(?:>[ \t]?){0,8}[ \t]{0,24}"
        self._end = re.compile(rf"{head}{mark}{{{count},{_MAX_TICKS}}}[ \t]{{0,24}}(?=[\r\n]|\Z)")
        self._end_begun = re.compile(rf"{head}{mark}{{0,{_MAX_TICKS}}}[ \t]{{0,24}}\Z")
        self._is_quoted = is_quoted
        self._at_head = False

    def advance(self, window: Window) -> int:
        while True:
            if not self._at_head and not _next_line(window):
                return UNKNOWN
            self._at_head = True
            if not window.is_final and self._end_begun.match(window.text, window.scan):
                return UNKNOWN
            found = self._end.match(window.text, window.scan)
            if found:
                return found.end()
            if self._is_quoted and not _is_quoted(window):
                return window.scan
            self._at_head = False


def _is_quoted(window: Window) -> bool:
    """Return whether the line at `scan` belongs to a block quote."""
    return window.text[window.scan : window.scan + 24].lstrip(" \t").startswith(">")


class Rows:
    """A table: it ends before the first line that is no row.

    Args:
        has_edges: Its rows begin with a bar; else it ends with the first line that is blank or
            begins a block of another kind.
        is_quoted: It stands in a block quote, and ends with it.
    """

    kind: BlockKind = "table"

    def __init__(self, *, has_edges: bool, is_quoted: bool = False) -> None:
        self._has_edges = has_edges
        self._is_quoted = is_quoted
        self._at_head = False

    def advance(self, window: Window) -> int:
        while True:
            if not self._at_head and not _next_line(window):
                return UNKNOWN
            self._at_head = True
            found = _ROW_HEAD.match(window.text, window.scan)
            first = found.end() if found else window.scan
            if first == len(window.text):
                return UNKNOWN
            is_row = self._is_row(window, first)
            if is_row is None:
                return UNKNOWN
            if not is_row:
                return window.scan
            self._at_head = False

    def _is_row(self, window: Window, first: int) -> bool | None:
        """Return whether the line whose first sign is at `first` is a row; None: wait."""
        text = window.text
        if text[first] in "\r\n":
            return False
        if self._has_edges:
            return text[first] == "|"
        if self._is_quoted and not _is_quoted(window):
            return False
        if not window.is_final and _BLOCK_BEGUN.match(text, first):
            return None
        return _BLOCK.match(text, first) is None


class Span:
    """A block that ends with a mark: maths, HTML that is no prose, thoughts.

    Args:
        kind: What its unit is.
        end: Pattern of the mark.
        longest: Characters of the longest mark.
        stops: Signs behind the mark that belong to it.
    """

    def __init__(self, kind: BlockKind, end: str, longest: int, stops: str = "") -> None:
        self.kind = kind
        self._end = re.compile(end, re.IGNORECASE)
        self._longest = longest
        self._stops = stops

    def advance(self, window: Window) -> int:
        text = window.text
        found = self._end.search(text, window.scan)
        if found is None:
            window.scan = max(window.scan, len(text) - self._longest + 1)
            return UNKNOWN
        end = found.end()
        if not self._stops:
            return end
        if end == len(text):
            window.scan = found.start()
            return end if window.is_final else UNKNOWN
        return end + 1 if text[end] in self._stops else end


class Rule:
    """A line across the page; it ends with its line."""

    kind: BlockKind = "rule"

    def advance(self, window: Window) -> int:
        found = re.compile(r"[\r\n]").search(window.text, window.scan)
        if found:
            return found.start()
        window.scan = len(window.text)
        return UNKNOWN
