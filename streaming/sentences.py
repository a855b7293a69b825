"""Cuts an answer into sentences while it is written."""

import re
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


_UNIT = re.compile(r"\s*(```.*?```(?=\n|$)|(?:(?!```).)+?(?:[.!?](?=\s)|\n))", re.DOTALL)


class SentenceSplitter:
    """Interim: stops and lines only."""

    def __init__(self, language: str = "en") -> None:  # noqa: ARG002  # interim
        self._text = ""
        self._at = 0

    def push(self, text: str) -> list[Sentence]:
        """Take the next piece of text; return the sentences that are complete."""
        self._text += text
        found: list[Sentence] = []
        while match := _UNIT.match(self._text, self._at):
            self._at = match.end()
            found += self._sentence(match.start(1), match[1].rstrip())
        return found

    def flush(self) -> list[Sentence]:
        """Return what is left: the text has ended."""
        rest = self._text[self._at :]
        start = self._at + len(rest) - len(rest.lstrip())
        self._at = len(self._text)
        return self._sentence(start, rest.strip())

    def pending(self) -> tuple[int, str]:
        """Return where the unfinished sentence starts, and what there is of it."""
        rest = self._text[self._at :].lstrip()
        return (len(self._text) - len(rest), rest) if rest and "`" not in rest else (0, "")

    def _sentence(self, start: int, text: str) -> list[Sentence]:
        if not text:
            return []
        kind: SentenceKind = "code" if text.startswith("```") else "text"
        return [Sentence(text, kind, start, start + len(text))]
