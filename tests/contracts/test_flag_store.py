"""What every flag store promises, over all of them; mostly seen by two of a kind."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from flags.codec import encode
from flags.errors import FencedError, IdempotencyMismatchError
from flags.model import Ruleset
from flags.store.base import Claim, Commit, Committed, Fence, FlagStore
from tests.support.commits import AT, a_commit, a_flag, a_segment
from tests.support.flag_stores import PATIENCE_S, FileStores, RedisStores, Stores
from tests.support.redis import RedisServer, running_redis

LIMIT_S = 10.0


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.services)])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    stores = (
        FileStores(tmp_path)
        if request.param == "file"
        else RedisStores(request.getfixturevalue("redis_server"))
    )
    yield stores
    await stores.close()


@pytest.fixture
def store(stores: Stores) -> FlagStore:
    return stores.another()


async def test_a_store_that_keeps_nothing_reads_as_an_empty_ruleset(store: FlagStore) -> None:
    assert await store.read() == Ruleset()
    assert await store.next_version(7, timeout_s=PATIENCE_S) == 0
    assert await store.history("flag:streaming", limit=10) == []


async def test_a_write_is_read_by_the_writer_and_by_others_at_once(
    store: FlagStore, stores: Stores
) -> None:
    words = 'Grüße, 世界 🎈\u2028 "quoted" \\ \x00'
    flag = a_flag("streaming", 12.345, description=words, allow=["ü", "🎈"])
    segment = a_segment("früh", "ada", "世界")
    other = stores.another()

    committed = await store.commit(a_commit(0, flag, segment, why=words))
    mine, theirs = await store.read(), await other.read()

    assert committed == Committed(held=True, version=1)
    assert mine == theirs
    assert (mine.version, mine.flags["streaming"].version) == (1, 1)
    assert mine.flags["streaming"].description == words
    assert mine.flags["streaming"].rollout.percentage == 12.345
    assert mine.segments["früh"].include == {"ada", "世界"}
    entries = await other.history("segment:früh", limit=1)
    assert [entry.author.why for entry in entries] == [words]


async def test_a_write_changes_and_deletes_only_what_it_names(store: FlagStore) -> None:
    await store.commit(a_commit(0, a_flag("a"), a_flag("b"), a_flag("c"), a_segment("s")))

    await store.commit(a_commit(1, a_flag("a", 50), "flag:b", "segment:s", "flag:unknown"))

    ruleset = await store.read()
    assert ruleset.version == 2
    assert {key: flag.version for key, flag in ruleset.flags.items()} == {"a": 2, "c": 1}
    assert ruleset.segments == {}


async def test_a_write_from_another_version_changes_nothing_and_is_told_the_version(
    store: FlagStore,
) -> None:
    await store.commit(a_commit(0, a_flag("a")))
    before = await store.read()

    for expected in (0, 2, -1):
        late = await store.commit(a_commit(expected, a_flag("a", 99), version=expected + 5))
        assert late == Committed(held=False, version=1)

    assert await store.read() == before
    assert len(await store.history("flag:a", limit=10)) == 1


async def test_of_two_writers_exactly_one_holds(store: FlagStore, stores: Stores) -> None:
    other = stores.another()

    for version in range(20):
        outcomes: list[Committed] = []

        async def write(by: FlagStore, share: int, at: int = version) -> None:
            outcomes.append(await by.commit(a_commit(at, a_flag("a", share))))  # noqa: B023

        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write, store, 1)
                tasks.start_soon(write, other, 2)

        assert sorted(outcome.held for outcome in outcomes) == [False, True]
        assert {outcome.version for outcome in outcomes} == {version + 1}

    assert len(await store.history("flag:a", limit=100)) == 20


async def test_parallel_writers_leave_exactly_their_writes(
    store: FlagStore, stores: Stores
) -> None:
    async def write(by: FlagStore, writer: int) -> None:
        held = 0
        while held < 20:
            seen = (await by.read()).version
            commit = a_commit(seen, a_flag("shared", held), why=f"{writer}:{held}")
            held += (await by.commit(commit)).held

    with anyio.fail_after(6 * LIMIT_S):
        async with anyio.create_task_group() as tasks:
            for writer in range(10):
                tasks.start_soon(write, (store, stores.another())[writer % 2], writer)

    entries = await store.history("flag:shared", limit=1000)
    assert (await store.read()).version == 200
    assert [entry.version for entry in entries] == list(range(200, 0, -1))
    assert {entry.author.why for entry in entries} == {
        f"{w}:{n}" for w in range(10) for n in range(20)
    }


async def test_of_two_hundred_writes_at_once_one_holds(store: FlagStore, stores: Stores) -> None:
    other = stores.another()
    outcomes: list[Committed] = []

    async def write(number: int) -> None:
        by = (store, other)[number % 2]
        outcomes.append(await by.commit(a_commit(0, a_flag("a", number / 10), why=str(number))))

    with anyio.fail_after(3 * LIMIT_S):
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(write, number)

    (entry,) = await store.history("flag:a", limit=1000)
    assert sum(outcome.held for outcome in outcomes) == 1
    assert {outcome.version for outcome in outcomes} == {1}
    assert (await store.read()).flags["a"].rollout.percentage == int(entry.author.why) / 10


async def test_a_version_that_is_not_the_one_seen_is_told_at_once(store: FlagStore) -> None:
    await store.commit(a_commit(0, a_flag("a")))

    with anyio.fail_after(LIMIT_S):
        for seen in (0, 5, -1):
            assert await store.next_version(seen, timeout_s=PATIENCE_S) == 1
            assert await store.next_version(seen, timeout_s=PATIENCE_S) == 1


async def test_a_version_that_stays_is_told_when_the_time_is_over(store: FlagStore) -> None:
    await store.commit(a_commit(0, a_flag("a")))

    with anyio.fail_after(LIMIT_S):
        assert await store.next_version(1, timeout_s=0.1) == 1
        assert await store.next_version(1, timeout_s=0) == 1


async def test_a_write_wakes_those_who_wait_for_it(store: FlagStore, stores: Stores) -> None:
    listener = stores.another()
    seen = 0
    for number in range(8):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_commit, store, a_commit(number, a_flag("a")))
            with anyio.fail_after(LIMIT_S):
                seen = await listener.next_version(seen, timeout_s=PATIENCE_S)
        assert seen == number + 1


async def test_a_write_wakes_its_own_process(store: FlagStore) -> None:
    seen = 0
    for number in range(3):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_commit, store, a_commit(number, a_flag("a")))
            with anyio.fail_after(LIMIT_S):
                seen = await store.next_version(seen, timeout_s=PATIENCE_S)
        assert seen == number + 1


async def test_old_announcements_are_no_news(store: FlagStore) -> None:
    await store.next_version(0, timeout_s=0)
    for number in range(5):
        await store.commit(a_commit(number, a_flag("a")))

    with anyio.fail_after(LIMIT_S):
        assert await store.next_version(5, timeout_s=0.1) == 5
        assert await store.next_version(4, timeout_s=PATIENCE_S) == 5


async def test_a_change_that_was_not_announced_is_noticed_when_the_time_is_over(
    store: FlagStore, stores: Stores
) -> None:
    await store.commit(a_commit(0, a_flag("a")))
    assert await store.next_version(1, timeout_s=0) == 1
    await stores.write_silently(2, {"flag:b": encode(a_flag("b"))})

    with anyio.fail_after(LIMIT_S):
        assert await store.next_version(1, timeout_s=0.3) == 2
    assert (await store.read()).flags.keys() == {"a", "b"}


async def test_who_stops_waiting_can_wait_again(store: FlagStore, stores: Stores) -> None:
    writer = stores.another()
    for wait_s in (0, 0.001, 0.01, 0.05):
        with anyio.move_on_after(wait_s):
            await store.next_version(0, timeout_s=PATIENCE_S)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_commit, writer, a_commit(0, a_flag("a")))
        with anyio.fail_after(LIMIT_S):
            assert await store.next_version(0, timeout_s=PATIENCE_S) == 1


async def test_lost_data_shows_as_a_lower_version_and_can_be_restored_above_the_old_one(
    store: FlagStore, stores: Stores
) -> None:
    for number in range(3):
        await store.commit(a_commit(number, a_flag("a", number)))
    known = await store.read()
    stores.lose()

    with anyio.fail_after(LIMIT_S):
        assert await store.next_version(3, timeout_s=0.3) == 0
    assert await store.read() == Ruleset()
    restored = await stores.another().commit(a_commit(0, known.flags["a"], version=4))

    assert restored == Committed(held=True, version=4)
    assert await store.next_version(3, timeout_s=0.3) == 4
    assert (await store.read()).flags["a"].rollout.percentage == 2
    assert [entry.version for entry in await store.history("flag:a", limit=9)] == [4]


async def test_a_repeated_change_is_answered_as_the_first_time(
    store: FlagStore, stores: Stores
) -> None:
    claim = Claim("key", "change")
    await store.commit(a_commit(0, a_flag("old")))
    first = a_commit(1, a_flag("a", 5), a_segment("s"), "flag:old", claim=claim)
    await store.commit(first)
    await store.commit(a_commit(2, a_flag("a", 50)))

    for again in (first, a_commit(3, a_flag("a", 5), claim=claim), Commit(-1, -1, {}, (), claim)):
        repeated = await stores.another().commit(again)
        assert repeated == Committed(held=True, version=2, earlier=first.definitions)

    ruleset = await store.read()
    assert (ruleset.version, ruleset.flags["a"].rollout.percentage) == (3, 50)


async def test_a_key_that_came_with_another_change_is_refused(store: FlagStore) -> None:
    await store.commit(a_commit(0, a_flag("a"), claim=Claim("key", "change")))

    with pytest.raises(IdempotencyMismatchError):
        await store.commit(a_commit(1, a_flag("a", 9), claim=Claim("key", "another")))

    other_key = await store.commit(a_commit(1, a_flag("a", 9), claim=Claim("key2", "another")))
    assert other_key.held
    assert len(await store.history("flag:a", limit=9)) == 2


async def test_a_change_that_did_not_hold_leaves_its_key_free(store: FlagStore) -> None:
    claim = Claim("key", "change")

    assert not (await store.commit(a_commit(7, a_flag("a"), claim=claim))).held
    assert not (await store.commit(Commit(-1, -1, {}, (), claim))).held
    held = await store.commit(a_commit(0, a_flag("a"), claim=claim))

    assert held == Committed(held=True, version=1)


async def test_a_change_that_nothing_needed_keeps_its_claim_and_is_no_news(
    store: FlagStore,
) -> None:
    await store.commit(a_commit(0, a_flag("a")))
    before, claim = await store.read(), Claim("key", "change")
    kept = {"flag:a": encode(before.flags["a"])}

    assert await store.commit(Commit(1, 1, kept, (), claim)) == Committed(held=True, version=1)

    with anyio.fail_after(LIMIT_S):
        assert await store.next_version(1, timeout_s=0.1) == 1
    assert await store.read() == before
    again = await store.commit(Commit(1, 1, kept, (), claim))
    assert again == Committed(held=True, version=1, earlier=kept)


async def test_a_claim_ends_after_a_day(store: FlagStore, stores: Stores) -> None:
    await store.commit(a_commit(0, a_flag("a"), claim=Claim("key", "change")))
    stores.let_claims_expire()

    again = await store.commit(a_commit(1, a_flag("a", 9), claim=Claim("key", "another")))

    assert again == Committed(held=True, version=2)


async def test_a_write_behind_a_fence_that_another_has_passed_is_refused(
    store: FlagStore, stores: Stores
) -> None:
    former, present = Fence("rollout", 7), Fence("rollout", 9)
    await store.commit(replace(a_commit(0, a_flag("a", 1)), fence=former))
    await stores.another().commit(replace(a_commit(1, a_flag("a", 2)), fence=present))
    before = await store.read()

    for expected in (1, 2, -1):
        late = a_commit(expected, a_flag("a", 99), version=5, claim=Claim("key", "change"))
        with pytest.raises(FencedError):
            await store.commit(replace(late, fence=former))

    assert await store.read() == before
    assert len(await store.history("flag:a", limit=9)) == 2
    again = replace(a_commit(2, a_flag("a", 3), claim=Claim("key", "change")), fence=present)
    assert await store.commit(again) == Committed(held=True, version=3)


async def test_fences_of_different_names_and_writes_without_one_do_not_meet(
    store: FlagStore,
) -> None:
    await store.commit(replace(a_commit(0, a_flag("a", 1)), fence=Fence("rollout", 9)))

    another = replace(a_commit(1, a_flag("a", 2)), fence=Fence("another", 1))

    assert (await store.commit(another)).held
    assert (await store.commit(a_commit(2, a_flag("a", 3)))).held


async def test_a_write_that_does_not_hold_raises_no_fence(store: FlagStore) -> None:
    behind = replace(a_commit(7, a_flag("a")), fence=Fence("rollout", 9))
    assert not (await store.commit(behind)).held

    held = await store.commit(replace(a_commit(0, a_flag("a")), fence=Fence("rollout", 8)))

    assert held == Committed(held=True, version=1)


async def test_the_history_is_read_page_by_page_newest_first(store: FlagStore) -> None:
    for number in range(7):
        keys = ["a", "b"] if number % 2 else ["a"]
        await store.commit(
            a_commit(number, *(a_flag(key, number) for key in keys), why=f"{number}")
        )

    pages: list[list[int]] = []
    before: int | None = None
    while page := await store.history("flag:a", limit=3, before=before):
        pages.append([entry.version for entry in page])
        before = page[-1].version

    assert pages == [[7, 6, 5], [4, 3, 2], [1]]
    assert [entry.version for entry in await store.history("flag:b", limit=9)] == [6, 4, 2]
    assert await store.history("flag:a", limit=0) == []
    for before in (1, 0, -5):
        assert await store.history("flag:a", limit=3, before=before) == []
    (newest,) = await store.history("flag:a", limit=1)
    assert (newest.at, newest.author.who, newest.author.why) == (AT, "ada", "6")
    assert newest.author.request_id == "request-7"
    assert newest.after is not None
    assert newest.after["rollout"] == {"percentage": 6, "salt": "a", "serve": "on"}


async def test_the_history_outlives_its_flag(store: FlagStore) -> None:
    await store.commit(a_commit(0, a_flag("a")))
    await store.commit(a_commit(1, "flag:a"))

    entries = await store.history("flag:a", limit=9)

    assert (await store.read()).flags == {}
    assert [(entry.version, entry.after is None) for entry in entries] == [(2, True), (1, False)]


async def test_a_thousand_flags_are_written_and_read_whole(
    store: FlagStore, stores: Stores
) -> None:
    flags = [
        a_flag(f"flag-{n}", n / 10, allow=[f"unit-{u}" for u in range(20)]) for n in range(1000)
    ]

    committed = await store.commit(a_commit(0, *flags, claim=Claim("key", "change")))
    ruleset = await stores.another().read()

    assert committed.held
    assert {key: flag.rollout.percentage for key, flag in ruleset.flags.items()} == {
        f"flag-{n}": n / 10 for n in range(1000)
    }
    assert len(await store.history("flag:flag-999", limit=9)) == 1


async def test_a_definition_that_cannot_be_read_is_left_out_and_logged(store: FlagStore) -> None:
    deep = '{"key":"deep","when":' + "[" * 100_000 + "]" * 100_000 + "}"
    broken = {
        "flag:cut": '{"key":"cu',
        "flag:deep": deep,
        "flag:newer": '{"key":"newer","type":"colour","variants":{},"off_variant":"x"}',
        "flag:other": encode(a_flag("another")),
        "segment:list": "[]",
        "rollout:a": "[]",
        "later:a": "{}",
        "plain": "{}",
    }
    await store.commit(Commit(0, 1, {**broken, "flag:good": encode(a_flag("good"))}, ()))

    with capture_logs() as logs:
        ruleset = await store.read()

    assert (ruleset.version, list(ruleset.flags), list(ruleset.segments)) == (1, ["good"], [])
    told = {entry["key"]: entry["reason"] for entry in logs if entry["log_level"] == "warning"}
    assert {entry["event"] for entry in logs} == {"flags.definition_unreadable"}
    assert told.keys() == broken.keys()
    assert all(told.values())


async def test_what_cannot_be_read_survives_the_writes_of_others(store: FlagStore) -> None:
    newer = '{"key":"newer","type":"colour","hue":7}'
    await store.commit(Commit(0, 1, {"flag:newer": newer}, ()))
    claim = Claim("key", "change")

    await store.commit(Commit(1, 2, {"flag:newer2": newer}, (), claim))

    earlier = await store.commit(Commit(1, 2, {"flag:newer2": newer}, (), claim))
    assert earlier.earlier == {"flag:newer2": newer}
    with capture_logs() as logs:
        await store.read()
    assert {entry["key"] for entry in logs} == {"flag:newer", "flag:newer2"}


async def test_closing_twice_is_closing_once(store: FlagStore) -> None:
    await store.next_version(0, timeout_s=0)
    await store.close()
    await store.close()


async def _commit(store: FlagStore, commit: Commit) -> None:
    """Write once all others wait."""
    await anyio.wait_all_tasks_blocked()
    assert (await store.commit(commit)).held
