"""The seam: what counts calls, places and budgets. Redis and memory keep these promises.

A key names whom and what is counted. All that is kept may be lost: then counting begins anew.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

_RATE = re.compile(r"([0-9]{1,9})/([0-9]{1,6})", re.ASCII)
MAX_CALLS = 100_000
MAX_WINDOW_S = 86_400


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in any `window_s` seconds; a limit of 0: as many as one likes."""

    limit: int
    window_s: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rate that `300/900` means; `0` is none.

        Raises:
            ValueError: it is no rate.
        """
        if text == "0":
            return cls(0, 1)
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError("must be calls/seconds, such as 300/900, or 0")
        limit, window_s = int(match[1]), int(match[2])
        if limit > MAX_CALLS or not 1 <= window_s <= MAX_WINDOW_S:
            raise ValueError(f"takes {MAX_CALLS} calls and {MAX_WINDOW_S} seconds at the most")
        return cls(limit, window_s)

    def times(self, factor: int) -> "Rate":
        """Return the rate of whom several share."""
        return Rate(self.limit * factor, self.window_s)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a rate leaves.

    Args:
        is_granted: The call may go on; it has been counted.
        rate: Of which.
        remaining: Calls that may follow at once.
        reset_s: Seconds until the oldest call that counts no longer does; 0: none counts.
    """

    is_granted: bool
    rate: Rate
    remaining: int
    reset_s: float


class Windows(Protocol):
    """Counts calls in a moving window: no window has an edge at which twice as many pass."""

    async def hit(self, key: str, rate: Rate) -> Allowance:
        """Count a call, or refuse it: what is refused is not counted.

        One step: of calls at the same time exactly as many are granted as are left.
        """
        ...

    async def peek(self, key: str, rate: Rate) -> Allowance:
        """Return what is left; counts nothing."""
        ...


class Taken(StrEnum):
    """What became of the wish for a place."""

    TAKEN = "taken"
    FULL = "full"
    GROUP_FULL = "group_full"


@dataclass(frozen=True, slots=True)
class Pool:
    """Places under one key. A bound of 0 is none.

    `group` is how the names of those begin of whom there may be `group_limit`.
    """

    key: str
    limit: int
    group: str = ""
    group_limit: int = 0


LEASE_S = 30.0
"""A place whose holder is silent for so long is free: it crashed."""
RENEW_EVERY_S = 8.0
"""Three renewals may fail before a place is lost."""


class Places(Protocol):
    """Places that are held for a while, such as turns that run; each is leased to its holder."""

    async def take(self, pool: Pool, member: str) -> Taken:
        """Take a place; one that the member has is renewed. One step."""
        ...

    async def renew(self, held: Mapping[str, Collection[str]]) -> None:
        """Prolong the leases of members, by key; one that had run out is taken again."""
        ...

    async def give_back(self, key: str, members: Collection[str]) -> None:
        """Free the places of members."""
        ...

    async def count(self, key: str) -> int:
        """Return how many places are taken."""
        ...


@dataclass(frozen=True, slots=True)
class Spent:
    """What is spent of a day's budget, reservations included. Days are UTC's."""

    is_granted: bool
    amount: int
    resets_in_s: int


class Budgets(Protocol):
    """What one may use in a day, in whole units. A new day begins with nothing spent."""

    async def reserve(self, key: str, member: str, amount: int, *, limit: int) -> Spent:
        """Spend what is going to be needed, where it is left; a member's second time is granted.

        The day's first is always granted: else what costs more than the limit could never be. One
        step: wishes at the same time never pass the limit together.
        """
        ...

    async def settle(self, key: str, member: str, amount: int) -> None:
        """Put what was used in place of a reservation of today; without one nothing changes."""
        ...

    async def spend(self, key: str, amount: int) -> Spent:
        """Add what was used; with 0, ask."""
        ...
