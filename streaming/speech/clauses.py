"""Where a text may be cut before its sentence ends: at a clause mark, else at a blank.

Lengths are in code points. Pure; the pieces, joined, are the text.
"""

import re
from collections.abc import Iterable

FIRST_CLAUSE_CHARS = 14
"""Shortest clause that may be said before its sentence has ended: about a second of speech."""

FIRST_PHRASE_CHARS = 24
PHRASE_WITHIN_CHARS = 48
"""Where no clause ends within so many characters, a phrase may, that is at least so long."""

SOFT_CHARS = 160
"""A longer text is cut at a clause mark, where it has one."""

HARD_CHARS = 250
HARD_BYTES = 900
"""A longer text is cut in any case; Google refuses single sentences of about 310 characters."""

_SHORTEST_PIECE_CHARS = 40
_CLAUSE_END = re.compile(r"[,;:—–](?=\s)|[，、；：]")  # noqa: RUF001  # CJK clause marks
# Words before which a speaker may pause. A word of another language that looks alike does no harm.
_PHRASE_START = re.compile(
    r"\s(?=(?:and|or|but|that|which|who|because|when|where|while|if|as|before|after|so|than|then"
    r"|since|until|unless|although|for|with|without|from|to|into|in|on|at|by|through|between"
    r"|und|oder|aber|dass|weil|wenn|mit|ohne|von|für|durch|et|ou|mais|que|qui|avec|dans|pour|sans"
    r"|y|o|pero|porque|con|sin|para|e|ma|che|per|senza|mas|com|sem|en|maar|omdat|met|voor|zonder"
    r"|i|ale|że|który|dla|bez|и|но|что|который|для|без|men|eller|och|og|med|utan|uden|för|til)\s)"
)
_OPENED = re.compile(r"[\[(<{«“„（「『]")  # noqa: RUF001
_CLOSED = re.compile(r"[\])>}»”）」』]")  # noqa: RUF001


def first_clause_end(text: str) -> int:
    """Return the end of the first clause or phrase that can stand alone, or 0.

    Not within brackets, quotes, code or emphasis: what was opened before the end is closed.
    """
    clauses = (match.end() for match in _CLAUSE_END.finditer(text, FIRST_CLAUSE_CHARS - 1))
    clause = _first_balanced(text, clauses)
    if 0 < clause <= PHRASE_WITHIN_CHARS or len(text) < PHRASE_WITHIN_CHARS:
        return clause
    within = _PHRASE_START.finditer(text, FIRST_PHRASE_CHARS, PHRASE_WITHIN_CHARS + 1)
    return _first_balanced(text, (match.start() for match in within)) or clause


def begun(text: str) -> str:
    """Return the beginning of a sentence so that it sounds as if more were to come."""
    return text if _CLAUSE_END.match(f"{text} ", len(text) - 1) else f"{text},"


def _first_balanced(text: str, ends: Iterable[int]) -> int:
    return next((end for end in ends if _is_balanced(text[:end])), 0)


def pieces(text: str) -> list[str]:
    """Return the text cut into pieces of at most `HARD_CHARS` and `HARD_BYTES`, without blanks."""
    found: list[str] = []
    rest = text.strip()
    while end := _cut(rest):
        found.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest:
        found.append(rest)
    return found


def _cut(text: str) -> int:
    """Return where to cut a text that is too long, or 0."""
    if len(text) <= SOFT_CHARS:  # four bytes each still fit
        return 0
    longest = _fitting(text)
    last_mark = 0
    for match in _CLAUSE_END.finditer(text, _SHORTEST_PIECE_CHARS - 1, min(longest, SOFT_CHARS)):
        last_mark = match.end()
    if last_mark and len(text) - last_mark >= _SHORTEST_PIECE_CHARS:
        return last_mark
    if longest == len(text):
        return 0
    blank = text.rfind(" ", _SHORTEST_PIECE_CHARS, longest + 1)
    return blank if blank > 0 else longest


def _fitting(text: str) -> int:
    """Return how many characters fit the hard limits."""
    end = min(len(text), HARD_CHARS)
    encoded = text[:end].encode("utf-8", "replace")
    if len(encoded) <= HARD_BYTES:
        return end
    return len(encoded[:HARD_BYTES].decode("utf-8", "ignore"))


def _is_balanced(text: str) -> bool:
    if any(text.count(mark) % 2 for mark in ("`", "**", '"', "~~")):
        return False
    if text.replace("**", "").count("*") % 2:
        return False
    return len(_OPENED.findall(text)) == len(_CLOSED.findall(text))
