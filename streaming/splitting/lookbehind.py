"""What stands before a candidate, never further back than the start of its unit."""

import re

from streaming.splitting.answers import UNKNOWN, Window

_MAX_BACK = 24
_MAX_SPACED = 12
_SPACED = re.compile(r"\b(?:[^\W\d_]\.[ \u00a0\u202f]?){1,4}[^\W\d_]{1,3}\Z")
_LAST_LETTERS = 3
_MAX_CODE_SPAN = 160
_MARKER_CHARS = 24
_OPENING = "\"'\u201c\u201e\u00ab\u2039\u2018\u201a([{*_~\u00bf\u00a1`-\u2013\u2014/"
# Markers a unit may start with: quote, heading, bullet, task box, number, letter, in any order.
_MARKER = re.compile(
    r"(?:[>\u2022\u2043\u2023\u25e6\u25aa\u25cf*_+~-]|#{1,6}|\[[ xX]\]|\d{1,3}[.)]|\s)*"
    r"(?:(?i:step|chapter|section|part|phase|stage|example|question|rule|tip|day|week|lesson|task"
    r"|exercise|option|method|reason|level|schritt|kapitel|teil|tag|regel|tipp|frage|étape|chapitre"
    r"|partie|paso|capítulo|parte|passo|capitolo|krok|stap|шаг|глава)[ \u00a0])?"
    r"\(?(?:\d{1,3}(?:\.\d{1,3}){0,3}|[a-zA-Z]|[ivxlIVXL]{1,5})[*_]{0,3}"
)
_ROMAN = frozenset("ivxlIVXL")
_LEAD_IN = re.compile(r"[^\w]*")


def word_before(window: Window, index: int) -> str:
    """Return the word that ends before `index`, without what opens before it; "" if none does."""
    text = window.text
    piece = text[max(window.start, index - _MAX_BACK) : index]
    if not piece or piece[-1].isspace():
        return ""
    word = piece.rsplit(None, 1)[-1].lstrip(_OPENING)
    return word.rsplit("/", 1)[-1] if "/" in word else word


def spaced_word_before(window: Window, index: int, word: str) -> str:
    """Return `word` with the dotted single letters before it: «B» in «z. B.» gives «z.B»."""
    text = window.text
    if word.isalpha() and (len(word) > _LAST_LETTERS or text[index - len(word) - 2] != "."):
        return word
    found = _SPACED.search(text[max(window.start, index - _MAX_SPACED) : index])
    if found is None or len(found[0]) <= len(word):
        return word
    return "".join(found[0].split())


def is_marker(window: Window, index: int) -> bool:
    """Return whether the unit up to `index` is nothing but the marker of an item or heading."""
    if index - window.start > _MARKER_CHARS or _ends_word(window, index):
        return False
    return _MARKER.fullmatch(window.text, window.start, index) is not None


def _ends_word(window: Window, index: int) -> bool:
    """Return whether two letters end before `index` that are no Roman number: no marker ends so."""
    if index - 2 < window.start:
        return False
    pair = window.text[index - 2 : index]
    return pair.isalpha() and not _ROMAN.issuperset(pair)


def in_code_span(window: Window, index: int) -> bool:
    """Return whether an open back-tick stands before `index`, near enough to be believed."""
    return window.code_span != UNKNOWN and index - window.code_span <= _MAX_CODE_SPAN


def starts_lower(window: Window) -> bool:
    """Return whether the unit starts with a lower case letter, as in chats without capitals."""
    text = window.text
    found = _LEAD_IN.match(text, window.start, window.start + _MAX_BACK)
    first = found.end() if found else window.start
    return first < len(text) and text[first].islower()
