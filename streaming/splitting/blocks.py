"""The block layer: what begins at the head of a line.

Divergences from CommonMark, on purpose: an indented line is no code (nested lists are indented
as deep), a list item or heading is plain text with its marker, and a setext underline is a rule.
"""

import re
from typing import NamedTuple

from streaming.splitting.answers import Window
from streaming.splitting.characters import NEWLINES
from streaming.splitting.opaque import Fence, Opaque, Rows, Rule, Span

_QUOTE = re.compile(r"(?:>[ \t]{0,3}){0,8}")
_HEADING = re.compile(r"#{1,6}(?=\s|\Z)")
_NUMBER = re.compile(r"\d{1,3}[.)][ \t]{1,4}")
_NUMBER_BEGUN = re.compile(r"\d{1,3}(?:[.)][ \t]{0,4})?\Z")
_ITEM = re.compile(r"[-*+][ \t]{1,4}")
_RULE = re.compile(r"([-*_=\u2e3b\u2500\u2501\u2550])(?:[ \t]{0,3}\1){0,63}[ \t]{0,24}")
_FEWEST = {"=": 2, "\u2e3b": 1}
_MOST = 64
_FENCE = re.compile(r"`{1,24}|~{1,24}")
_SHORTEST_FENCE = 3
_INFO = re.compile(r"[^`\r\n]{0,120}")
_MAX_ROW = 400
_FEWEST_BARS = 3
_ALIGNED = re.compile(r":-{1,24}:?[ \t]{0,8}\|")
_ALIGNED_BEGUN = re.compile(r":(?:-{1,24}(?::?[ \t]{0,8})?)?\Z")
_BEGIN = re.compile(r"\\begin\{([a-z]{1,16}\*?)\}")
_BEGIN_BEGUN = re.compile(r"\\(?:b(?:e(?:g(?:i(?:n(?:\{[a-z]{0,16}\*?)?)?)?)?)?)?\Z")
_TAG = re.compile(r"<(!--|[a-z]{1,10})", re.IGNORECASE)
_TAG_BEGUN = re.compile(r"<(?:!-?|[a-z]{0,10})\Z", re.IGNORECASE)
_CODE_TAGS = frozenset(["pre", "script", "style"])
_THOUGHT_TAGS = frozenset(["think", "thinking", "thought", "reasoning"])
_MATHS_STOPS = ".,;:"


class Head(NamedTuple):
    """What a line begins.

    Args:
        block: The block nobody looks into, or None where text begins.
        body: Index behind the block's opening mark.
        is_heading: The text ends with its line.
        is_quoted: The line is in a block quote.
    """

    block: Opaque | None
    body: int
    is_heading: bool = False
    is_quoted: bool = False


def read_head(window: Window) -> Head | None:
    """Return what begins at `window.scan`, the first sign of a line; None: wait for more."""
    text = window.text
    found = _QUOTE.match(text, window.scan)
    body = found.end() if found else window.scan
    if body == len(text):
        return Head(None, body) if window.is_final else None
    is_quoted = body > window.scan
    first = text[body]
    if first.isdecimal():
        return _numbered(window, body, is_quoted)
    read = _READERS.get(first)
    return Head(None, body, is_quoted=is_quoted) if read is None else read(window, body, is_quoted)


def _numbered(window: Window, body: int, is_quoted: bool) -> Head | None:
    found = _NUMBER.match(window.text, body)
    if not window.is_final and _NUMBER_BEGUN.match(window.text, body):
        return None
    return _content(window, found.end() if found else body, is_quoted)


def _content(window: Window, at: int, is_quoted: bool) -> Head | None:
    """Return what stands behind a list marker: a fence, or text."""
    if window.has(at) and window.text[at] in "`~":
        return _fence(window, at, is_quoted)
    return Head(None, at, is_quoted=is_quoted)


def _heading(window: Window, body: int, is_quoted: bool) -> Head | None:
    found = _HEADING.match(window.text, body)
    if found and found.end() == len(window.text) and not window.is_final:
        return None
    return Head(None, body, is_heading=found is not None, is_quoted=is_quoted)


