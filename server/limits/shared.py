"""Counting with all workers, and by this process alone while Redis is lost: limits fail open.

A process alone begins with nothing counted, so N workers grant up to N times as much meanwhile.
What is held is known here, too: it is in Redis again within `RENEW_EVERY_S` of its return.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import TypeVar

import anyio
import structlog

from resilience.breaker import Breaker, BreakerOpenError, BreakerState
from server.limits.base import (
    RENEW_EVERY_S,
    Allowance,
    Budgets,
    Places,
    Pool,
    Rate,
    Spent,
    Taken,
    Windows,
)
from server.limits.memory import MemoryBudgets, MemoryPlaces, MemoryWindows
from storage.errors import StorageUnavailableError

log = structlog.get_logger(__name__)

MAX_UNSETTLED = 20_000
"""Ends of turns that are still to be told; of more, the oldest stay at what was reserved."""
OPEN_S = 0.5
MAX_OPEN_S = 5.0
FAILURES = 3
"""Calls in a row that fail; each may have held up somebody for the deadline."""

T = TypeVar("T")


class Sharing:
    """Asks Redis, and this process where Redis does not answer.

    Args:
        on_change: Told whether this process counts alone, at each change.
    """

    def __init__(self, on_change: Callable[[bool], None]) -> None:
        self._on_change = on_change
        self._breaker = Breaker(
            "limits",
            failures=FAILURES,
            open_s=OPEN_S,
            max_open_s=MAX_OPEN_S,
            on_change=self._changed,
        )

    @property
    def is_alone(self) -> bool:
        """Whether this process counts by itself now."""
        return self._breaker.state is not BreakerState.CLOSED

    async def asked(
        self, together: Callable[[], Awaitable[T]], alone: Callable[[], Awaitable[T]]
    ) -> T:
        """Return Redis' answer, else this process's own."""
        try:
            return await self.told(together)
        except StorageUnavailableError:
            return await alone()

    async def told(self, together: Callable[[], Awaitable[T]]) -> T:
        """Return Redis' answer.

        Raises:
            StorageUnavailableError: there is none.
        """
        try:
            with self._breaker.attempt() as attempt:
                try:
                    answer = await together()
                except StorageUnavailableError:
                    attempt.failed()
                    raise
                attempt.succeeded()
                return answer
        except BreakerOpenError:
            raise StorageUnavailableError("limits are counted by each process") from None

    def _changed(self, _: str, before: BreakerState, after: BreakerState) -> None:
        was_alone, is_alone = (each is not BreakerState.CLOSED for each in (before, after))
        if was_alone != is_alone:
            log.warning("limits.counted_alone" if is_alone else "limits.counted_together")
            self._on_change(is_alone)


class SharedWindows:
    """Moving windows of all workers, or of this process."""

    def __init__(self, sharing: Sharing, together: Windows) -> None:
        self._sharing = sharing
        self._together = together
        self._alone = MemoryWindows()

    async def hit(self, key: str, rate: Rate) -> Allowance:
        return await self._sharing.asked(
            lambda: self._together.hit(key, rate), lambda: self._alone.hit(key, rate)
        )

    async def peek(self, key: str, rate: Rate) -> Allowance:
        return await self._sharing.asked(
            lambda: self._together.peek(key, rate), lambda: self._alone.peek(key, rate)
        )


class HeldPlaces:
    """This process's places: taken where they are counted, renewed and given back by `run`.

    A place whose holder ends is free at once here, and within a moment for the other workers.

    Args:
        sharing: Asks Redis.
        together: All workers' places; None: there is only this process.
    """

    def __init__(self, sharing: Sharing, together: Places | None) -> None:
        self._sharing = sharing
        self._together = together
        self._own = MemoryPlaces()
        self._left: dict[str, set[str]] = {}
        self._changed = anyio.Event()
        self._renewed_at = monotonic()

    async def take(self, pool: Pool, member: str) -> Taken:
        """Take a place; see `Places`.

        What this process holds is bounded first: so it is however often Redis comes and goes.
        """
        together = self._together
        taken = await self._own.take(pool, member)
        if together is None or taken is not Taken.TAKEN:
            return taken
        try:
            taken = await self._sharing.told(lambda: together.take(pool, member))
        except StorageUnavailableError:
            return taken
        except BaseException:
            self.give_back(pool.key, member)
            raise
        if taken is not Taken.TAKEN:
            self._own.free(pool.key, member)
        return taken

    def hold(self, key: str, member: str) -> None:
        """Renew a place from now on, whoever took it."""
        left = self._left.get(key, set())
        left.discard(member)
        if not left:
            self._left.pop(key, None)
        self._own.hold(key, member)

    def give_back(self, key: str, member: str) -> None:
        """Free a place; waits for nobody."""
        self._own.free(key, member)
        if self._together is not None:
            self._left.setdefault(key, set()).add(member)
            self._changed.set()

    def leave(self, key: str, member: str) -> None:
        """Renew a place no longer: another worker does, or its lease runs out."""
        self._own.free(key, member)

    async def count(self, key: str) -> int:
        """Return how many places are taken."""
        together = self._together
        if together is None:
            return await self._own.count(key)
        return await self._sharing.asked(lambda: together.count(key), lambda: self._own.count(key))

    async def run(self) -> None:
        """Do one round of renewing and giving back, when there is something to do."""
        together = self._together
        if together is None:
            await anyio.sleep(RENEW_EVERY_S)
            return
        with anyio.move_on_after(max(0.0, self._renewed_at + RENEW_EVERY_S - monotonic())):
            await self._changed.wait()
        self._changed = anyio.Event()
        await self._tell_left(together)
        if monotonic() >= self._renewed_at + RENEW_EVERY_S:
            self._renewed_at = monotonic()
            held = {key: tuple(members) for key, members in self._own.held.items()}
            if held:
                await self._tell(lambda: together.renew(held))

    async def close(self) -> None:
        """Tell what was given back last; what cannot be told runs out."""
        if self._together is not None:
            await self._tell_left(self._together)

    async def _tell_left(self, together: Places) -> None:
        while self._left:
            key, members = self._left.popitem()
            if not await self._tell(partial(together.give_back, key, members)):
                self._left.clear()  # their leases run out
                return

    async def _tell(self, what: Callable[[], Awaitable[None]]) -> bool:
        try:
            await self._sharing.told(what)
        except StorageUnavailableError:
            return False
        return True


class SharedBudgets:
    """Days' budgets of all workers, or of this process; what was used is told by `run`."""

    def __init__(self, sharing: Sharing, together: Budgets | None) -> None:
        self._sharing = sharing
        self._together = together
        self._alone = MemoryBudgets()
        self._unsettled: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._changed = anyio.Event()

    async def reserve(self, key: str, member: str, amount: int, *, limit: int) -> Spent:
        """Spend what is going to be needed; see `Budgets`."""
        together, alone = self._together, self._alone

        async def own() -> Spent:
            return await alone.reserve(key, member, amount, limit=limit)

        if together is None:
            return await own()
        return await self._sharing.asked(
            lambda: together.reserve(key, member, amount, limit=limit), own
        )

    async def spend(self, key: str, amount: int) -> Spent:
        """Add what was used; see `Budgets`."""
        together, alone = self._together, self._alone
        if together is None:
            return await alone.spend(key, amount)
        return await self._sharing.asked(
            lambda: together.spend(key, amount), lambda: alone.spend(key, amount)
        )

    def settle(self, key: str, member: str, amount: int) -> None:
        """Put what was used in place of a reservation; waits for nobody, and holds once."""
        self._unsettled[key, member] = amount
        if len(self._unsettled) > MAX_UNSETTLED:
            self._unsettled.popitem(last=False)
        self._changed.set()

    async def run(self) -> None:
        """Settle what there is to settle; while Redis is lost it is kept."""
        await self._changed.wait()
        self._changed = anyio.Event()
        await self._settle_all()

    async def close(self) -> None:
        """Settle what was left; what cannot be told stays at what was reserved."""
        await self._settle_all()

    async def _settle_all(self) -> None:
        while self._unsettled:
            (key, member), amount = next(iter(self._unsettled.items()))
            await self._alone.settle(key, member, amount)
            if self._together is not None and not await self._told(key, member, amount):
                self._changed.set()
                return
            self._unsettled.pop((key, member), None)

    async def _told(self, key: str, member: str, amount: int) -> bool:
        together = self._together
        assert together is not None  # noqa: S101  # asked before
        try:
            await self._sharing.told(lambda: together.settle(key, member, amount))
        except StorageUnavailableError:
            return False
        return True
