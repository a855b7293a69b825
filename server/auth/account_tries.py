"""Wrong passwords of one account, from whichever addresses: slowed down, never locked out.

After a few failures an account takes one try a minute from addresses that it never signed in from.
Whoever signs in from where they did before does not wait. Of an account that does not exist the
same is counted: how one is answered tells nothing.

Source: OWASP ASVS 5.0 V6.1.1, V6.3.1.
"""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection

from server.auth.failed_tries import FailedTries

FREE_TRIES = 5
WINDOW_S = 900.0
"""Failures that cost nothing, and the seconds in which one counts."""
TRY_EVERY_S = 60.0
MAX_KNOWN = 10_000
"""Accounts' addresses that are remembered here; the store knows those of running sessions."""


class AccountTries:
    """Counts failures of each account, in this process.

    Args:
        is_counting: Off, nobody is ever slowed.
        clock: Monotonic seconds.
    """

    def __init__(
        self, *, is_counting: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_counting = is_counting
        self._failed = FailedTries(limit=FREE_TRIES, window_s=WINDOW_S, clock=clock)
        self._lane = FailedTries(limit=1, window_s=TRY_EVERY_S, clock=clock)
        self._known: OrderedDict[str, None] = OrderedDict()

    def is_slowed(self, email: str) -> bool:
        """Say whether an account has had its free tries."""
        return self._is_counting and self._failed.wait_s(_account(email)) > 0

    def wait_s(self, email: str, address: str, *, known_addresses: Collection[str]) -> float:
        """Return whole seconds until an account takes another try; 0: now, and it is taken.

        Args:
            email: As it is stored.
            address: Where the try comes from.
            known_addresses: Where the account has signed in from.
        """
        if not self.is_slowed(email) or address in known_addresses:
            return 0.0
        if _place(email, address) in self._known:
            return 0.0
        wait_s = self._lane.wait_s(_account(email))
        if wait_s <= 0:
            self._lane.failed(_account(email))
        return math.ceil(wait_s)

    def failed(self, email: str) -> None:
        """Count a wrong password."""
        self._failed.failed(_account(email))

    def succeeded(self, email: str, address: str) -> None:
        """Remember where an account signs in from."""
        place = _place(email, address)
        self._known[place] = None
        self._known.move_to_end(place)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


def _account(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()


def _place(email: str, address: str) -> str:
    return _account(f"{email} {address}")