def _rule(window: Window, body: int, is_quoted: bool) -> Head | None:
    """Return a rule, a list item or text that starts with emphasis."""
    text = window.text
    found = _RULE.match(text, body)
    end = found.end() if found else body
    if end == len(text) and not window.is_final:
        return None
    if text[body] == "-" and text.startswith(
        "|", end
    ):  # the row below the head of a table without edges
        return Head(Rows(has_edges=False, is_quoted=is_quoted), end, is_quoted=is_quoted)
    first = text[body]
    marks = text.count(first, body, end)
    is_whole = end == len(text) or text[end] in NEWLINES
    if marks >= _MOST or (is_whole and marks >= _FEWEST.get(first, 3)):
        return Head(Rule(), end, is_quoted=is_quoted)
    item = _ITEM.match(text, body)
    return _content(window, item.end() if item else body, is_quoted)


def _fence(window: Window, body: int, is_quoted: bool) -> Head | None:
    text = window.text
    found = _FENCE.match(text, body)
    end = found.end() if found else body
    if end == len(text) and not window.is_final:
        return None
    if end - body < _SHORTEST_FENCE:
        return Head(None, body, is_quoted=is_quoted)
    if text[body] == "`":
        info = _INFO.match(text, end)
        line_end = info.end() if info else end
        if line_end == len(text) and not window.is_final:
            return None
        if text.startswith("`", line_end):  # a code span that happens to open a line
            return Head(None, body, is_quoted=is_quoted)
    return Head(Fence(text[body], end - body, is_quoted=is_quoted), end, is_quoted=is_quoted)


def _row(window: Window, body: int, is_quoted: bool) -> Head | None:
    """Return a table if the line ends with a bar or holds three; «|x| < 1» is text."""
    text = window.text
    line = re.compile(rf"[^\r\n]{{1,{_MAX_ROW}}}").match(text, body)
    end = line.end() if line else body
    if end == len(text) and end - body < _MAX_ROW and not window.is_final:
        return None
    row = text[body:end].rstrip()
    if (len(row) > 1 and row.endswith("|")) or row.count("|") >= _FEWEST_BARS:
        return Head(Rows(has_edges=True), end, is_quoted=is_quoted)
    return Head(None, body, is_quoted=is_quoted)


def _aligned(window: Window, body: int, is_quoted: bool) -> Head | None:
    """Return a table if the line is «:--- | ---:»."""
    if not window.is_final and _ALIGNED_BEGUN.match(window.text, body):
        return None
    block = (
        Rows(has_edges=False, is_quoted=is_quoted) if _ALIGNED.match(window.text, body) else None
    )
    return Head(block, body, is_quoted=is_quoted)


def _dollars(window: Window, body: int, is_quoted: bool) -> Head | None:
    if not window.has(body + 1) and not window.is_final:
        return None
    if window.text.startswith("$$", body):
        return Head(Span("math", r"\$\$", 2, _MATHS_STOPS), body + 2, is_quoted=is_quoted)
    return Head(None, body, is_quoted=is_quoted)


def _backslash(window: Window, body: int, is_quoted: bool) -> Head | None:
    text = window.text
    if text.startswith("\\[", body):
        return Head(Span("math", r"\\\]", 2, _MATHS_STOPS), body + 2, is_quoted=is_quoted)
    if not window.is_final and _BEGIN_BEGUN.match(text, body):
        return None
    found = _BEGIN.match(text, body)
    if found is None:
        return Head(None, body, is_quoted=is_quoted)
    end = rf"\\end\{{{re.escape(found[1])}\}}"
    block = Span("math", end, len(found[1]) + len("\\end{}"), _MATHS_STOPS)
    return Head(block, found.end(), is_quoted=is_quoted)


def _tag(window: Window, body: int, is_quoted: bool) -> Head | None:
    text = window.text
    if not window.is_final and _TAG_BEGUN.match(text, body):
        return None
    found = _TAG.match(text, body)
    name = found[1].lower() if found else ""
    block: Opaque | None = None
    if name == "!--":
        block = Span("code", "-->", 3)
    elif name in _CODE_TAGS:
        block = Span("code", f"</{name}>", len(name) + 3)
    elif name in _THOUGHT_TAGS:
        # One unit of text: who speaks it can tell by its tag that it is not to be spoken.
        block = Span("text", f"</{name}>", len(name) + 3)
    return Head(block, found.end() if block and found else body, is_quoted=is_quoted)


_READERS = (
    dict.fromkeys("-*_=+\u2e3b\u2500\u2501\u2550", _rule)
    | dict.fromkeys("`~", _fence)
    | {"#": _heading, ":": _aligned, "|": _row, "$": _dollars, "\\": _backslash, "<": _tag}
)
