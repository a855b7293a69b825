"""Who deleted their account, until no worker takes a call of theirs any more."""

import time
from collections import deque
from collections.abc import Awaitable, Callable

CALL_S = 10.0
"""A call that was let in at the last moment has begun what it begins by then."""
MAX_LEAVERS = 10_000
"""Remembered at once; of more the first is forgotten."""


class Leavers:
    """Remembers for each leaver when to look once more for what they left; a crash forgets them.

    Args:
        check_s: Seconds in which another worker may still take their session or key for good.
        clock: Monotonic seconds.
    """

    def __init__(self, *, check_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._after_s = check_s + CALL_S
        self._clock = clock
        self._due: deque[tuple[float, str]] = deque(maxlen=MAX_LEAVERS)

    def left(self, user_id: str) -> None:
        """Remember somebody whose account has just been deleted."""
        self._due.append((self._clock() + self._after_s, user_id))

    async def see_off(self, delete: Callable[[str], Awaitable[object]]) -> None:
        """Have what is left of those who are due deleted; where that fails, again the next time."""
        while self._due and self._due[0][0] <= self._clock():
            leaver = self._due[0]
            await delete(leaver[1])
            if self._due and self._due[0] is leaver:  # not pushed out meanwhile
                self._due.popleft()
