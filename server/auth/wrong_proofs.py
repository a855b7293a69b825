"""Guesses at tokens and keys: an address that sent many wrong ones is let try once a second.

Nobody is locked out: what has proved itself from an address before passes there at once, whoever
else guesses behind the same address; what is new there takes one of the tries that are left.
"""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from server.auth.failed_tries import FailedTries

TRIES = 10
WINDOW_S = 900.0
"""Wrong ones of one address, and the seconds in which they count."""
TRY_EVERY_S = 1.0
MAX_PROVED = 10_000
"""Of all addresses together; the one that was not used the longest is forgotten."""


class WrongProofs:
    """Decides whose bearer is looked at.

    Args:
        is_counting: Off, everybody's always is.
        clock: Monotonic seconds.
    """

    def __init__(
        self, *, is_counting: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_counting = is_counting
        self._failed = FailedTries(limit=TRIES, window_s=WINDOW_S, clock=clock)
        self._lane = FailedTries(limit=1, window_s=TRY_EVERY_S, clock=clock)
        self._proved: OrderedDict[bytes, None] = OrderedDict()

    def wait_s(self, address: str, bearer: str) -> float:
        """Return whole seconds until a bearer may be tried; 0: now, and the try is taken."""
        if not self._is_counting or self._failed.wait_s(address) <= 0:
            return 0.0
        if _mark(address, bearer) in self._proved:
            return 0.0
        wait_s = self._lane.wait_s(address)
        if wait_s <= 0:
            self._lane.failed(address)
        return math.ceil(wait_s)

    def failed(self, address: str) -> None:
        """Count a wrong one."""
        self._failed.failed(address)

    def proved(self, address: str, bearer: str) -> None:
        """Remember what was right."""
        mark = _mark(address, bearer)
        self._proved[mark] = None
        self._proved.move_to_end(mark)
        if len(self._proved) > MAX_PROVED:
            self._proved.popitem(last=False)


def _mark(address: str, bearer: str) -> bytes:
    return hashlib.sha256(f"{address} {bearer}".encode()).digest()
