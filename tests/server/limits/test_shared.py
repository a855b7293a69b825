"""Counting with others, and alone where they cannot be asked."""

import anyio
import pytest
from prometheus_client import CollectorRegistry

from metrics.refusals import RefusalSeries
from server.limits.base import Pool, Rate, Taken
from server.limits.memory import MAX_KEYS, MemoryBudgets, MemoryPlaces, MemoryWindows
from server.limits.refusals import Refusals
from server.limits.shared import FAILURES, HeldPlaces, SharedBudgets, SharedWindows, Sharing
from server.limits.streams import Seat, StreamBounds, StreamLimits
from server.limits.subjects import Subject
from storage.errors import StorageUnavailableError

RATE = Rate(2, 60)
POOL = Pool("chat:limits:{guest_1}:turns", 2)


class Others:
    """What all workers count in: lost while `is_lost`."""

    def __init__(self) -> None:
        self.is_lost = False
        self.windows, self.places, self.budgets = MemoryWindows(), MemoryPlaces(), MemoryBudgets()

    def __getattr__(self, name: str) -> object:
        for each in ("windows", "places", "budgets"):
            if hasattr(self.__dict__[each], name):
                return self._unless_lost(getattr(self.__dict__[each], name))
        raise AttributeError(name)

    def _unless_lost(self, method: object) -> object:
        async def call(*args: object, **kwargs: object) -> object:
            if self.is_lost:
                raise StorageUnavailableError("lost")
            return await method(*args, **kwargs)  # type: ignore[operator]  # of any of the three

        return call


async def test_while_others_are_lost_each_call_is_counted_here_and_told() -> None:
    others, told = Others(), list[bool]()
    sharing = Sharing(told.append)
    windows = SharedWindows(sharing, others)  # type: ignore[arg-type]  # by its methods
    before = [(await windows.hit("k", RATE)).is_granted for _ in range(3)]
    others.is_lost = True

    alone = [(await windows.hit("k", RATE)).is_granted for _ in range(FAILURES + 1)]

    assert before == [True, True, False]
    assert alone == [True, True, False, False]
    assert told == [True]
    assert sharing.is_alone


async def test_places_that_were_taken_alone_are_shared_when_others_are_back() -> None:
    others = Others()
    others.is_lost = True
    places = HeldPlaces(Sharing(lambda _: None), others)  # type: ignore[arg-type]  # by its methods
    taken = [await places.take(POOL, f"turn_{n}") for n in range(3)]
    others.is_lost = False

    await others.places.renew(places._own.held)

    assert taken == [Taken.TAKEN, Taken.TAKEN, Taken.FULL]
    assert await others.places.count(POOL.key) == 2


async def test_what_was_used_is_settled_when_others_are_back_and_only_once() -> None:
    others = Others()
    budgets = SharedBudgets(Sharing(lambda _: None), others)  # type: ignore[arg-type]  # by its methods
    await budgets.reserve("k", "turn_1", 300, limit=1000)
    others.is_lost = True
    budgets.settle("k", "turn_1", 40)
    await budgets.close()
    lost = (await others.budgets.spend("k", 0)).amount
    others.is_lost = False

    for _ in range(2):
        await budgets.close()

    assert lost == 300
    assert (await others.budgets.spend("k", 0)).amount == 40


async def test_a_stream_that_never_begins_leaves_its_seat() -> None:
    places = HeldPlaces(Sharing(lambda _: None), None)
    refusals = Refusals(RefusalSeries(CollectorRegistry()))
    streams = StreamLimits(places, StreamBounds(1, 1), refusals=refusals, worker_id="w")
    owner = Subject("guest_1")
    seat = await streams.seat([owner], "turn_1")
    assert isinstance(seat, Seat)

    class Answer:
        pass

    answer = Answer()
    seat.keep_for(answer)
    full = await streams.seat([owner], "turn_1")
    del answer

    assert isinstance(full, float)
    assert isinstance(await streams.seat([owner], "turn_1"), Seat)


async def test_a_guest_who_finds_no_seat_leaves_none_taken_at_their_address() -> None:
    places = HeldPlaces(Sharing(lambda _: None), None)
    refusals = Refusals(RefusalSeries(CollectorRegistry()))
    streams = StreamLimits(places, StreamBounds(1, 0), refusals=refusals, worker_id="w")
    address, guest = Subject("addr_1", 10), Subject("guest_1")
    await streams.seat([address, guest], "turn_1")

    await streams.seat([address, guest], "turn_1")

    assert await streams.open_streams(address) == 1


async def test_memory_forgets_who_was_quiet_the_longest_and_stays_bounded() -> None:
    windows = MemoryWindows()
    with anyio.fail_after(20):
        for n in range(MAX_KEYS + 10):
            await windows.hit(f"k{n}", RATE)

    assert len(windows._calls) == MAX_KEYS
    assert (await windows.peek("k0", RATE)).remaining == 2
    assert (await windows.peek(f"k{MAX_KEYS}", RATE)).remaining == 1


async def test_memory_forgets_calls_that_no_longer_count_without_being_asked() -> None:
    at = 0.0
    windows = MemoryWindows(lambda: at)
    hour = Rate(2, 3600)
    await windows.hit("once", RATE)
    await windows.hit("twice", hour)
    at = 3000.0
    await windows.hit("twice", hour)
    at = 3700.0

    await windows.hit("new", RATE)

    assert set(windows._calls) == {"twice", "new"}
    assert (await windows.peek("twice", hour)).remaining == 1


@pytest.mark.parametrize("text", ["", "5", "5/0", "a/b", "5/60/1", "-5/60", "1e3/60", "100001/60"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|takes"):
        Rate.parse(text)


async def test_alone_a_turn_is_settled_by_what_was_used() -> None:
    budgets = SharedBudgets(Sharing(lambda _: None), None)
    await budgets.reserve("k", "turn_1", 300, limit=1000)

    budgets.settle("k", "turn_1", 40)
    await budgets.close()

    assert (await budgets.spend("k", 0)).amount == 40
