"""Ours and others behind one interface: a whole text, or pieces of it as they come.

The batch libraries stream as products that use them do: the text since the last unit is segmented
again at every piece, and all units but the last are said.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import pysbd
import sentencex
from stream2sentence import generate_sentences

from streaming.sentences import SentenceSplitter

_PYSBD_LANGUAGES = frozenset(pysbd.languages.LANGUAGE_CODES)
# Latin and wide stops with their closing marks, or the end of a line.
_REGEX = re.compile(
    r"[.!?\u2026]+[\"'\u201d\u2019\u00bb)\]*_]*\s+|[\u3002\uff01\uff1f]+[\u300d\u201d]*|\n+"
)


@dataclass(frozen=True, slots=True)
class Cut:
    """A unit was said: where it ends, and how many pieces and characters had come by then."""

    end: int
    pieces: int
    received: int


class Segmenter(Protocol):
    """Finds the ends of units, without white space behind them, in order."""

    name: str

    def batch(self, text: str, language: str) -> list[int]:
        """Return the end of each unit of a whole text."""
        ...

    def stream(self, pieces: Sequence[str], language: str) -> list[Cut]:
        """Return each unit with the moment it was said; what is left is said at the end."""
        ...


class Ours:
    """`streaming.sentences.SentenceSplitter`."""

    def __init__(self, name: str = "chatstream", *, told: str | None = None) -> None:
        self.name = name
        self._told = told

    def batch(self, text: str, language: str) -> list[int]:
        splitter = SentenceSplitter(language=self._told or language)
        return [one.end for one in (*splitter.push(text), *splitter.flush())]

    def stream(self, pieces: Sequence[str], language: str) -> list[Cut]:
        splitter = SentenceSplitter(language=self._told or language)
        cuts: list[Cut] = []
        received = 0
        for number, piece in enumerate(pieces, 1):
            received += len(piece)
            for one in splitter.push(piece):
                cuts.append(Cut(one.end, number, received))  # noqa: PERF401  # rarely any
        cuts += [Cut(one.end, len(pieces), received) for one in splitter.flush()]
        return cuts


class Wrapped:
    """A batch segmenter, called again for every piece."""

    def __init__(self, name: str, ends: Callable[[str, str], list[int]]) -> None:
        self.name = name
        self._ends = ends

    def batch(self, text: str, language: str) -> list[int]:
        return self._ends(text, language)

    def stream(self, pieces: Sequence[str], language: str) -> list[Cut]:
        cuts: list[Cut] = []
        waiting = ""
        said = received = 0
        for number, piece in enumerate(pieces, 1):
            received += len(piece)
            waiting += piece
            ready = self._ends(waiting, language)[:-1]
            cuts += [Cut(said + end, number, received) for end in ready]
            if ready:
                said += ready[-1]
                waiting = waiting[ready[-1] :]
        rest = self._ends(waiting, language)
        return cuts + [Cut(said + end, len(pieces), received) for end in rest]


class Stream2Sentence:
    """The library `stream2sentence`, a generator over pieces; its texts are looked up."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self._options = options

    def batch(self, text: str, language: str) -> list[int]:
        return [cut.end for cut in self.stream([text], language)]

    def stream(self, pieces: Sequence[str], language: str) -> list[Cut]:
        del language  # its rules know one; the option is for models that are not installed
        text = "".join(pieces)
        taken = [0, 0]
        cuts: list[Cut] = []
        at = 0
        for sentence in generate_sentences(_counting(pieces, taken), **self._options):
            at = _end_of(sentence, text, at)
            cuts.append(Cut(at, taken[0], taken[1]))
        return cuts


def all_segmenters() -> list[Segmenter]:
    """Return ours and those it is compared with."""
    return [
        Ours(),
        Ours("chatstream, told en", told="en"),
        Wrapped("sentencex", _sentencex),
        Wrapped("pysbd", _pysbd),
        Stream2Sentence("stream2sentence"),
        Stream2Sentence(
            "stream2sentence, fast",
            auto_context=True,
            minimum_sentence_length=1,
            minimum_first_fragment_length=1,
        ),
        Wrapped("regex", _regex),
    ]


def _sentencex(text: str, language: str) -> list[int]:
    found = sentencex.get_sentence_boundaries(language, text)
    return _trimmed(text, (one["end_index"] for one in found))


def _pysbd(text: str, language: str) -> list[int]:
    return _trimmed(text, (one.end for one in _pysbd_for(language).segment(text)))


@cache
def _pysbd_for(language: str) -> Any:
    known = language if language in _PYSBD_LANGUAGES else "en"
    return pysbd.Segmenter(language=known, clean=False, char_span=True)


def _regex(text: str, _language: str) -> list[int]:
    return _trimmed(text, [*(match.end() for match in _REGEX.finditer(text)), len(text)])


def _trimmed(text: str, ends: Iterable[int]) -> list[int]:
    """Return ends without the white space before them, each once, rising."""
    kept: list[int] = []
    for end in ends:
        trimmed = len(text[:end].rstrip())
        if trimmed > (kept[-1] if kept else 0):
            kept.append(trimmed)
    return kept


def _counting(pieces: Sequence[str], taken: list[int]) -> Iterator[str]:
    for piece in pieces:
        taken[0] += 1
        taken[1] += len(piece)
        yield piece


def _end_of(sentence: str, text: str, at: int) -> int:
    """Return where a sentence ends in the text, also if white space in it was changed."""
    for char in sentence:
        if not char.isspace():
            found = text.find(char, at, at + 200)
            at = found + 1 if found >= 0 else at
    return at
