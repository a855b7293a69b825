"""The embedded cache: byte strings in this process's memory."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

ENTRY_OVERHEAD_BYTES = 384
"""What CPython keeps for an entry beside the characters of its key and the bytes of its value.

Measured: 290 to 340 bytes with 64-character keys, from 100 to 100,000 entries.
"""


@dataclass(frozen=True, slots=True)
class _Entry:
    value: bytes
    expires_at: float


class MemoryCache:
    """Values of this process. Every call is O(1) (`put` on average), and none ever waits.

    The expired leave first, then the least recently used. Use it from the event loop's thread.

    Args:
        max_bytes: Bound of everything held: keys, values and what each entry costs beside them.
        ttl_s: Seconds from a `put` until the value is gone; reading does not prolong it.
        clock: Monotonic seconds.
    """

    def __init__(
        self, *, max_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._by_use: OrderedDict[str, _Entry] = OrderedDict()
        self._by_age: OrderedDict[str, None] = OrderedDict()  # all live equally long: by expiry
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What is held now, counted as `max_bytes` is."""
        return self._held_bytes

    async def get(self, key: str) -> bytes | None:
        entry = self._by_use.get(key)
        if entry is None:
            return None
        if entry.expires_at <= self._clock():
            self._drop(key)
            return None
        self._by_use.move_to_end(key)
        return entry.value

    async def put(self, key: str, value: bytes) -> None:
        now = self._clock()
        self._drop_expired(now)
        if key in self._by_use:
            self._drop(key)  # also where the new value is too large: the old one is out of date
        size_bytes = _size_bytes(key, value)
        if size_bytes > self._max_bytes:
            return
        while self._held_bytes + size_bytes > self._max_bytes:
            self._drop(next(iter(self._by_use)))
        self._by_use[key] = _Entry(value, now + self._ttl_s)
        self._by_age[key] = None
        self._held_bytes += size_bytes

    async def close(self) -> None:
        self._by_use.clear()
        self._by_age.clear()
        self._held_bytes = 0

    def _drop_expired(self, now: float) -> None:
        while self._by_age:
            oldest = next(iter(self._by_age))
            if self._by_use[oldest].expires_at > now:
                return
            self._drop(oldest)

    def _drop(self, key: str) -> None:
        entry = self._by_use.pop(key)
        del self._by_age[key]
        self._held_bytes -= _size_bytes(key, entry.value)


def _size_bytes(key: str, value: bytes) -> int:
    return len(key.encode(errors="surrogatepass")) + len(value) + ENTRY_OVERHEAD_BYTES
