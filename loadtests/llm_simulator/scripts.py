"""A streamed answer as a script: what is written when, and how the body ends.

A script yields `(gap_s, bytes, tokens)`: wait that long after the piece before, write these bytes,
which carry so many tokens. What it returns is the ending. Scripts do no I/O and know no clock.
"""

import enum
from collections.abc import Generator
from dataclasses import dataclass

from loadtests.llm_simulator import chunks, prose
from loadtests.llm_simulator.options import Options


class Ending(enum.Enum):
    """How a body ends once its script is through."""

    COMPLETE = enum.auto()  # properly; the connection may be used again
    CUT = enum.auto()  # the connection closes in the middle of the body
    RESET = enum.auto()  # as CUT, by a TCP reset
    HANG = enum.auto()  # not at all: nothing more comes, the connection stays open


Script = Generator[tuple[float, bytes, int], None, Ending]
Part = Generator[tuple[float, bytes, int], None, None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script plays."""

    chunks: chunks.Chunks
    pieces: prose.Pieces
    options: Options
    prompt_tokens: int

    def opening(self) -> Part:
        """Wait for the first token, then give the role."""
        yield self.options.ttft_s, self.chunks.role(), 0

    def tokens(self, start: int, stop: int | None = None) -> Part:
        """Give the tokens from `start` to `stop`; the very first comes with the role."""
        content = self.chunks.content
        gap_s = self.options.gap_s
        for place, piece in enumerate(self.pieces[start:stop], start):
            yield gap_s if place else 0.0, content(piece), 1

    def closing(self, reason: str = "stop", tokens: int | None = None) -> Part:
        """Give the finishing chunk, the usage if it was asked for, and the end mark."""
        yield 0.0, self.chunks.finish(reason), 0
        if self.chunks.with_usage:
            count = len(self.pieces) if tokens is None else tokens
            yield 0.0, self.chunks.usage(self.prompt_tokens, count), 0
        yield 0.0, chunks.DONE, 0

    def beginning(self) -> Part:
        """Give everything up to the place where a fault strikes."""
        yield from self.opening()
        yield from self.tokens(0, self.options.after)

    def remainder(self) -> Part:
        """Give everything after the place where a fault struck."""
        yield from self.tokens(self.options.after)
        yield from self.closing()


def chat(answer: Answer, reason: str = "stop") -> Script:
    """Play a healthy stream."""
    yield from answer.opening()
    yield from answer.tokens(0)
    yield from answer.closing(reason)
    return Ending.COMPLETE


def document(answer: Answer, body: bytes) -> Script:
    """Play a body that comes at once, when the whole answer would have been produced."""
    wait_s = answer.options.ttft_s + answer.options.gap_s * len(answer.pieces)
    yield wait_s, body, len(answer.pieces)
    return Ending.COMPLETE


def at_once(body: bytes) -> Script:
    """Play a body without any pacing."""
    yield 0.0, body, 0
    return Ending.COMPLETE
