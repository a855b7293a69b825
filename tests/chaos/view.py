"""A history, arranged for the judge: by turn, by reader, by kind. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.chaos.records import TERMINAL, Operation

BREAKS_OFF = "breaks"
"""Chatbots whose name begins so have a model that breaks off once in an answer."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds that things may take where no fault excuses them."""

    post_s: float = 10.0
    pause_s: float = 10.0


@dataclass(slots=True)
class ReaderView:
    """What one reader did and got, in its own order. A reader follows one turn."""

    name: str
    turn: str
    operations: list[Operation] = field(default_factory=list)

    @property
    def entries(self) -> Iterator[Operation]:
        """Events that have a place in the log."""
        return (each for each in self.operations if each.op == "event" and each.seq)

    @property
    def ends(self) -> list[Operation]:
        """Terminal events."""
        return [each for each in self.entries if each.name in TERMINAL]

    @property
    def resets(self) -> list[Operation]:
        """Resets of what was shown: one that comes first replaces nothing."""
        entries = list(self.entries)
        return [each for each in entries[1:] if each.name == "turn.reset"]

    def pauses(self) -> Iterator[tuple[float, float]]:
        """Yield when a time without any sign of the turn began and ended, up to the end."""
        events = [each.t_mono for each in self.operations if each.op == "event"]
        return pairwise([self.operations[0].t_mono, *events])


class View:
    """A whole history.

    Args:
        operations: In any order; those of one process are in its own.
        bounds: What the judge allows.
    """

    def __init__(self, operations: Sequence[Operation], bounds: Bounds = Bounds()) -> None:
        self.bounds = bounds
        self.posts = _of(operations, "post")
        self.opens = _of(operations, "open")
        self.states = [each for each in operations if each.op in {"state", "cancel"}]
        self.faults = _of(operations, "fault")
        self.leases = _of(operations, "lease")
        self.messages = _of(operations, "message")
        self.calls = _of(operations, "calls")
        self.stored = {each.turn: each for each in _of(operations, "turn")}
        self.readers = _readers(operations)
        self.began: dict[str, float] = {}
        for each in operations:
            if each.turn:
                first = each.t_mono - each.took_s
                self.began[each.turn] = min(first, self.began.get(each.turn, first))

    def readers_of(self, turn: str) -> Iterator[ReaderView]:
        """Yield the readers of a turn."""
        return (reader for reader in self.readers if reader.turn == turn)

    def faults_within(self, start: float, end: float) -> list[Operation]:
        """Return the faults that were at work, or healing, at any time from start to end."""
        return [
            fault
            for fault in self.faults
            if fault.t_mono - fault.took_s <= end and fault.t_mono + self.bounds.pause_s >= start
        ]

    def excused_s(self, start: float, end: float) -> float:
        """Return how many of these seconds some fault was at work."""
        spans = sorted((each.t_mono - each.took_s, each.t_mono) for each in self.faults)
        total, reached = 0.0, start
        for first, last in spans:
            total += max(0.0, min(last, end) - max(first, reached))
            reached = max(reached, last)
        return total


def _of(operations: Iterable[Operation], op: str) -> list[Operation]:
    return [each for each in operations if each.op == op]


def _readers(operations: Iterable[Operation]) -> list[ReaderView]:
    grouped: defaultdict[tuple[str, str], list[Operation]] = defaultdict(list)
    for each in operations:
        if each.op in {"open", "event", "close"}:
            grouped[each.process, each.turn].append(each)
    return [ReaderView(name, turn, items) for (name, turn), items in grouped.items()]
