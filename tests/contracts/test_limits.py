"""What everything that counts promises: exact bounds, places that come back, days that end."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from time import time

import anyio
import pytest

from server.limits.base import LEASE_S, Budgets, Places, Pool, Rate, Taken, Windows
from server.limits.memory import DAY_S, MemoryBudgets, MemoryPlaces, MemoryWindows
from server.limits.redis import RedisBudgets, RedisPlaces, RedisWindows
from storage.redis import RedisConnection
from tests.support.redis import RedisServer, running_redis
from tests.support.redis_ha import running_cluster

PATIENCE_S = 20.0
KEY = "chat:limits:{guest_1}:rate:api"


class Clock:
    """The time as memory is told it: it passes when a test says so."""

    def __init__(self) -> None:
        self.s = 20_000 * DAY_S + 100.0

    def __call__(self) -> float:
        return self.s


@dataclass
class Counting:
    """One way of counting, and how time passes in it."""

    windows: Windows
    places: Places
    budgets: Budgets
    passes: Callable[[str, float], Awaitable[None]]
    is_shared: bool = False


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def _in_memory() -> Counting:
    clock = Clock()

    async def passes(_: str, seconds: float) -> None:
        clock.s += seconds

    return Counting(MemoryWindows(clock), MemoryPlaces(), MemoryBudgets(clock), passes)


def _in_redis(server: RedisServer) -> tuple[Counting, RedisConnection]:
    connection = RedisConnection(server.url, timeout_s=PATIENCE_S)

    async def passes(key: str, seconds: float) -> None:
        """Make what is kept older: the server's clock is not ours to set."""
        with server.client(decode_responses=True) as client:
            match str(client.type(key)):
                case "list":
                    times = [int(each) - int(seconds * 1e6) for each in client.lrange(key, 0, -1)]
                    client.delete(key)
                    client.rpush(key, *times)
                case "zset":
                    for member, _ in client.zrange(key, 0, -1, withscores=True):
                        client.zincrby(key, -1000 * seconds, member)
                case "hash":
                    client.hincrby(key, "day", -int(seconds // DAY_S))
                case _:
                    pass

    places, budgets = RedisPlaces(connection), RedisBudgets(connection)
    return Counting(RedisWindows(connection), places, budgets, passes, True), connection


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
async def counting(request: pytest.FixtureRequest) -> AsyncIterator[Counting]:
    if request.param == "memory":
        yield _in_memory()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    with server.client() as client:
        client.flushall()
    counting, connection = _in_redis(server)
    yield counting
    await connection.close()


@pytest.fixture
async def shared(redis_server: RedisServer) -> AsyncIterator[Counting]:
    with redis_server.client() as client:
        client.flushall()
    counting, connection = _in_redis(redis_server)
    yield counting
    await connection.close()


async def granted_of(count: int, wish: Callable[[], Awaitable[bool]]) -> int:
    """Return how many of so many wishes at the same time are granted."""
    answers: list[bool] = []

    async def one() -> None:
        answers.append(await wish())

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(one)
    return sum(answers)


async def test_of_fifty_calls_at_once_exactly_as_many_pass_as_may(counting: Counting) -> None:
    rate = Rate(10, 60)

    async def call() -> bool:
        return (await counting.windows.hit(KEY, rate)).is_granted

    assert await granted_of(50, call) == 10


async def test_what_is_refused_is_not_counted_and_one_that_is_asked_about_neither(
    counting: Counting,
) -> None:
    rate = Rate(2, 60)
    left = [(await counting.windows.hit(KEY, rate)).remaining for _ in range(2)]
    await counting.passes(KEY, 30)

    asked = await counting.windows.peek(KEY, rate)
    refused = [await counting.windows.hit(KEY, rate) for _ in range(5)]
    await counting.passes(KEY, 30.1)
    later = await counting.windows.hit(KEY, rate)

    assert left == [1, 0]
    assert (asked.is_granted, asked.remaining) == (False, 0)
    assert [each.is_granted for each in refused] == [False] * 5
    assert 29 < refused[-1].reset_s <= 30
    assert (later.is_granted, later.remaining) == (True, 1)


async def test_a_window_has_no_edge_at_which_twice_as_many_pass(counting: Counting) -> None:
    rate = Rate(3, 60)
    await counting.windows.hit(KEY, rate)
    await counting.passes(KEY, 58)
    before = [(await counting.windows.hit(KEY, rate)).is_granted for _ in range(3)]
    await counting.passes(KEY, 4)  # of windows that begin anew each minute this would be another

    after = [(await counting.windows.hit(KEY, rate)).is_granted for _ in range(3)]

    assert before == [True, True, False]
    assert after == [True, False, False]


async def test_whoever_asked_for_nothing_has_everything(counting: Counting) -> None:
    asked = await counting.windows.peek(KEY, Rate(7, 60))

    assert (asked.is_granted, asked.remaining, asked.reset_s) == (True, 7, 0.0)


async def test_of_fifty_wishes_for_five_places_five_are_granted(counting: Counting) -> None:
    pool = Pool("chat:limits:{guest_1}:turns", 5)
    names = iter(f"turn_{n}" for n in range(50))

    async def take() -> bool:
        return await counting.places.take(pool, next(names)) is Taken.TAKEN

    assert await granted_of(50, take) == 5
    assert await counting.places.count(pool.key) == 5


async def test_a_place_that_is_given_back_is_free_and_one_held_already_is_kept(
    counting: Counting,
) -> None:
    pool = Pool("chat:limits:{guest_1}:turns", 1)
    first = [await counting.places.take(pool, "turn_1") for _ in range(2)]

    full = await counting.places.take(pool, "turn_2")
    await counting.places.give_back(pool.key, ["turn_1"])
    free = await counting.places.take(pool, "turn_2")

    assert first == [Taken.TAKEN, Taken.TAKEN]
    assert (full, free) == (Taken.FULL, Taken.TAKEN)


async def test_a_group_has_a_bound_of_its_own(counting: Counting) -> None:
    key = "chat:limits:{guest_1}:readers"

    async def take(turn: str, number: int) -> Taken:
        return await counting.places.take(Pool(key, 5, f"{turn} ", 2), f"{turn} {number}")

    taken = [await take("turn_1", n) for n in range(3)]
    taken += [await take("turn_2", n) for n in range(2)]
    taken += [await take("turn_3", n) for n in range(2)]

    took, group, full = Taken.TAKEN, Taken.GROUP_FULL, Taken.FULL
    assert taken == [took, took, group, took, took, took, full]


@pytest.mark.services
async def test_a_place_whose_holder_is_silent_is_free_after_its_lease(
    shared: Counting, redis_server: RedisServer
) -> None:
    pool = Pool("chat:limits:{guest_lease}:turns", 2)
    await shared.places.take(pool, "turn_1")
    await shared.places.take(pool, "turn_2")
    await shared.passes(pool.key, LEASE_S - 1)
    await shared.places.renew({pool.key: ["turn_2"]})
    await shared.passes(pool.key, 2)

    with redis_server.client() as client:
        seconds = client.ttl(pool.key)
    free = await shared.places.take(pool, "turn_3")
    full = await shared.places.take(pool, "turn_4")

    assert (free, full) == (Taken.TAKEN, Taken.FULL)
    assert 0 < seconds <= LEASE_S


async def test_fifty_starts_at_once_do_not_overspend_a_budget(counting: Counting) -> None:
    key = "chat:limits:{guest_1}:tokens"
    names = iter(f"turn_{n}" for n in range(50))

    async def reserve() -> bool:
        return (await counting.budgets.reserve(key, next(names), 300, limit=1000)).is_granted

    assert await granted_of(50, reserve) == 3
    assert (await counting.budgets.spend(key, 0)).amount == 900


async def test_what_was_used_takes_the_reservations_place_once(counting: Counting) -> None:
    key = "chat:limits:{guest_1}:tokens"
    await counting.budgets.reserve(key, "turn_1", 300, limit=1000)
    again = await counting.budgets.reserve(key, "turn_1", 300, limit=1000)

    for _ in range(2):
        await counting.budgets.settle(key, "turn_1", 40)
    await counting.budgets.settle(key, "turn_unknown", 500)

    assert (again.is_granted, again.amount) == (True, 300)
    assert (await counting.budgets.spend(key, 0)).amount == 40


async def test_a_day_ends_at_midnight_of_utc_and_the_next_begins_with_nothing_spent(
    counting: Counting,
) -> None:
    key = "chat:limits:{guest_1}:tokens"
    await counting.budgets.reserve(key, "turn_1", 900, limit=1000)
    refused = await counting.budgets.reserve(key, "turn_2", 200, limit=1000)
    now = time() if counting.is_shared else 100.0
    await counting.passes(key, DAY_S)

    await counting.budgets.settle(key, "turn_1", 5000)
    tomorrow = await counting.budgets.spend(key, 0)

    assert not refused.is_granted
    assert abs(refused.resets_in_s - (DAY_S - now % DAY_S)) < 5
    assert tomorrow.amount == 0


async def test_what_costs_more_than_the_limit_is_granted_as_the_days_first(
    counting: Counting,
) -> None:
    key = "chat:limits:{guest_1}:tokens"

    first = await counting.budgets.reserve(key, "turn_1", 5000, limit=1000)
    second = await counting.budgets.reserve(key, "turn_2", 1, limit=1000)

    assert (first.is_granted, second.is_granted) == (True, False)


@pytest.mark.services
async def test_a_clock_of_redis_that_went_back_keeps_nobody_out(shared: Counting) -> None:
    key, rate = "chat:limits:{guest_clock}:rate:api", Rate(2, 60)
    for _ in range(2):
        await shared.windows.hit(key, rate)
    await shared.passes(key, -3600)

    allowance = await shared.windows.hit(key, rate)

    assert (allowance.is_granted, allowance.remaining) == (True, 1)
    assert allowance.reset_s <= 60


@pytest.mark.services
@pytest.mark.long
async def test_a_cluster_counts_as_exactly(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        connection = RedisConnection(cluster.url, timeout_s=PATIENCE_S)
        windows, places = RedisWindows(connection), RedisPlaces(connection)
        keys = [f"chat:limits:{{guest_{n}}}:rate:api" for n in range(12)]
        granted: Counter[str] = Counter()

        async def call() -> bool:
            hits = [await windows.hit(key, Rate(10, 60)) for key in keys]
            granted.update(
                hit_key for hit_key, hit in zip(keys, hits, strict=True) if hit.is_granted
            )
            return True

        await granted_of(50, call)
        assert granted == dict.fromkeys(keys, 10)
        held = {key.replace("rate:api", "turns"): ["turn_1"] for key in keys}
        await places.renew(held)
        assert [await places.count(key) for key in held] == [1] * len(held)
        await connection.close()
