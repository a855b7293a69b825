"""What every rollout store promises, over all of them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from flags.errors import FencedError
from flags.rollout.batches import MAX_USERS_COUNTED, Arm, Batch, Counted
from flags.rollout.counters import NOTHING_COUNTED
from flags.rollout.store.base import RolloutStore, Sight
from flags.store.base import Fence
from tests.support.redis import RedisServer, running_redis
from tests.support.rollout_stores import (
    MemoryRolloutStores,
    RedisRolloutStores,
    RolloutStores,
    a_batch,
    counters,
    some,
)

FLAG = "streaming"
LIMIT_S = 10.0


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RolloutStores]:
    stores = (
        MemoryRolloutStores(tmp_path)
        if request.param == "memory"
        else RedisRolloutStores(request.getfixturevalue("redis_server"))
    )
    yield stores
    await stores.close()


@pytest.fixture
def store(stores: RolloutStores) -> RolloutStore:
    return stores.another()


async def add(store: RolloutStore, *batches: Batch, version: int = 1) -> None:
    for batch in batches:
        await store.add(FLAG, batch, version=version)


async def led(store: RolloutStore, worker: str) -> Fence:
    fence = await store.lead(worker)
    assert fence is not None
    return fence


async def test_a_store_that_holds_nothing_shows_nothing(store: RolloutStore) -> None:
    sight = await store.see(FLAG, 1)

    assert sight == Sight(sight.now)
    assert sight.now > 1_700_000_000


async def test_batches_of_all_workers_add_up(store: RolloutStore, stores: RolloutStores) -> None:
    other = stores.another()
    await add(store, a_batch("w1", 1, some(0.2, 0.2, 7.5, cancelled=2)))
    await add(other, a_batch("w2", 1, some(0.05, 40.0, failures=[("ann", 30.0)])))
    await add(store, a_batch("w1", 2, some(amiss=[("bob", 0.4)]), arm=Arm.OFF))

    sight = await other.see(FLAG, 1)

    ttfts = (0.2, 0.2, 7.5, 0.05, 40.0, 30.0)
    more = {"errors": 1, "non_success": 1, "cancelled": 2, "failing_users": 1}
    assert sight.on == counters(ttfts, **more)
    assert sight.off == counters((0.4,), non_success=1, failing_users=1)


async def test_epochs_and_flags_are_counted_apart(store: RolloutStore) -> None:
    late = {(1, Arm.ON): some(0.1), (2, Arm.ON): some(0.1, 0.1), (2, Arm.OFF): some(0.3)}
    await add(store, Batch("w1", 1, late))
    await store.add("another", a_batch("w1", 1, some(9.0), epoch=2), version=1)

    one, two = await store.see(FLAG, 1), await store.see(FLAG, 2)

    assert (one.on.n, one.off.n) == (1, 0)
    assert (two.on.n, two.off.n) == (2, 1)
    assert (await store.see("another", 2)).on.ttft_us == 9_000_000
    assert (await store.see(FLAG, 3)).on == NOTHING_COUNTED


async def test_a_batch_counts_once_however_often_it_comes(
    store: RolloutStore, stores: RolloutStores
) -> None:
    counted = some(0.2, cancelled=1, failures=[("ann", 1.0)], users=["ann", "bob"])
    first, second = a_batch("w1", 1, counted), a_batch("w1", 2, counted)

    await add(store, first, first, second)
    await add(stores.another(), first, second)

    on = (await store.see(FLAG, 1)).on
    assert on == counters((0.2, 0.2, 1.0, 1.0), cancelled=2, **failed(2, users=1, exposed=2))


async def test_of_one_user_three_failures_count_and_further_ones_are_left_out_whole(
    store: RolloutStore, stores: RolloutStores
) -> None:
    other = stores.another()
    await add(store, a_batch("w1", 1, some(0.1, failures=[("ann", 2.0)] * 2)))
    await add(other, a_batch("w2", 1, some(failures=[("ann", 2.0)] * 5 + [("bob", 3.0)])))
    await add(store, a_batch("w1", 2, some(0.1, amiss=[("ann", 2.0)])))

    on = (await store.see(FLAG, 1)).on

    assert on == counters((0.1, 0.1, 2.0, 2.0, 2.0, 3.0), **failed(4, users=2))


async def test_the_failures_of_one_user_count_anew_in_each_epoch_and_arm(
    store: RolloutStore,
) -> None:
    counted = some(failures=[("ann", 1.0)] * 4)
    places = [(1, Arm.ON), (1, Arm.OFF), (2, Arm.ON)]
    await add(store, Batch("w1", 1, dict.fromkeys(places, counted)))

    one, two = await store.see(FLAG, 1), await store.see(FLAG, 2)

    assert (one.on.errors, one.off.errors, two.on.errors) == (3, 3, 3)


async def test_failing_users_are_told_apart_up_to_four(store: RolloutStore) -> None:
    for number in range(6):
        await add(store, a_batch("w1", number + 1, some(failures=[(f"u{number}", 1.0)])))
        on = (await store.see(FLAG, 1)).on
        assert (on.errors, on.failing_users) == (number + 1, min(number + 1, 4))


async def test_users_are_counted_once_over_all_workers(
    store: RolloutStore, stores: RolloutStores
) -> None:
    await add(store, a_batch("w1", 1, some(users=["ann", "bob"])))
    await add(stores.another(), a_batch("w2", 1, some(users=["bob", "cid", "ü"])))
    await add(store, a_batch("w1", 2, some(users=["ann"]), arm=Arm.OFF))

    sight = await store.see(FLAG, 1)

    assert (sight.on.users, sight.off.users) == (4, 1)


async def test_users_are_counted_up_to_a_bound_and_then_in_neither_arm(
    store: RolloutStore,
) -> None:
    def batch(number: int, on: int, off: int) -> Batch:
        return Batch("w1", number, {(1, Arm.ON): of(number, on), (1, Arm.OFF): of(-number, off)})

    def of(start: int, many: int) -> Counted:
        users = frozenset(f"{start & 0xFFFF:08x}{each:08x}" for each in range(many))
        return Counted(users=users)

    await add(store, batch(1, MAX_USERS_COUNTED - 11, 10))
    await add(store, batch(2, 30, 40))
    await add(store, batch(3, 5, 5))

    sight = await store.see(FLAG, 1)

    assert sight.on.users == MAX_USERS_COUNTED - 11 + 30
    assert sight.off.users == 10 + 40


async def test_workers_show_with_the_version_that_they_serve_until_they_are_gone(
    store: RolloutStore, stores: RolloutStores
) -> None:
    await add(store, a_batch("w1"), version=7)
    stores.pass_time(by_s=20)
    await add(stores.another(), a_batch("w2"), version=8)

    workers = (await store.see(FLAG, 1)).workers
    assert {name: beat.version for name, beat in workers.items()} == {"w1": 7, "w2": 8}
    assert 20 <= workers["w1"].age_s < 20 + LIMIT_S
    assert 0 <= workers["w2"].age_s < LIMIT_S

    stores.pass_time(by_s=30)
    assert (await store.see(FLAG, 1)).workers.keys() == {"w2"}
    await add(store, a_batch("w2"), version=9)
    assert {n: b.version for n, b in (await store.see(FLAG, 1)).workers.items()} == {"w2": 9}


async def test_a_worker_that_leaves_is_not_missed(store: RolloutStore) -> None:
    await add(store, a_batch("w1"), a_batch("w2"))
    await store.add("another", a_batch("w1"), version=1)

    await store.leave(frozenset({FLAG, "another", "unknown"}), "w1")

    assert (await store.see(FLAG, 1)).workers.keys() == {"w2"}
    assert (await store.see("another", 1)).workers == {}


async def test_one_worker_leads_until_it_leaves(store: RolloutStore, stores: RolloutStores) -> None:
    other = stores.another()

    first = await led(store, "w1")
    assert await other.lead("w2") is None
    assert await store.lead("w1") == first
    await other.leave(frozenset(), "w2")
    assert await other.lead("w2") is None
    await store.leave(frozenset(), "w1")
    second = await led(other, "w2")

    assert second.name == first.name
    assert second.token > first.token
    assert await store.lead("w1") is None


async def test_a_lease_that_is_not_renewed_is_lost_to_another_with_a_higher_token(
    stores: RolloutStores,
) -> None:
    store, other = stores.another(lease_s=10), stores.another(lease_s=10)
    first = await led(store, "w1")
    stores.pass_time(by_s=8)
    assert await store.lead("w1") == first
    stores.pass_time(by_s=8)
    assert await other.lead("w2") is None

    stores.pass_time(by_s=20)
    second = await led(other, "w2")
    stores.pass_time(by_s=20)
    third = await led(store, "w1")

    assert first.token < second.token < third.token


async def test_of_many_that_want_to_lead_one_does(
    store: RolloutStore, stores: RolloutStores
) -> None:
    leading: list[str] = []

    async def want(worker: str, at: RolloutStore) -> None:
        if await at.lead(worker) is not None:
            leading.append(worker)

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(want, f"w{number}", (store, stores.another())[number % 2])

    assert len(leading) == 1


async def test_what_a_leader_keeps_is_seen_by_all_until_it_keeps_something_else(
    store: RolloutStore, stores: RolloutStores
) -> None:
    fence = await led(store, "w1")

    for number in (b"1", b"2"):
        await store.keep(FLAG, b'{"e":%s}' % number, b'"\xc3\xbc%s"' % number, fence)
        sight = await stores.another().see(FLAG, 1)
        assert (sight.evidence, sight.report) == (b'{"e":%s}' % number, b'"\xc3\xbc%s"' % number)

    assert (await store.see("another", 1)).evidence is None


async def test_a_former_leader_keeps_nothing(store: RolloutStore, stores: RolloutStores) -> None:
    other = stores.another()
    former = await led(store, "w1")
    await store.leave(frozenset(), "w1")
    present = await led(other, "w2")
    await other.keep(FLAG, b"1", b"1", present)

    with pytest.raises(FencedError):
        await store.keep(FLAG, b"0", b"0", former)

    assert (await store.see(FLAG, 1)).evidence == b"1"


async def test_closing_twice_is_closing_once(store: RolloutStore) -> None:
    await add(store, a_batch("w1", 1, some(0.1)))
    await store.close()
    await store.close()


def failed(errors_and_amiss: int, *, users: int, exposed: int = 0) -> dict[str, int]:
    return {
        "errors": errors_and_amiss,
        "non_success": errors_and_amiss,
        "failing_users": users,
        "users": exposed,
    }
