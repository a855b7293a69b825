"""Changing flags twice, at once, and against faster writers: one answer, nothing lost."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from flags.changes.editor import MAX_TRIES, FlagEditor
from flags.codec import flag_json
from flags.errors import (
    FlagInvalidError,
    FlagNotFoundError,
    FlagStoreUnavailableError,
    IdempotencyMismatchError,
    VersionConflictError,
)
from flags.model import Flag, InFlight, Ruleset
from flags.store.base import Claim, Commit
from flags.store.file import FileFlagStore
from tests.flags.factories import a_flag, a_ruleset, asked_by
from tests.flags.support import MemoryStore

DRAIN = InFlight.DRAIN


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileFlagStore]:
    """Return an empty file store."""
    store = FileFlagStore(tmp_path / "flags.json")
    yield store
    await store.close()


@pytest.fixture
def editor(store: FileFlagStore) -> FlagEditor:
    """Return an editor of the file store."""
    return FlagEditor(store)


def overtaken(store: MemoryStore, times: int) -> None:
    """Let another writer be faster, so many times."""
    left = itertools.count(times, -1)

    def be_faster() -> None:
        if next(left) > 0:
            store.hold(a_ruleset(a_flag(description="other"), version=store.content.version + 1))
            store.before_commit = be_faster

    store.before_commit = be_faster


async def test_a_repeated_change_is_answered_as_the_first_time(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    once = asked_by(key="k1", if_version=0)
    first = await editor.put_flag("f", {"rollout": {"percentage": 5}}, once)
    await editor.set_percentage("f", 50, asked_by("bob"))

    again = await editor.put_flag("f", {"rollout": {"percentage": 5}}, once)
    await editor.delete_flag("f", asked_by("bob"))
    after_its_end = await editor.put_flag("f", {"rollout": {"percentage": 5}}, once)

    assert again == after_its_end == first
    assert await store.read() == Ruleset(3)


async def test_a_repeated_change_is_answered_where_it_would_fail_now(editor: FlagEditor) -> None:
    await editor.put_flag("f", {}, asked_by())
    await editor.put_segment("staff", {}, asked_by())

    for _ in range(2):
        await editor.delete_flag("f", asked_by(key="k1"))
        await editor.delete_segment("staff", asked_by(key="k2"))

    with pytest.raises(FlagNotFoundError):
        await editor.delete_flag("f", asked_by(key="k3"))


async def test_a_repeated_change_that_is_done_meanwhile_is_answered_as_the_first_time(
    editor: FlagEditor,
) -> None:
    await editor.put_flag("f", {}, asked_by())
    first = await editor.set_percentage("f", 5, asked_by(key="k1"))
    await editor.put_flag("f", {**flag_json(first), "description": "new"}, asked_by("bob"))

    again = await editor.set_percentage("f", 5, asked_by(key="k1"))

    assert again == first


async def test_a_change_that_was_done_already_is_not_done_later_when_it_is_repeated(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    first = await editor.put_flag("f", {"rollout": {"percentage": 5}}, asked_by())
    nothing = await editor.set_percentage("f", 5, asked_by(key="k1"))
    version = (await store.read()).version
    await editor.set_percentage("f", 0, asked_by("bob"))

    again = await editor.set_percentage("f", 5, asked_by(key="k1"))

    assert (nothing, version) == (first, 1)
    assert again == first
    assert (await store.read()).flags["f"].rollout.percentage == 0
    with pytest.raises(IdempotencyMismatchError):
        await editor.set_percentage("f", 6, asked_by(key="k1"))


async def test_a_key_that_comes_with_another_change_is_refused(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    await editor.put_flag("f", {}, asked_by(key="k1", if_version=0))
    attempts: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: editor.put_flag("f", {"enabled": False}, asked_by(key="k1", if_version=0)),
        lambda: editor.put_flag("f", {"enabled": False}, asked_by(key="k1")),
        lambda: editor.put_flag("f", {}, asked_by(key="k1", if_version=1)),
        lambda: editor.put_flag("g", {}, asked_by(key="k1", if_version=0)),
        lambda: editor.put_segment("f", {}, asked_by(key="k1", if_version=0)),
        lambda: editor.kill("f", asked_by(key="k1"), in_flight=DRAIN),
        lambda: editor.delete_flag("f", asked_by(key="k1")),
        lambda: editor.take_in(a_ruleset(a_flag("f")), asked_by(key="k1")),
    )

    for attempt in attempts:
        with pytest.raises(IdempotencyMismatchError):
            await attempt()

    assert (await store.read()).version == 1


async def test_the_same_key_of_another_author_is_another_key(editor: FlagEditor) -> None:
    await editor.put_flag("f", {}, asked_by("ann", key="k1"))

    changed = await editor.put_flag("f", {"enabled": False}, asked_by("bob", key="k1"))

    assert not changed.enabled


async def test_a_key_stays_free_where_its_change_was_refused(editor: FlagEditor) -> None:
    with pytest.raises(FlagInvalidError):
        await editor.put_flag("f", {"rollout": {"percentage": 101}}, asked_by(key="k1"))

    made = await editor.put_flag("f", {"rollout": {"percentage": 10}}, asked_by(key="k1"))

    assert made.rollout.percentage == 10


async def test_two_who_change_different_things_at_once_both_hold(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    async with anyio.create_task_group() as tasks:
        for n in range(8):
            tasks.start_soon(editor.put_flag, f"f{n}", {}, asked_by(if_version=0))

    ruleset = await store.read()

    assert ruleset.version == 8
    assert sorted(flag.version for flag in ruleset.flags.values()) == list(range(1, 9))


async def test_of_two_who_change_the_same_version_one_is_told(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    await editor.put_flag("f", {}, asked_by())
    told: list[VersionConflictError] = []

    async def change(percentage: float) -> None:
        try:
            await editor.set_percentage("f", percentage, asked_by(if_version=1))
        except VersionConflictError as error:
            told.append(error)

    async with anyio.create_task_group() as tasks:
        for percentage in (5, 10):
            tasks.start_soon(change, percentage)

    assert [error.version for error in told] == [2]
    assert (await store.read()).flags["f"].rollout.percentage in {5, 10}


async def test_of_one_change_that_is_sent_twice_at_once_one_is_made(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    await editor.put_flag("f", {}, asked_by())
    answers: list[Flag] = []

    async def change() -> None:
        answers.append(await editor.set_percentage("f", 5, asked_by(key="k1")))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(change)

    assert answers == [answers[0]] * 4
    assert len(await store.history("flag:f", limit=10)) == 2


async def test_a_change_is_made_anew_over_what_another_writer_has_made() -> None:
    store = MemoryStore(a_ruleset(a_flag()))
    overtaken(store, MAX_TRIES - 1)

    changed = await FlagEditor(store).set_percentage("streaming", 5, asked_by())

    assert (changed.description, changed.rollout.percentage) == ("other", 5)
    assert changed.version == store.content.version == MAX_TRIES + 1


async def test_a_change_that_is_overtaken_too_often_is_given_up() -> None:
    store = MemoryStore(a_ruleset(a_flag()))
    overtaken(store, MAX_TRIES)

    with pytest.raises(FlagStoreUnavailableError, match="20 other writers were faster"):
        await FlagEditor(store).set_percentage("streaming", 5, asked_by())


async def test_a_store_that_is_away_is_told() -> None:
    store = MemoryStore(a_ruleset(a_flag()))
    store.go_away()

    with pytest.raises(FlagStoreUnavailableError):
        await FlagEditor(store).set_percentage("streaming", 5, asked_by())


async def test_a_repeated_import_is_answered_as_the_first_time(editor: FlagEditor) -> None:
    other = a_ruleset(a_flag("a"), a_flag("b"))

    first = await editor.take_in(other, asked_by(key="k1"))
    await editor.delete_flag("a", asked_by())
    again = await editor.take_in(other, asked_by(key="k1"))

    assert again == first
    assert first.keys() == {"flag:a", "flag:b"}


async def test_a_claim_for_nothing_is_kept_without_a_version_or_audit() -> None:
    store = MemoryStore(a_ruleset(a_flag(rollout={"percentage": 5}), version=3))

    await FlagEditor(store).set_percentage("streaming", 5, asked_by(key="k1"))

    assert store.content.version == 3
    assert store.content.audit == ()
    assert [claimed.version for claimed in store.content.claims] == [3]


def test_only_a_claim_may_stay_at_its_version() -> None:
    claim = Claim("k", "c")

    assert Commit(3, 3, {}, (), claim).version == 3
    for version in (2, 0, -1):
        with pytest.raises(ValueError, match="is not above 3"):
            Commit(3, version, {}, (), claim)
