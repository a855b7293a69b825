"""Counting in this process: without Redis for all that it serves, else while Redis is lost.

Bounded: of keys beyond the bounds the one that was quiet the longest is forgotten. Of calls also
those that no longer count, though nobody asks for them again.
"""

import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from server.limits.base import Allowance, Pool, Rate, Spent, Taken

MAX_KEYS = 50_000
MAX_CALLS = 1_000_000
"""Remembered of all keys together; 8 MB, beside 16 MB for as many keys as there may be."""
DAY_S = 86_400

T = TypeVar("T")


class MemoryWindows:
    """Moving windows.

    Args:
        clock: Monotonic seconds: a clock that is set does not move them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Arrays: a deque takes 760 bytes for the one call that most keys have.
        self._calls: OrderedDict[str, array[float]] = OrderedDict()
        self._count = 0
        self._longest_s = 0

    async def hit(self, key: str, rate: Rate) -> Allowance:
        calls, now = self._within(key, rate), self._clock()
        is_granted = len(calls) < rate.limit
        if is_granted:
            calls.append(now)
            self._count += 1
            self._calls[key] = calls
            self._calls.move_to_end(key)
            self._longest_s = max(self._longest_s, rate.window_s)
            self._forget(now)
        return _allowance(calls, rate, now, is_granted=is_granted)

    async def peek(self, key: str, rate: Rate) -> Allowance:
        calls = self._within(key, rate)
        is_granted = len(calls) < rate.limit
        return _allowance(calls, rate, self._clock(), is_granted=is_granted)

    def _within(self, key: str, rate: Rate) -> "array[float]":
        calls = self._calls.get(key)
        if calls is None:
            return array("d")
        gone = bisect_right(calls, self._clock() - rate.window_s)
        del calls[:gone]
        self._count -= gone
        return calls

    def _forget(self, now: float) -> None:
        """Forget keys beyond the bounds, and those whose calls count in no window any more."""
        while self._calls:
            key, calls = next(iter(self._calls.items()))
            is_over = len(self._calls) > MAX_KEYS or self._count > MAX_CALLS
            if not is_over and calls and calls[-1] > now - self._longest_s:
                return
            del self._calls[key]
            self._count -= len(calls)


def _allowance(calls: "array[float]", rate: Rate, now: float, *, is_granted: bool) -> Allowance:
    reset_s = calls[0] + rate.window_s - now if calls else 0.0
    return Allowance(is_granted, rate, max(0, rate.limit - len(calls)), reset_s)


class MemoryPlaces:
    """Places of this process's own turns and readers: no lease runs out, for all go with it."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, None]] = {}

    async def take(self, pool: Pool, member: str) -> Taken:
        held = self.held.get(pool.key, {})
        if member not in held:
            if pool.limit and len(held) >= pool.limit:
                return Taken.FULL
            if pool.group_limit:
                beside = sum(each.startswith(pool.group) for each in held)
                if beside >= pool.group_limit:
                    return Taken.GROUP_FULL
            self.hold(pool.key, member)
        return Taken.TAKEN

    def hold(self, key: str, member: str) -> None:
        """Note a place that is taken, whatever the bounds."""
        self.held.setdefault(key, {})[member] = None

    def free(self, key: str, member: str) -> None:
        """Strike off a place."""
        held = self.held.get(key)
        if held is not None and member in held:
            del held[member]
            if not held:
                del self.held[key]

    async def renew(self, held: Mapping[str, Collection[str]]) -> None:
        for key, members in held.items():
            for member in members:
                self.hold(key, member)

    async def give_back(self, key: str, members: Collection[str]) -> None:
        for member in members:
            self.free(key, member)

    async def count(self, key: str) -> int:
        return len(self.held.get(key, ()))


class _Day:
    """What one key has spent on a day."""

    __slots__ = ("day", "reserved", "spent")

    def __init__(self, day: int) -> None:
        self.day = day
        self.spent = 0
        self.reserved: dict[str, int] = {}


class MemoryBudgets:
    """Budgets of the days of UTC.

    Args:
        now: Seconds since 1970.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._days: OrderedDict[str, _Day] = OrderedDict()

    async def reserve(self, key: str, member: str, amount: int, *, limit: int) -> Spent:
        today = self._today(key)
        if member not in today.reserved:
            if today.spent + min(amount, limit) > limit:
                return self._spent(today, is_granted=False)
            today.reserved[member] = amount
            today.spent += amount
        return self._spent(today)

    async def settle(self, key: str, member: str, amount: int) -> None:
        today = self._today(key)
        reserved = today.reserved.pop(member, None)
        if reserved is not None:
            today.spent += amount - reserved
        if not today.reserved:
            today.reserved = {}  # an emptied one keeps its table, 170 bytes for each of the day

    async def spend(self, key: str, amount: int) -> Spent:
        today = self._today(key)
        today.spent += amount
        return self._spent(today)

    def _today(self, key: str) -> _Day:
        number = int(self._now() // DAY_S)
        found = self._days.get(key)
        if found is None or found.day != number:
            found = self._days[key] = _Day(number)
        self._days.move_to_end(key)
        if len(self._days) > MAX_KEYS:
            self._days.popitem(last=False)
        return found

    def _spent(self, today: _Day, *, is_granted: bool = True) -> Spent:
        return Spent(is_granted, today.spent, DAY_S - int(self._now() % DAY_S))
