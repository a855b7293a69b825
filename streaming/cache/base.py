"""The seam: bytes under a key, for a while. Everything in it can be made again.

Fails open: a cache that cannot be reached answers «not there» and forgets, visibly (counted), and
never raises.
"""

from typing import Protocol


class Cache(Protocol):
    """A bounded store of byte strings."""

    async def get(self, key: str) -> bytes | None:
        """Return what was put under the key, or None: never there, expired, or evicted."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Keep a value for the cache's time to live; the least recently used make room for it.

        A value larger than the whole cache is not kept.
        """
        ...

    async def close(self) -> None:
        """Release connections; safe to call twice."""
        ...
