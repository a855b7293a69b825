"""Changing flags: versions, epochs, audit, and what is refused."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flags.changes.editor import FlagEditor
from flags.codec import encode, flag_json, segment_json
from flags.errors import (
    FlagInvalidError,
    FlagNotFoundError,
    FlagRequiredError,
    VersionConflictError,
)
from flags.model import AuditEntry, Author, FlagType, InFlight, Ruleset
from flags.store.file import FileFlagStore
from tests.flags.factories import a_colour, a_flag, a_ruleset, a_segment, asked_by
from tests.flags.support import MemoryStore

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REQUIRED = {"streaming": FlagType.BOOL}
ABORT, DRAIN = InFlight.ABORT, InFlight.DRAIN


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileFlagStore]:
    """Return an empty file store."""
    store = FileFlagStore(tmp_path / "flags.json")
    yield store
    await store.close()


@pytest.fixture
def editor(store: FileFlagStore) -> FlagEditor:
    """Return an editor of the file store, for a service that asks «streaming»."""
    return FlagEditor(store, required=REQUIRED, now=lambda: AT)


async def test_a_flag_is_created_replaced_and_deleted(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    created = await editor.put_flag("f", {"rollout": {"percentage": 5}}, asked_by())
    replaced = await editor.put_flag("f", {"enabled": False}, asked_by())
    was = (await store.read()).flags

    await editor.delete_flag("f", asked_by())

    assert created == replace(
        a_flag("f", rollout={"percentage": 5}), version=1, epoch=1, updated_at=AT
    )
    assert replaced == replace(a_flag("f", enabled=False), version=2, epoch=2, updated_at=AT)
    assert was == {"f": replaced}
    assert await store.read() == Ruleset(3)


async def test_a_segment_is_created_replaced_and_deleted(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    created = await editor.put_segment("staff", {"include": ["ann"]}, asked_by())
    replaced = await editor.put_segment("staff", {"include": ["bob"]}, asked_by())
    was = (await store.read()).segments

    await editor.delete_segment("staff", asked_by())

    assert created == replace(a_segment(include=["ann"]), version=1, updated_at=AT)
    assert replaced == replace(a_segment(include=["bob"]), version=2, updated_at=AT)
    assert was == {"staff": replaced}
    assert await store.read() == Ruleset(3)


async def test_a_change_is_audited_with_who_why_before_and_after(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    first = await editor.put_flag("f", {}, asked_by("ann"))
    second = await editor.kill("f", asked_by("bob"), in_flight=ABORT)
    await editor.delete_flag("f", asked_by("cid"))

    ann, bob, cid = (Author(who, "because", "request-1") for who in ("ann", "bob", "cid"))
    one, two = flag_json(first), flag_json(second)
    assert list(await store.history("flag:f", limit=10)) == [
        AuditEntry(3, AT, "delete", "flag:f", cid, two, None),
        AuditEntry(2, AT, "kill", "flag:f", bob, one, two),
        AuditEntry(1, AT, "put", "flag:f", ann, None, one),
    ]


async def test_a_segments_change_is_audited(editor: FlagEditor, store: FileFlagStore) -> None:
    made = await editor.put_segment("staff", {"include": ["ann"]}, asked_by())

    (entry,) = await store.history("segment:staff", limit=10)

    assert (entry.action, entry.before, entry.after) == ("put", None, segment_json(made))


async def test_what_an_editor_sends_back_of_versions_is_not_asked(editor: FlagEditor) -> None:
    made = await editor.put_flag("f", {"version": 99, "epoch": 98, "updated_at": None}, asked_by())
    again = await editor.put_flag("f", {**flag_json(made), "description": "new"}, asked_by())

    assert (made.version, made.epoch, made.updated_at) == (1, 1, AT)
    assert (again.version, again.epoch, again.description) == (2, 1, "new")


async def test_a_percentage_is_set_and_all_else_stays(editor: FlagEditor) -> None:
    made = await editor.put_flag("f", {"allow": ["ann"], "kill": True}, asked_by())

    changed = await editor.set_percentage("f", 12.5, asked_by())

    assert changed == replace(
        made, rollout=replace(made.rollout, percentage=12.5), version=2, epoch=2
    )
    assert isinstance((await editor.set_percentage("f", 5, asked_by())).rollout.percentage, float)


@pytest.mark.parametrize("percentage", [True, "5", None, float("nan"), -1, 101, 0.0001, 10**400])
async def test_what_is_no_percentage_is_refused(editor: FlagEditor, percentage: Any) -> None:
    await editor.put_flag("f", {}, asked_by())

    with pytest.raises(FlagInvalidError, match=r"^percentage: "):
        await editor.set_percentage("f", percentage, asked_by())


async def test_a_kill_takes_the_percentage_and_its_end_brings_it_not_back(
    editor: FlagEditor,
) -> None:
    made = await editor.put_flag("f", {"rollout": {"percentage": 50, "salt": "s1"}}, asked_by())

    killed = await editor.kill("f", asked_by(), in_flight=ABORT)
    ended = await editor.end_kill("f", asked_by())
    back = await editor.set_percentage("f", 50, asked_by())

    assert (killed.kill, killed.in_flight, killed.rollout.percentage) == (True, ABORT, 0)
    assert (ended.kill, ended.in_flight, ended.rollout.percentage) == (False, DRAIN, 0)
    assert back.rollout == made.rollout


async def test_a_flag_that_an_older_release_cannot_judge_can_be_killed_all_the_same() -> None:
    when = {"$later": {"$not": 1}}
    later = a_flag("f", rollout={"percentage": 50}, rules=[{"when": when}])
    needs = a_flag("g", prerequisites=[{"flag": "f", "variants": ["pink"]}])
    editor = FlagEditor(MemoryStore(a_ruleset(later, needs, version=3)))

    killed = await editor.kill("f", asked_by(), in_flight=DRAIN)
    ended = await editor.end_kill("f", asked_by())
    ramped = await editor.set_percentage("f", 1, asked_by())

    assert (killed.kill, ended.kill, ramped.rollout.percentage) == (True, False, 1)
    assert ramped.rules[0].when == when
    with pytest.raises(FlagInvalidError, match=r"rules\.0\.when"):
        await editor.put_flag("f", flag_json(ramped), asked_by())


async def test_other_dealings_open_an_epoch_and_other_words_do_not(editor: FlagEditor) -> None:
    document: dict[str, Any] = {"rollout": {"percentage": 5, "salt": "s1"}, "allow": ["ann"]}
    epochs = [(await editor.put_flag("f", document, asked_by())).epoch]

    changes: tuple[dict[str, Any], ...] = (
        {"description": "other words"},
        {"rollout": {"percentage": 10, "salt": "s1"}},
        {"rollout": {"percentage": 10, "salt": "s2"}},
        {"allow": []},
        {"variants": {"off": False, "on": True}},  # only another order
        {"kill": True},
        {"in_flight": "abort"},
        {"rules": [{"when": {"age": 1}}]},
        {"rules": [{"when": {"age": True}}]},
    )
    for change in changes:
        document |= change
        epochs.append((await editor.put_flag("f", document, asked_by())).epoch)

    assert epochs == [1, 1, 3, 4, 5, 5, 7, 7, 9, 10]


async def test_a_flag_that_is_created_again_opens_an_epoch(editor: FlagEditor) -> None:
    await editor.put_flag("f", {}, asked_by())
    await editor.delete_flag("f", asked_by())

    assert (await editor.put_flag("f", {}, asked_by())).epoch == 3


async def test_what_changes_nothing_writes_nothing(
    editor: FlagEditor, store: FileFlagStore, tmp_path: Path
) -> None:
    made = await editor.put_flag("f", {"rollout": {"percentage": 5}}, asked_by())
    await editor.put_segment("staff", {}, asked_by())
    content = (tmp_path / "flags.json").read_bytes()

    again = [
        await editor.put_flag("f", {"rollout": {"percentage": 5}}, asked_by("bob")),
        await editor.put_flag("f", flag_json(made), asked_by("bob", if_version=1)),
        await editor.set_percentage("f", 5, asked_by("bob")),
        await editor.end_kill("f", asked_by("bob")),
    ]
    await editor.put_segment("staff", {}, asked_by("bob"))
    await editor.take_in(await store.read(), asked_by("bob"))

    assert again == [made] * 4
    assert (tmp_path / "flags.json").read_bytes() == content


async def test_true_in_the_place_of_one_is_a_change(editor: FlagEditor) -> None:
    # Python holds them equal; conditions and readers of an object do not.
    await editor.put_flag("f", {"rules": [{"when": {"age": 1}}]}, asked_by())
    rule = await editor.put_flag("f", {"rules": [{"when": {"age": True}}]}, asked_by())

    one = {"type": "object", "variants": {"a": {"x": 1}, "b": {}}, "off_variant": "b"}
    await editor.put_flag("g", one, asked_by())
    value = await editor.put_flag("g", {**one, "variants": {"a": {"x": True}, "b": {}}}, asked_by())

    assert rule.rules[0].when["age"] is True
    assert value.variants["a"] == {"x": True}
    assert (rule.version, value.version, value.epoch) == (2, 4, 4)


async def test_if_version_holds_only_at_that_version(editor: FlagEditor) -> None:
    made = await editor.put_flag("f", {}, asked_by(if_version=0))
    changed = await editor.set_percentage("f", 5, asked_by(if_version=made.version))

    attempts: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: editor.put_flag("f", {}, asked_by(if_version=0)),
        lambda: editor.put_flag("f", {"enabled": False}, asked_by(if_version=1)),
        lambda: editor.set_percentage("f", 5, asked_by(if_version=1)),
        lambda: editor.kill("f", asked_by(if_version=1), in_flight=DRAIN),
        lambda: editor.end_kill("f", asked_by(if_version=3)),
        lambda: editor.delete_flag("f", asked_by(if_version=1)),
    )
    for attempt in attempts:
        with pytest.raises(VersionConflictError) as refused:
            await attempt()
        assert refused.value.version == changed.version == 2
    await editor.delete_flag("f", asked_by(if_version=2))
    with pytest.raises(VersionConflictError):
        await editor.put_flag("f", {}, asked_by(if_version=2))


async def test_a_segments_if_version_holds_only_at_that_version(editor: FlagEditor) -> None:
    await editor.put_segment("staff", {}, asked_by(if_version=0))

    for version in (0, 2):
        with pytest.raises(VersionConflictError):
            await editor.put_segment("staff", {}, asked_by(if_version=version))
        with pytest.raises(VersionConflictError):
            await editor.delete_segment("staff", asked_by(if_version=version))
    await editor.delete_segment("staff", asked_by(if_version=1))


async def test_what_is_not_there_is_told(editor: FlagEditor) -> None:
    attempts: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: editor.set_percentage("f", 5, asked_by()),
        lambda: editor.kill("f", asked_by(), in_flight=DRAIN),
        lambda: editor.end_kill("f", asked_by()),
        lambda: editor.delete_flag("f", asked_by()),
        lambda: editor.delete_segment("f", asked_by()),
    )
    for attempt in attempts:
        with pytest.raises(FlagNotFoundError):
            await attempt()


async def test_a_flag_that_the_service_asks_stays_and_keeps_its_type(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    await editor.put_flag("streaming", {}, asked_by())
    colour = {
        "type": "string",
        "variants": {"a": ""},
        "off_variant": "a",
        "rollout": {"serve": "a"},
    }

    with pytest.raises(FlagRequiredError):
        await editor.delete_flag("streaming", asked_by())
    with pytest.raises(FlagRequiredError):
        await editor.put_flag("streaming", colour, asked_by())
    with pytest.raises(FlagRequiredError):
        await editor.take_in(a_ruleset(a_colour("streaming")), asked_by())

    assert (await store.read()).version == 1
    await editor.take_in(a_ruleset(a_colour("streaming")), asked_by(), only_missing=True)
    await editor.put_flag("other", colour, asked_by())


async def test_what_others_need_stays(editor: FlagEditor, store: FileFlagStore) -> None:
    await editor.put_segment("staff", {"include": ["ann"]}, asked_by())
    await editor.put_flag("base", {"rules": [{"when": {"$segment": "staff"}}]}, asked_by())
    needs = {"prerequisites": [{"flag": "base", "variants": ["on"]}]}
    await editor.put_flag("f", needs, asked_by())
    other = {"variants": {"no": False, "yes": True}, "off_variant": "no"}

    with pytest.raises(FlagInvalidError, match=r"^flags\.f\.prerequisites\.0\.flag: "):
        await editor.delete_flag("base", asked_by())
    with pytest.raises(FlagInvalidError, match=r"^flags\.f\.prerequisites\.0\.variants: "):
        await editor.put_flag("base", other, asked_by())
    with pytest.raises(FlagInvalidError, match=r"^flags\.base\.rules\.0\.when: "):
        await editor.delete_segment("staff", asked_by())

    assert (await store.read()).version == 3
    await editor.delete_flag("f", asked_by())
    await editor.delete_flag("base", asked_by())
    await editor.delete_segment("staff", asked_by())


async def test_what_is_at_fault_is_told_with_its_place(editor: FlagEditor) -> None:
    with pytest.raises(FlagInvalidError, match=r"^rollout\.percentage: "):
        await editor.put_flag("f", {"rollout": {"percentage": 101}}, asked_by())
    with pytest.raises(FlagInvalidError, match=r"^percent: is not a known field"):
        await editor.put_flag("f", {"percent": 5}, asked_by())
    with pytest.raises(FlagInvalidError, match=r"^key: "):
        await editor.put_flag("F", {}, asked_by())
    with pytest.raises(FlagInvalidError, match=r"^when\.\$later: "):
        await editor.put_segment("staff", {"when": {"$later": 1}}, asked_by())
    with pytest.raises(FlagInvalidError, match=r"^included: is not a known field"):
        await editor.put_segment("staff", {"included": []}, asked_by())


async def test_what_is_taken_in_creates_and_replaces_and_leaves_the_rest(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    await editor.put_flag("a", {}, asked_by())
    await editor.put_flag("b", {}, asked_by())
    other = a_ruleset(a_flag("b", enabled=False), a_flag("c"), a_segment("staff"), version=0)

    made = await editor.take_in(other, asked_by())

    ruleset = await store.read()
    versions = {key: flag.version for key, flag in ruleset.flags.items()}
    assert versions == {"a": 1, "b": 3, "c": 3}
    assert not ruleset.flags["b"].enabled
    assert ruleset.segments["staff"].version == 3
    assert made == {
        "flag:b": encode(ruleset.flags["b"]),
        "flag:c": encode(ruleset.flags["c"]),
        "segment:staff": encode(ruleset.segments["staff"]),
    }
    assert [entry.action for entry in await store.history("flag:b", limit=9)] == ["import", "put"]


async def test_what_is_restored_continues_above_its_versions_and_replaces_nothing(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    await editor.put_flag("kept", {"description": "newer"}, asked_by())
    lost = replace(a_flag("lost", rollout={"percentage": 5, "salt": "s1"}), version=40, epoch=7)
    known = a_ruleset(lost, a_flag("kept", description="older"), version=40)

    await editor.take_in(known, asked_by(), action="restore", only_missing=True)
    await editor.take_in(known, asked_by(), action="restore", only_missing=True)

    ruleset = await store.read()
    assert ruleset.version == 41
    assert ruleset.flags["lost"] == replace(lost, version=41, epoch=41, updated_at=AT)
    assert (ruleset.flags["kept"].description, ruleset.flags["kept"].version) == ("newer", 1)


async def test_what_is_taken_in_is_checked_as_a_whole_and_taken_whole_or_not(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    first = a_flag("a", prerequisites=[{"flag": "z", "variants": ["on"]}])

    with pytest.raises(FlagInvalidError, match=r"^flags\.a\.prerequisites\.0\.flag: "):
        await editor.take_in(a_ruleset(a_flag("b"), first), asked_by())
    assert (await store.read()).version == 0

    await editor.take_in(a_ruleset(first, a_flag("z")), asked_by())
    assert set((await store.read()).flags) == {"a", "z"}


async def test_what_a_later_release_left_hinders_no_import() -> None:
    later = a_flag("later", rules=[{"when": {"$later": 1}}])
    store = MemoryStore(a_ruleset(later, a_segment("staff"), version=3))
    editor = FlagEditor(store)

    await editor.take_in(a_ruleset(a_flag("new")), asked_by(), only_missing=True)
    await editor.delete_segment("staff", asked_by())

    assert set((await store.read()).flags) == {"later", "new"}


async def test_a_new_definition_ends_no_kill_and_changes_no_salt_by_the_way(
    editor: FlagEditor,
) -> None:
    await editor.put_flag("f", {"rollout": {"percentage": 5, "salt": "s2"}}, asked_by())
    await editor.kill("f", asked_by(), in_flight=ABORT)

    edited = await editor.put_flag("f", {"rollout": {"percentage": 7}}, asked_by())
    ended = await editor.put_flag("f", {"kill": False, "rollout": {"salt": "s3"}}, asked_by())

    assert (edited.kill, edited.in_flight, edited.rollout.salt) == (True, ABORT, "s2")
    assert (ended.kill, ended.in_flight, ended.rollout.salt) == (False, DRAIN, "s3")


async def test_an_import_ends_no_kill(editor: FlagEditor, store: FileFlagStore) -> None:
    await editor.put_flag("f", {}, asked_by())
    await editor.kill("f", asked_by(), in_flight=ABORT)

    await editor.take_in(a_ruleset(a_flag("f", rollout={"percentage": 50})), asked_by())

    flag = (await store.read()).flags["f"]
    assert (flag.kill, flag.in_flight, flag.rollout.percentage) == (True, ABORT, 50)


async def test_what_a_store_lost_of_its_last_writes_is_made_again_when_it_is_restored(
    editor: FlagEditor, store: FileFlagStore
) -> None:
    old = await editor.put_flag("f", {"rollout": {"percentage": 5}}, asked_by())
    kept = await editor.put_flag("g", {"rollout": {"percentage": 6}}, asked_by())
    known = a_ruleset(
        replace(old, kill=True, version=9),
        replace(kept, rollout=replace(kept.rollout, percentage=99.0)),
    )

    await editor.take_in(replace(known, version=9), asked_by(), only_missing=True)

    found = await store.read()
    assert (found.flags["f"].kill, found.flags["g"]) == (True, kept)
    assert found.version == 10
