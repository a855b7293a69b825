"""What one segmenter does on many texts: quality, delay and CPU time."""

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.gold import GoldText
from tests.benchmarks.pieces import tokens
from tests.benchmarks.scoring import Key, Verdict
from tests.benchmarks.segmenters import Cut, Segmenter

_WORST_FROM_TOKENS = 30  # a shorter text says more about the clock than about the segmenter


@dataclass(slots=True)
class Delays:
    """How much had come after a unit's last character when it was said."""

    characters: list[int] = field(default_factory=list)  # fed one character at a time
    tokens: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Cost:
    """CPU time of this process per token, streamed."""

    tokens: int = 0
    cpu_ns: int = 0
    worst_us: float = 0.0
    worst_id: str = ""

    @property
    def mean_us(self) -> float:
        """Return the mean over all tokens."""
        return self.cpu_ns / 1e3 / max(self.tokens, 1)

    def add(self, text_id: str, cpu_ns: int, count: int) -> None:
        """Add one text; the worst is the one with the dearest tokens."""
        self.tokens += count
        self.cpu_ns += cpu_ns
        each = cpu_ns / 1e3 / max(count, 1)
        if count >= _WORST_FROM_TOKENS and each > self.worst_us:
            self.worst_us, self.worst_id = each, text_id


@dataclass(slots=True)
class Findings:
    """Everything about one segmenter; quality is kept by (domain, language)."""

    batch: dict[tuple[str, str], Verdict] = field(default_factory=dict)
    streamed: dict[tuple[str, str], Verdict] = field(default_factory=dict)
    delays: Delays = field(default_factory=Delays)
    cost: Cost = field(default_factory=Cost)
    said: int = 0
    taken_back: int = 0


def examine(segmenter: Segmenter, texts: Iterable[GoldText], *, rounds: int = 3) -> Findings:
    """Return all findings about one segmenter.

    Args:
        segmenter: What to examine.
        texts: What to examine it on.
        rounds: How often a text is timed; the fastest round counts.
    """
    findings = Findings()
    for text in texts:
        _examine_one(segmenter, text, findings, rounds)
    return findings


def total(by_key: dict[tuple[str, str], Verdict], keep: Callable[[str, str], bool]) -> Verdict:
    """Return the sum over the (domain, language) pairs to keep."""
    result = Verdict()
    for (domain, language), verdict in by_key.items():
        if keep(domain, language):
            result += verdict
    return result


def fastest(
    segmenter: Segmenter, pieces: Sequence[str], language: str, rounds: int
) -> tuple[int, list[Cut]]:
    """Return the CPU nanoseconds of the fastest of some rounds, and the cuts."""
    best: int | None = None
    cuts: list[Cut] = []
    gc.disable()
    try:
        for _ in range(rounds):
            started = time.process_time_ns()
            cuts = segmenter.stream(pieces, language)
            used = time.process_time_ns() - started
            best = used if best is None else min(best, used)
    finally:
        gc.enable()
    return best or 0, cuts


def _examine_one(segmenter: Segmenter, text: GoldText, findings: Findings, rounds: int) -> None:
    key = Key(text)
    group = text.domain, text.language
    pieces = tokens(text.text)
    ends = segmenter.batch(text.text, text.language)
    cpu_ns, cuts = fastest(segmenter, pieces, text.language, rounds)
    streamed_ends = [cut.end for cut in cuts]
    findings.batch.setdefault(group, Verdict()).__iadd__(key.examine(ends))
    findings.streamed.setdefault(group, Verdict()).__iadd__(key.examine(streamed_ends))
    findings.cost.add(text.id, cpu_ns, len(pieces))
    said = key.ruler.all_at(streamed_ends)
    findings.said += len(said)
    findings.taken_back += len(said - key.ruler.all_at(ends))
    findings.delays.tokens += _token_delays(pieces, cuts)
    by_character = segmenter.stream(list(text.text), text.language)
    findings.delays.characters += [cut.received - cut.end for cut in _decided(by_character)]


def _decided(cuts: Sequence[Cut]) -> Sequence[Cut]:
    """Leave out the last unit: it was said because the text ended."""
    return cuts[:-1]


def _token_delays(pieces: Sequence[str], cuts: Sequence[Cut]) -> list[int]:
    """Return how many tokens came after the one that holds each unit's last character."""
    delays: list[int] = []
    number = received = 0
    for cut in _decided(cuts):
        while number < len(pieces) and received < cut.end:
            received += len(pieces[number])
            number += 1
        delays.append(cut.pieces - number)
    return delays
