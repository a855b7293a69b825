"""What this process counts of one flag's turns, until it is handed to the store.

Every call is a few dictionary operations: none waits, asks anybody or raises. What does not fit the
bounds is dropped and counted in `dropped`.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from flags.rollout.batches import Arm, Batch, Counted, Failure, hashed, microseconds, seconds
from flags.rollout.counters import TTFT_BINS, Counters, ttft_bin
from flags.rollout.model import TTFT_T_S

MAX_TURNS = 100_000
"""Turns known at once; those beyond are not counted, whichever arm they are of."""

MAX_FAILURES = 10_000
"""Failures that wait to be handed over; the oldest go first."""

MAX_USERS = 20_000
"""Users that wait to be handed over; those beyond are not counted, whichever arm they are of."""

MAX_EPOCHS = 16
"""Epochs that wait to be handed over; the oldest goes first."""

_FAILED = frozenset({"failed", "interrupted"})
_CANCELLED = "cancelled"


@dataclass(slots=True)
class _Turn:
    user: str
    epoch: int
    arm: Arm
    began_at: float
    is_counted: bool = False


@dataclass(slots=True)
class _Sums:
    """One arm of one epoch, growing."""

    n: int = 0
    cancelled: int = 0
    ttft: list[int] = field(default_factory=lambda: [0] * len(TTFT_BINS))
    ttft_us: int = 0
    users: set[str] = field(default_factory=set)

    def counters(self) -> Counters:
        return Counters(
            n=self.n, cancelled=self.cancelled, ttft=tuple(self.ttft), ttft_us=self.ttft_us
        )


class Tally:
    """Counts the turns of one flag, of one process and one event loop.

    Each turn is counted once: at its end, or at `max_ttft_s` if it has no token by then, whatever
    becomes of it later. Errors are turns that failed, were interrupted, or had no token by then;
    other failures are those that are completed, but amiss. Cancelled ones are counted apart.

    Args:
        worker: Names this process among all that ever were.
        max_ttft_s: T, seconds.
    """

    def __init__(self, worker: str, *, max_ttft_s: float = TTFT_T_S) -> None:
        self.dropped = 0
        """What did not fit the bounds so far."""
        self._worker = worker
        self._max_ttft_s = max_ttft_s
        self._turns: dict[str, _Turn] = {}
        # Turns without a token, in the order in which they are due.
        self._waiting: OrderedDict[str, _Turn] = OrderedDict()
        self._sums: OrderedDict[tuple[int, Arm], _Sums] = OrderedDict()
        self._failures: deque[tuple[int, Arm, Failure]] = deque()
        self._users = 0
        self._number = 0
        self._in_doubt: Batch | None = None

    def assigned(self, unit: str, *, epoch: int, arm: Arm) -> None:
        """Count a user that is dealt an arm; before any work is done for it.

        Only of those whom the percentage decides about: lists and rules deal other shares.
        """
        sums = self._sums_of(epoch, arm)
        user = hashed(unit)
        if user in sums.users:
            return
        if self._users >= MAX_USERS:
            self.dropped += 1
            return
        self._users += 1
        sums.users.add(user)

    def began(self, turn_id: str, unit: str, *, epoch: int, arm: Arm, now: float) -> None:
        """Count a turn from now on.

        Args:
            turn_id: Told once, until it has ended or left.
            unit: Whose it is.
            epoch: The flag's, when the turn was assigned its arm.
            arm: What it was dealt.
            now: When it was asked for, monotonic seconds.
        """
        if len(self._turns) >= MAX_TURNS:
            self.dropped += 1
            return
        turn = self._turns[turn_id] = _Turn(hashed(unit), epoch, arm, now)
        first = next(iter(self._waiting.values()), None)
        self._waiting[turn_id] = turn
        if first is not None and now < first.began_at:
            # One that was taken over from another worker is older than those that began here.
            self._waiting.move_to_end(turn_id, last=False)

    def first_token(self, turn_id: str, seconds: float) -> None:
        """Note that a turn has its first text, `seconds` after it was asked for."""
        turn = self._waiting.pop(turn_id, None)
        if turn is not None and seconds >= self._max_ttft_s:
            self._count_tokenless(turn)

    def ended(
        self,
        turn_id: str,
        outcome: str,
        *,
        is_amiss: bool,
        ttft_s: float | None,
        total_s: float,
    ) -> None:
        """Count a turn, unless it was counted or is not known.

        Args:
            turn_id: Which one.
            outcome: «completed», «failed», «cancelled» or «interrupted».
            is_amiss: It is completed, but not as it should be, by our doing.
            ttft_s: Seconds to its first text; None where it never had any.
            total_s: Seconds from when it was asked for until now.
        """
        self._waiting.pop(turn_id, None)
        turn = self._turns.pop(turn_id, None)
        if turn is None or turn.is_counted:
            return
        waited_s = total_s if ttft_s is None else ttft_s
        if waited_s >= self._max_ttft_s:
            self._count_tokenless(turn)
        elif outcome == _CANCELLED:
            self._sums_of(turn.epoch, turn.arm).cancelled += 1
        else:
            ttft_us = microseconds(self._max_ttft_s if ttft_s is None else ttft_s)
            self._count(turn, ttft_us, is_error=outcome in _FAILED, is_amiss=is_amiss)

    def left(self, turn_id: str) -> None:
        """Forget a turn that goes on elsewhere, and is counted there."""
        self._waiting.pop(turn_id, None)
        self._turns.pop(turn_id, None)

    def due(self, now: float) -> None:
        """Count the turns that have no token by T; to be called about once a second."""
        while self._waiting:
            turn_id, turn = next(iter(self._waiting.items()))
            if now - turn.began_at < self._max_ttft_s:
                return
            del self._waiting[turn_id]
            self._count_tokenless(turn)

    def take(self) -> Batch:
        """Return what was counted since the last batch, or the one that was put back."""
        batch, self._in_doubt = self._in_doubt, None
        if batch is not None:
            return batch
        self._number += 1
        failures: dict[tuple[int, Arm], list[Failure]] = {}
        for epoch, arm, failure in self._failures:
            failures.setdefault((epoch, arm), []).append(failure)
        counted = {
            place: Counted(sums.counters(), tuple(failures.get(place, ())), frozenset(sums.users))
            for place, sums in self._sums.items()
        }
        self._sums.clear()
        self._failures.clear()
        self._users = 0
        return Batch(self._worker, self._number, counted)

    def put_back(self, batch: Batch) -> None:
        """Have `take` return a batch again that may not have been added; what is new waits."""
        self._in_doubt = batch

    def _count_tokenless(self, turn: _Turn) -> None:
        turn.is_counted = True
        self._count(turn, microseconds(self._max_ttft_s), is_error=True, is_amiss=False)

    def _count(self, turn: _Turn, ttft_us: int, *, is_error: bool, is_amiss: bool) -> None:
        sums = self._sums_of(turn.epoch, turn.arm)
        if is_error or is_amiss:
            failure = Failure(turn.user, is_error, ttft_us)
            self._failures.append((turn.epoch, turn.arm, failure))
            if len(self._failures) > MAX_FAILURES:
                self._failures.popleft()
                self.dropped += 1
            return
        sums.n += 1
        sums.ttft[ttft_bin(seconds(ttft_us))] += 1
        sums.ttft_us += ttft_us

    def _sums_of(self, epoch: int, arm: Arm) -> _Sums:
        sums = self._sums.get((epoch, arm))
        if sums is None:
            sums = self._sums[epoch, arm] = _Sums()
            while len({each for each, _ in self._sums}) > MAX_EPOCHS:
                self._drop_oldest()
        return sums

    def _drop_oldest(self) -> None:
        oldest = min(epoch for epoch, _ in self._sums)
        for place in [place for place in self._sums if place[0] == oldest]:
            sums = self._sums.pop(place)
            self._users -= len(sums.users)
            self.dropped += sums.n
        kept = [each for each in self._failures if each[0] != oldest]
        self.dropped += len(self._failures) - len(kept)
        self._failures = deque(kept)
