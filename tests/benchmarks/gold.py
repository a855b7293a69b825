"""Texts whose units are marked by hand: the reader of `tests/vectors/sentences_*.json`.

The marking is described in `docs/sentences.md`. A file is a list of texts; the units of a text
stand in its source in order, with nothing but white space between them: so their places follow.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec

Kind = Literal["text", "code", "table", "math", "rule"]
Domain = Literal["chat", "web", "prose", "file"]

DOMAINS: tuple[Domain, ...] = get_args(Domain)
OPAQUE: frozenset[Kind] = frozenset({"code", "table", "math"})

_VECTORS = Path(__file__).parents[1] / "vectors"
_FILES = ("sentences_chat.json", "sentences_web.json", "sentences_prose.json")


class GoldError(ValueError):
    """A unit does not stand where it should, or something else than white space is left over."""


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One unit; after an `optional` one a boundary is neither asked for nor counted as wrong."""

    text: str
    kind: Kind
    optional: bool = False


class GoldText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text as a model would write it, and its units."""

    id: str
    language: str
    domain: Domain
    text: str
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a unit stands, in code points."""

    start: int
    end: int
    unit: Unit


def load() -> list[GoldText]:
    """Return the whole corpus, in the order of its files."""
    return [text for name in _FILES for text in load_file(_VECTORS / name)]


def load_file(path: Path) -> list[GoldText]:
    """Return one file's texts.

    Raises:
        msgspec.ValidationError: A field is missing, unknown or of another type.
    """
    return msgspec.json.decode(path.read_bytes(), type=list[GoldText])


def spans(text: GoldText) -> list[Span]:
    """Return where each unit stands.

    Raises:
        GoldError: The units do not make up the text.
    """
    found: list[Span] = []
    at = 0
    for unit in text.units:
        start = text.text.find(unit.text, at)
        if start < 0 or text.text[at:start].strip() or unit.text != unit.text.strip():
            raise GoldError(f"{text.id}: no place for {unit.text!r}")
        at = start + len(unit.text)
        found.append(Span(start, at, unit))
    if text.text[at:].strip():
        raise GoldError(f"{text.id}: {text.text[at:]!r} is in no unit")
    return found
