"""A retry budget: while everything fails, asking again must not double the load that it adds to.

Only further calls in the name of work that has begun are counted against it: a retry, or going on
with an answer that broke off. Whoever has used it up lets the failure stand.
"""

import time
from collections import deque
from collections.abc import Callable

SLICES = 12
"""The window moves by a twelfth of itself."""


class RetryBudget:
    """Grants at most `floor` further calls a window, and `share` more for each one begun in it.

    Exact but for a slice: what is granted in any `window_s` less one slice stays within what was
    begun in `window_s`. Takes the memory of `SLICES` numbers, whatever the load. Not thread-safe:
    use it from one event loop.

    Args:
        share: Further calls for each piece of work that has begun; 0.1 is one in ten.
        floor: Further calls that are granted however little has begun, so that a quiet service
            can try again at all.
        window_s: Seconds that count.
        clock: Monotonic seconds.
        on_refused: Called for each further call that is not granted; must not raise.
    """

    def __init__(
        self,
        *,
        share: float = 0.1,
        floor: int = 20,
        window_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        on_refused: Callable[[], None] | None = None,
    ) -> None:
        self._share = share
        self._floor = floor
        self._slice_s = window_s / SLICES
        self._clock = clock
        self._on_refused = on_refused
        self._slices: deque[_Slice] = deque()
        self._begun = 0
        self._spent = 0

    def begin(self) -> None:
        """Count a piece of work that has begun."""
        self._current().begun += 1
        self._begun += 1

    def spend(self) -> bool:
        """Take one further call out of the budget; False where it is used up: do not call."""
        current = self._current()
        if self._spent + 1 > self._floor + self._share * self._begun:
            if self._on_refused is not None:
                self._on_refused()
            return False
        current.spent += 1
        self._spent += 1
        return True

    def _current(self) -> "_Slice":
        """Return the slice that is now, once those that are out of the window are gone."""
        place = int(self._clock() // self._slice_s)
        slices = self._slices
        while slices and slices[0].place <= place - SLICES:
            gone = slices.popleft()
            self._begun -= gone.begun
            self._spent -= gone.spent
        if not slices or slices[-1].place != place:
            slices.append(_Slice(place))
        return slices[-1]


class _Slice:
    """What happened in one part of the window."""

    __slots__ = ("begun", "place", "spent")

    def __init__(self, place: int) -> None:
        self.place = place
        self.begun = 0
        self.spent = 0
