"""What this process recorded and has not shared yet: numbered, dated, and bounded."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from metrics.delta import Delta


@dataclass(slots=True)
class Batch:
    """Records of one stretch of time. Once it was sent nothing is added: it may have arrived."""

    number: int
    recorded_at: float
    delta: Delta
    is_sent: bool = False


class Backlog:
    """Batches in order, oldest first.

    While they cannot be sent, records of `period_s` are kept together, so that a long outage takes
    little room; beyond `max_batches` the oldest are dropped, and counted.

    Args:
        period_s: Seconds whose records may become one batch.
        max_batches: How many are kept.
        clock: Monotonic seconds.
    """

    def __init__(self, *, period_s: float, max_batches: int, clock: Callable[[], float]) -> None:
        self._period_s = period_s
        self._max_batches = max_batches
        self._clock = clock
        self._batches: deque[Batch] = deque()
        self._number = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)

    def put(self, delta: Delta) -> None:
        """Add what was recorded just now; an empty delta is nothing."""
        if not delta:
            return
        now = self._clock()
        last = self._batches[-1] if self._batches else None
        if last is not None and not last.is_sent and self._period(last.recorded_at, now):
            last.delta.add(delta)
            return
        self._number += 1
        self._batches.append(Batch(self._number, now, delta))
        while len(self._batches) > self._max_batches:
            self._batches.popleft()
            self.dropped += 1

    def to_send(self, at_most: int) -> Sequence[Batch]:
        """Return the oldest batches, to be sent in this order; they do not change any more.

        What was sent and not confirmed comes alone: what is behind it can still be put together.
        """
        sent = [batch for batch in self._batches if batch.is_sent]
        batches = sent or list(islice(self._batches, at_most))
        for batch in batches:
            batch.is_sent = True
        return batches

    def confirm(self, batches: Sequence[Batch]) -> None:
        """Forget batches that have arrived."""
        confirmed = {batch.number for batch in batches}
        while self._batches and self._batches[0].number in confirmed:
            self._batches.popleft()

    def age_s(self, batch: Batch) -> float:
        """Return how long ago a batch was recorded."""
        return max(0.0, self._clock() - batch.recorded_at)

    @property
    def behind_s(self) -> float:
        """Seconds for which records have been waiting; 0: none do."""
        return self.age_s(self._batches[0]) if self._batches else 0.0

    def _period(self, one: float, other: float) -> bool:
        return one // self._period_s == other // self._period_s
