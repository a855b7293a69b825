"""How often an address has guessed wrong lately: whoever guesses much has to wait."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from server.limits.addresses import caller_of

MAX_ADDRESSES = 10_000
"""Remembered at once; beyond it the one that was quiet the longest is forgotten."""


class FailedTries:
    """Counts failures of each address over a sliding window, in this process.

    Args:
        limit: Failures in the window; then the address has to wait.
        window_s: Seconds in which a failure counts.
        clock: Monotonic seconds.
    """

    def __init__(
        self, *, limit: int, window_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return the seconds until the address may try again; 0: now."""
        failures = self._failures.get(caller_of(address))
        if failures is None or len(failures) < self._limit:
            return 0.0
        return max(0.0, failures[0] + self._window_s - self._clock())

    def failed(self, address: str) -> None:
        """Count a failure: of as many as the limit the newest are kept."""
        caller = caller_of(address)
        failures = self._failures.setdefault(caller, deque(maxlen=self._limit))
        failures.append(self._clock())
        self._failures.move_to_end(caller)
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
