"""What each kind of rollout store does of its own: keys, times and types in Redis; the file."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from flags.errors import FlagStoreDamagedError, FlagStoreError, FlagStoreUnavailableError
from flags.rollout.batches import Arm, Batch
from flags.rollout.counters import Counters
from flags.rollout.store.memory import MemoryRolloutStore, ledger
from flags.rollout.store.memory.ledger import EPOCHS_KEPT, WORKERS_KEPT
from flags.rollout.store.redis import RedisRolloutStore
from tests.support.redis import RedisServer, running_redis
from tests.support.rollout_stores import (
    MemoryRolloutStores,
    RedisRolloutStores,
    a_batch,
    some,
)

PAGE = Path(__file__).parents[3] / "docs/redis-keys.md"
FLAG = "streaming"
WEEK_S = 7 * 86_400
RICH = some(0.1, failures=[("ann", 1.0)], users=["ann", "bob"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[RedisRolloutStores]:
    stores = RedisRolloutStores(server)
    yield stores
    await stores.close()


@pytest.mark.services
async def test_all_keys_are_in_one_slot_name_no_user_and_are_forgotten_after_a_week(
    redis: RedisRolloutStores,
) -> None:
    store = redis.another()
    await store.add(FLAG, a_batch("w1", 1, RICH), version=3)
    fence = await store.lead("w1")
    assert fence is not None
    await store.keep(FLAG, b"e", b"r", fence)

    lives = {str(key): redis.direct.ttl(key) for key in redis.direct.scan_iter()}

    assert lives.keys() == {
        "{flags}:fence:rollout",
        "{flags}:rollout:lease",
        "{flags}:rollout:streaming:1:counts",
        "{flags}:rollout:streaming:1:failures:on",
        "{flags}:rollout:streaming:1:users:on",
        "{flags}:rollout:streaming:kept",
        "{flags}:rollout:streaming:sent:w1",
        "{flags}:rollout:streaming:workers",
    }
    assert lives.pop("{flags}:fence:rollout") == -1
    assert 0 < lives.pop("{flags}:rollout:lease") <= 15
    assert all(WEEK_S - 60 < each <= WEEK_S for each in lives.values())
    users = redis.direct.smembers("{flags}:rollout:streaming:1:users:on")
    assert {len(str(user)) for user in users} == {16}


@pytest.mark.services
@pytest.mark.parametrize(
    "key",
    [
        "streaming:1:counts",
        "streaming:1:users:on",
        "streaming:1:users:off",
        "streaming:1:failures:on",
        "streaming:sent:w1",
        "streaming:workers",
    ],
)
async def test_a_key_of_another_type_is_told_and_nothing_is_counted(
    redis: RedisRolloutStores, key: str
) -> None:
    redis.direct.rpush(f"{{flags}}:rollout:{key}", "other")

    with pytest.raises(FlagStoreDamagedError):
        await redis.another().add(FLAG, a_batch("w1", 1, RICH), version=1)

    assert list(redis.direct.scan_iter()) == [f"{{flags}}:rollout:{key}"]


@pytest.mark.services
@pytest.mark.parametrize(
    ("key", "name", "value"),
    [("1:counts", "on:n", "many"), ("workers", "w1", "seven"), ("workers", "w1", "1 x")],
)
async def test_what_is_no_number_is_damage(
    redis: RedisRolloutStores, key: str, name: str, value: str
) -> None:
    redis.direct.hset(f"{{flags}}:rollout:{FLAG}:{key}", name, value)

    with pytest.raises(FlagStoreDamagedError, match="delete"):
        await redis.another().see(FLAG, 1)


@pytest.mark.services
async def test_the_rights_that_the_documents_name_are_enough(
    redis: RedisRolloutStores, server: RedisServer
) -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    flags, rollouts = (
        text.partition(f"{words}: `")[2].partition("`")[0].split()
        for words in ("Needed of an ACL", "Needed of an ACL beyond the flags' own")
    )
    redis.direct.execute_command(  # type: ignore[no-untyped-call]  # the driver says no types
        "ACL", "SETUSER", "few", "reset", "on", ">word", *flags, *rollouts
    )
    store = RedisRolloutStore(f"redis://few:word@127.0.0.1:{server.port}/0", timeout_s=20)

    for number in (1, 2):
        await store.add(FLAG, a_batch("w1", number, RICH), version=1)
    redis.pass_time(by_s=60)
    await store.add(FLAG, a_batch("w2", 1, RICH), version=1)
    fence = await store.lead("w1")
    assert fence is not None
    await store.keep(FLAG, b"e", b"r", fence)
    await store.leave(frozenset({FLAG}), "w1")

    assert (await store.see(FLAG, 1)).workers.keys() == {"w2"}
    await store.close()


@pytest.mark.services
async def test_a_server_that_lost_everything_gives_out_no_token_twice(
    redis: RedisRolloutStores,
) -> None:
    store = redis.another()
    former = await store.lead("w1")
    assert former is not None
    redis.direct.flushall()

    present = await store.lead("w2")

    assert present is not None
    assert present.token > former.token


@pytest.mark.services
async def test_sums_beyond_what_a_float_prints_stay_exact(redis: RedisRolloutStores) -> None:
    store = redis.another()
    many = some(*[29.999999] * 3000)
    for number in range(1, 60):
        await store.add(FLAG, a_batch("w1", number, many), version=1)

    assert (await store.see(FLAG, 1)).on.ttft_us == 59 * 3000 * 29_999_999


@pytest.mark.services
async def test_a_server_that_is_gone_is_told(tmp_path: Path) -> None:
    with running_redis(tmp_path) as mortal:
        store = RedisRolloutStore(mortal.url, timeout_s=2)
        await store.lead("w1")
        mortal.kill()
        for call in (
            lambda: store.lead("w1"),
            lambda: store.see(FLAG, 1),
            lambda: store.add(FLAG, a_batch(), version=1),
        ):
            with pytest.raises(FlagStoreUnavailableError):
                await call()
        await store.close()


def test_an_address_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(FlagStoreError, match="cannot be used"):
        RedisRolloutStore("localhost")


async def test_a_restart_goes_on_where_the_last_process_stopped(tmp_path: Path) -> None:
    stores = MemoryRolloutStores(tmp_path)
    first = stores.opened()
    counted = {(1, Arm.ON): RICH, (2, Arm.OFF): some(0.5, cancelled=1)}
    await first.add(FLAG, Batch("w1", 1, counted), version=1)
    fence = await first.lead("w1")
    assert fence is not None
    await first.keep(FLAG, b'{"e":1}', '"ü"'.encode(), fence)
    before = [await first.see(FLAG, epoch) for epoch in (1, 2)]
    await first.close()

    second = stores.opened()
    after = [await second.see(FLAG, epoch) for epoch in (1, 2)]

    for was, now in zip(before, after, strict=True):
        assert (now.on, now.off, now.evidence, now.report) == (
            was.on, was.off, b'{"e":1}', '"ü"'.encode()
        )  # fmt: skip
        assert now.workers == {}
    await second.add(FLAG, Batch("w1", 1, counted), version=1)
    await second.add(FLAG, a_batch("w2", 1, some(failures=[("ann", 1.0)] * 5)), version=1)
    assert (await second.see(FLAG, 1)).on.errors == 3
    later = await second.lead("w2")
    assert later is not None
    assert later.token > fence.token


async def test_who_asks_while_the_file_is_read_waits_for_it(tmp_path: Path) -> None:
    stores = MemoryRolloutStores(tmp_path)
    first = stores.opened()
    await first.add(FLAG, a_batch("w1", 1, RICH), version=1)
    await first.close()
    second = stores.opened()

    async with anyio.create_task_group() as tasks:
        for number in range(2, 5):
            tasks.start_soon(partial(second.add, FLAG, a_batch("w1", number, RICH), version=1))

    assert (await second.see(FLAG, 1)).on.n == 1 + 1 + 3 * 1 + 2


async def test_the_file_is_written_now_and_then_and_not_by_who_only_looks(tmp_path: Path) -> None:
    stores = MemoryRolloutStores(tmp_path)
    store, looking = stores.opened(), stores.opened()
    await store.add(FLAG, a_batch("w1", 1, RICH), version=1)
    assert not stores.path.exists()

    stores.pass_time(by_s=10)
    await store.add(FLAG, a_batch("w1", 2), version=1)

    assert (await looking.see(FLAG, 1)).on.n == 2
    written = stores.path.stat().st_mtime_ns
    await looking.close()
    assert stores.path.stat().st_mtime_ns == written
    assert b"ann" not in stores.path.read_bytes()


async def test_a_restart_knows_how_often_who_failed(tmp_path: Path) -> None:
    stores = MemoryRolloutStores(tmp_path)
    store = stores.opened()
    failed = [("ann", 1.0), ("bob", 1.0), ("bob", 1.0), *[("cid", 1.0)] * 5]
    await store.add(FLAG, a_batch("w1", 1, some(failures=failed)), version=1)
    await store.close()

    again = stores.opened()
    await again.add(FLAG, a_batch("w2", 1, some(failures=failed)), version=1)

    on = (await again.see(FLAG, 1)).on
    assert (on.errors, on.failing_users) == (1 + 2 + 3 + 1 + 1, 3)


async def test_a_file_has_no_more_values_for_more_users(tmp_path: Path) -> None:
    values: set[int] = set()
    for count in (1, 1000):
        path = tmp_path / f"{count}.json"
        store = MemoryRolloutStore(path)
        users = [str(number) for number in range(count)]
        counted = some(failures=[(user, 1.0) for user in users], users=users)
        await store.add(FLAG, a_batch("w1", 1, counted), version=1)
        await store.close()
        values.add(path.read_text().count(","))

    assert len(values) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b'{"checksum":"x","content":{}}'])
async def test_a_damaged_file_begins_anew_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    stores = MemoryRolloutStores(tmp_path)
    stores.path.write_bytes(content)
    store = stores.opened()

    with capture_logs() as logs:
        assert (await store.see(FLAG, 1)).on.n == 0
    await store.add(FLAG, a_batch("w1", 1, RICH), version=1)
    await store.close()

    assert [each["event"] for each in logs] == ["rollout.unreadable"]
    assert (await stores.opened().see(FLAG, 1)).on.n == 2


async def test_a_file_that_cannot_be_written_is_told_and_stops_nothing(tmp_path: Path) -> None:
    store = MemoryRolloutStore(tmp_path / "nowhere" / "rollout.json")
    await store.add(FLAG, a_batch("w1", 1, RICH), version=1)

    with capture_logs() as logs:
        await store.close()

    assert [each["event"] for each in logs] == ["rollout.not_written"]
    assert (await store.see(FLAG, 1)).on.n == 2


async def test_of_many_workers_the_last_are_remembered() -> None:
    store = MemoryRolloutStore()
    for number in range(WORKERS_KEPT + 1):
        await store.add(FLAG, a_batch(f"w{number}", 1, some(0.1)), version=1)
    await store.add(FLAG, a_batch(f"w{WORKERS_KEPT}", 1, some(0.1)), version=1)
    assert (await store.see(FLAG, 1)).on.n == WORKERS_KEPT + 1

    await store.add(FLAG, a_batch("w0", 1, some(0.1)), version=1)
    assert (await store.see(FLAG, 1)).on.n == WORKERS_KEPT + 2


def test_beyond_a_bound_the_failures_of_further_users_all_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "MAX_USERS_COUNTED", 2)
    flag = ledger.FlagLedger()

    for number, user in enumerate(["ann", "bob", "cid", "ann"], start=1):
        flag.add(a_batch("w1", number, some(failures=[(user, 1.0)] * 4)), now=0.0)

    on, _ = flag.counters(1)
    assert (on.errors, on.failing_users) == (3 + 3 + 4, 2)


def test_what_another_release_has_counted_otherwise_is_left_out() -> None:
    old = ledger.KeptArm(1, Arm.ON, Counters(n=5, ttft=(5,)), "", ())

    assert ledger.ledger_of(ledger.KeptFlag((old,))).counters(1)[0].n == 0


async def test_what_is_only_in_memory_is_gone_with_its_process() -> None:
    store = MemoryRolloutStore()
    await store.add(FLAG, a_batch("w1", 1, RICH), version=1)

    await store.close()

    assert (await store.see(FLAG, 1)).on.n == 2


async def test_of_many_epochs_the_newest_are_kept_and_old_ones_are_forgotten() -> None:
    now = 1000.0
    store = MemoryRolloutStore(clock=lambda: now)
    for epoch in range(1, EPOCHS_KEPT + 3):
        await store.add(FLAG, a_batch("w1", epoch, some(0.1), epoch=epoch), version=1)

    kept = [(await store.see(FLAG, epoch)).on.n for epoch in range(1, EPOCHS_KEPT + 3)]
    assert kept == [0, 0, *[1] * EPOCHS_KEPT]

    now += WEEK_S + 1
    await store.add(FLAG, a_batch("w1", 99, some(0.1), epoch=99), version=1)
    assert (await store.see(FLAG, EPOCHS_KEPT + 2)).on.n == 0
    assert (await store.see(FLAG, 99)).on.n == 1
