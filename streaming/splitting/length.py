"""Where to cut text that never stops, so that every buffer is bounded."""

import unicodedata

from streaming.splitting.answers import Window

# Longer than almost any real sentence; speech makes its own, shorter cuts.
MAX_TEXT = 1000
_MIN_TEXT = MAX_TEXT // 2
_MAX_MARKS = 16


def cut(window: Window) -> int:
    """Return where to cut the unit: after a clause, at a blank, else at `MAX_TEXT`."""
    text, low, high = window.text, window.start + _MIN_TEXT, window.start + MAX_TEXT
    for mark in ("\n", "; ", ": ", ", ", " "):
        found = text.rfind(mark, low, high)
        if found != -1:
            return found + len(mark.rstrip())
    for end in range(high, high - _MAX_MARKS, -1):
        if not _is_attached(text[end]):
            return end
    return high


def _is_attached(character: str) -> bool:
    """Return whether a character belongs to the one before it."""
    return character in "\u200d\ufe0f" or unicodedata.category(character) in {"Mn", "Mc", "Me"}
