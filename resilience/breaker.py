"""A circuit breaker: whoever keeps failing is left alone for a while.

Three intentional divergences from most of its kind:

1. It counts failures in a row, not a rate: one call that works shows that the other side lives, and
   no amount of traffic turns rare errors into an outage.
2. Only what it is told counts. An attempt that tells nothing (it was cancelled, it raised, the
   request was refused) changes no count; a probe that ends so makes room for the next probe.
3. Attempts that began before it opened no longer count when they end: a late success must not close
   it, a late failure must not prolong it.
"""

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

JITTER = 0.25
"""An open breaker waits for up to this share less than its time, so that the probes of several
processes come apart."""

GROWTH = 2.0
"""Each failed probe multiplies the wait by this."""


class BreakerState(StrEnum):
    """What a breaker lets through: all, nothing until a time has passed, or one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerOpenError(Exception):
    """Nothing is let through now; `retry_in_s` seconds from now the next probe is due."""

    def __init__(self, name: str, retry_in_s: float) -> None:
        super().__init__(f"The breaker of {name} is open.")
        self.name = name
        self.retry_in_s = retry_in_s


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """A breaker now. `failures` are those in a row; `opened` counts since the process started."""

    name: str
    state: BreakerState
    failures: int
    opened: int
    retry_in_s: float


class Attempt:
    """One call that was let through. The first thing told counts; telling nothing is allowed."""

    __slots__ = ("_tell",)

    def __init__(self, tell: Callable[[bool], None]) -> None:
        self._tell: Callable[[bool], None] | None = tell

    def succeeded(self) -> None:
        """Tell that the other side did its work."""
        self._told(works=True)

    def failed(self) -> None:
        """Tell that the other side is out of order: unreachable, overloaded, silent."""
        self._told(works=False)

    def _told(self, *, works: bool) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(works)


OnChange = Callable[[str, BreakerState, BreakerState], None]


class Breaker:
    """Opens after `failures` failures in a row within `window_s` seconds.

    Open it refuses for `open_s` seconds (less up to a quarter, by chance), then lets one probe
    through at a time. A probe that works closes it; one that fails opens it for twice as long, up
    to `max_open_s`. Not thread-safe: use it from one event loop.

    Args:
        name: For errors, logs and health.
        failures: Failures in a row that open it; 1 or more.
        window_s: Failures older than this no longer count.
        open_s: Seconds of the first wait.
        max_open_s: Seconds of the longest.
        clock: Monotonic seconds.
        on_change: Called with the name, the state before and the one that holds now; must not
            raise.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        window_s: float = 60.0,
        open_s: float = 5.0,
        max_open_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        on_change: OnChange | None = None,
    ) -> None:
        self.name = name
        self._window_s = window_s
        self._open_s = open_s
        self._max_open_s = max_open_s
        self._clock = clock
        self._on_change = on_change
        self._state = BreakerState.CLOSED
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._era = 0  # grows with every change: tells late attempts from those that count
        self._probing = False
        self._wait_s = open_s
        self._due_at = 0.0
        self._opened = 0

    @property
    def state(self) -> BreakerState:
        """The state; an open one stays open until its first probe begins."""
        return self._state

    def allows(self) -> bool:
        """Say whether `attempt` would let a call through now; takes nothing."""
        if self._state is BreakerState.OPEN:
            return self._clock() >= self._due_at
        return not self._probing

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Let one call through for the length of the block; tell its outcome inside.

        The block must be bounded in time: while a probe is in it, nothing else passes.

        Raises:
            BreakerOpenError: nothing is let through now; the block is not entered.
        """
        if not self.allows():
            raise BreakerOpenError(self.name, self._retry_in_s())
        if self._state is BreakerState.OPEN:
            self._change(BreakerState.HALF_OPEN)
        era = self._era
        is_probe = self._probing = self._state is BreakerState.HALF_OPEN
        try:
            yield Attempt(lambda works: self._told(era, works=works))
        finally:
            if is_probe and era == self._era:
                self._probing = False  # it told nothing: the next one may

    def snapshot(self) -> BreakerSnapshot:
        """Return what health and logs show."""
        return BreakerSnapshot(
            self.name, self._state, len(self._failed_at), self._opened, self._retry_in_s()
        )

    def _told(self, era: int, *, works: bool) -> None:
        if era != self._era:
            return
        if not works:
            self._failed()
        elif self._state is BreakerState.HALF_OPEN:
            self._wait_s = self._open_s
            self._failed_at.clear()
            self._change(BreakerState.CLOSED)
        else:
            self._failed_at.clear()

    def _failed(self) -> None:
        now = self._clock()
        self._failed_at.append(now)
        is_full = len(self._failed_at) == self._failed_at.maxlen
        if self._state is BreakerState.HALF_OPEN:
            self._wait_s = min(self._wait_s * GROWTH, self._max_open_s)
            self._open(now)
        elif is_full and now - self._failed_at[0] <= self._window_s:
            self._open(now)

    def _open(self, now: float) -> None:
        share = random.uniform(1 - JITTER, 1)  # noqa: S311  # spreads load, no secret
        self._due_at = now + self._wait_s * share
        self._opened += 1
        self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        before, self._state = self._state, state
        self._era += 1
        self._probing = False
        if self._on_change is not None:
            self._on_change(self.name, before, state)

    def _retry_in_s(self) -> float:
        if self._state is not BreakerState.OPEN:
            return 0.0
        return max(0.0, self._due_at - self._clock())
