"""How often an address has guessed wrong lately: whoever guesses much has to wait."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

MAX_ADDRESSES = 10_000
"""Remembered at once; beyond it the one that was quiet the longest is forgotten."""
_IPV6_HOST_BITS = 64
"""Of these a single caller has as many as it likes."""


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
        failures = self._failures.get(_caller(address))
        if failures is None or len(failures) < self._limit:
            return 0.0
        return max(0.0, failures[0] + self._window_s - self._clock())

    def failed(self, address: str) -> None:
        """Count a failure: of as many as the limit the newest are kept."""
        caller = _caller(address)
        failures = self._failures.setdefault(caller, deque(maxlen=self._limit))
        failures.append(self._clock())
        self._failures.move_to_end(caller)
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)


def _caller(address: str) -> str:
    """Return what tells callers apart: of an IPv6 address the network.

    A socket for both kinds names the old one's callers `::ffff:…`: all of them are in one network.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    mapped = parsed.ipv4_mapped
    return str(int(parsed) >> _IPV6_HOST_BITS) if mapped is None else str(mapped)
