"""Answers in two forms: one JSON document, or text that a terminal can show whatever is in it."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

_JOINERS = "\u200c\u200d"
"""Invisible, but parts of words and of emoji."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answers.

    `document` is for machines, `text` for people; `fault` is one line on standard error where the
    status is not 0.
    """

    document: object
    text: str
    status: int = 0
    fault: str = ""


def as_json(document: object) -> str:
    """Return one JSON document, indented."""
    compact = msgspec.json.encode(document)
    return f"{msgspec.json.format(compact, indent=2).decode()}\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns below each other; the last one may be of any width."""
    shown = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(_width(cell) for cell in column) for column in zip(*shown, strict=True)]
    return "".join(_line(row, widths) for row in shown)


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Return names and what they are, below each other."""
    width = max((len(name) for name, _ in rows), default=0)
    return "".join(f"{name:{width}}  {printable(value)}".rstrip() + "\n" for name, value in rows)


def printable(text: str) -> str:
    """Return a text on one line that steers no terminal: what is invisible is escaped."""
    return "".join(
        each if each.isprintable() or each in _JOINERS else ascii(each)[1:-1] for each in text
    )


def cut(text: str, width: int) -> str:
    """Return a text, or its beginning where it is longer."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)
    ]
    return "  ".join(padded).rstrip() + "\n"


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )
