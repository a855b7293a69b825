"""Cuts an answer into sentences while it is written."""

from dataclasses import dataclass
from typing import Literal

SentenceKind = Literal["text", "code", "table", "math", "rule"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One unit: `text` is what was pushed from `start` to `end`, in code points, outer blanks cut.

    Sentences come in order and never overlap; between two of them there is only white space.
    """

    text: str
    kind: SentenceKind
    start: int
    end: int
