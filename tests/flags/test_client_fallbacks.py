"""Starting without the store, and giving a store back what it lost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from flags.changes.editor import FlagEditor
from flags.client import Fallbacks, FlagClient, Source
from flags.errors import FlagsError
from flags.model import Ruleset
from flags.store.file import FileFlagStore
from flags.store.snapshot import read_snapshot, write_snapshot
from tests.flags.factories import a_flag, a_ruleset, a_segment, asked_by
from tests.flags.support import MemoryStore, running, until

ON = a_flag(rollout={"percentage": 100, "salt": "s7"})
OFF = a_flag()
WANTED = a_flag(rollout={"percentage": 1})


def away() -> MemoryStore:
    """Return a store that cannot be reached."""
    store = MemoryStore()
    store.go_away()
    return store


def asked(client: FlagClient, key: str = "streaming") -> tuple[object, str]:
    """Return the variant and the reason that a unit is told."""
    decision = client.decide(key, "ann", default=None)
    return decision.variant, decision.reason.value


def a_bootstrap(path: Path, *flags: str) -> Path:
    """Return a file that people wrote, in which these flags are at 100 %."""
    definitions = {key: {"rollout": {"percentage": 100}} for key in flags}
    path.write_text(json.dumps({"flags": definitions}))
    return path


async def test_without_store_the_snapshot_is_served_before_all(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot.json"
    write_snapshot(snapshot, a_ruleset(ON, version=9))
    bootstrap = a_bootstrap(tmp_path / "bootstrap.json", "other")
    client = FlagClient(away(), Fallbacks(a_ruleset(OFF), snapshot, bootstrap))

    with capture_logs() as logs:
        await client.open()

    assert asked(client) == ("on", "stale")
    status = client.status
    assert (status.source, status.version, status.is_stale) == (Source.SNAPSHOT, 9, True)
    assert (status.age_s, status.fault) == (None, "the store is away")
    assert "flags.started_without_store" in [entry["event"] for entry in logs]


@pytest.mark.parametrize("damage", [None, b"", b"{}", b"\xff"])
async def test_without_a_good_snapshot_the_bootstrap_is_served(
    tmp_path: Path, damage: bytes | None
) -> None:
    snapshot = tmp_path / "snapshot.json"
    if damage is not None:
        snapshot.write_bytes(damage)
    bootstrap = a_bootstrap(tmp_path / "bootstrap.json", "streaming")
    client = FlagClient(away(), Fallbacks(a_ruleset(OFF), snapshot, bootstrap))

    with capture_logs() as logs:
        await client.open()

    assert asked(client) == ("on", "stale")
    assert client.status.source is Source.BOOTSTRAP
    unusable = "flags.snapshot_unusable" in [entry["event"] for entry in logs]
    assert unusable == (damage is not None)


async def test_without_anything_the_codes_word_is_served(tmp_path: Path) -> None:
    client = FlagClient(away(), Fallbacks(a_ruleset(OFF), tmp_path / "snapshot.json"))

    await client.open()

    assert asked(client) == ("off", "stale")
    assert client.status.source is Source.DEFAULTS


@pytest.mark.parametrize("content", [None, "{", '{"flags": {"streaming": {"percent": 5}}}'])
async def test_a_bootstrap_that_is_needed_and_wrong_stops_the_start(
    tmp_path: Path, content: str | None
) -> None:
    bootstrap = tmp_path / "bootstrap.json"
    if content is not None:
        bootstrap.write_text(content)

    with pytest.raises(FlagsError):
        await FlagClient(away(), Fallbacks(Ruleset(), None, bootstrap)).open()


async def test_a_bootstrap_that_is_not_needed_is_not_read(tmp_path: Path) -> None:
    client = FlagClient(MemoryStore(a_ruleset(ON)), Fallbacks(Ruleset(), None, tmp_path / "gone"))

    await client.open()

    assert asked(client) == ("on", "split")


async def test_the_store_is_followed_once_it_is_there(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot.json"
    write_snapshot(snapshot, a_ruleset(OFF, version=9))
    store = MemoryStore(a_ruleset(ON, version=9))
    store.go_away()

    async with running(FlagClient(store, Fallbacks(Ruleset(), snapshot))) as client:
        before = asked(client)
        store.is_away = False
        await until(lambda: client.status.source is Source.STORE)

    assert before == ("off", "stale")
    assert asked(client) == ("on", "split")
    assert client.status.age_s is not None


async def test_every_change_is_kept_in_the_snapshot(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot.json"
    store = MemoryStore(a_ruleset(OFF, a_segment("staff"), version=3))

    async with running(FlagClient(store, Fallbacks(Ruleset(), snapshot))) as client:
        first = read_snapshot(snapshot)
        store.hold(a_ruleset(ON, version=4))
        await until(lambda: read_snapshot(snapshot) == a_ruleset(ON, version=4))

    assert first == a_ruleset(OFF, a_segment("staff"), version=3)
    assert client.ruleset == a_ruleset(ON, version=4)


async def test_a_snapshot_that_cannot_be_written_harms_nobody(tmp_path: Path) -> None:
    client = FlagClient(
        MemoryStore(a_ruleset(ON)), Fallbacks(Ruleset(), tmp_path / "gone" / "snapshot.json")
    )

    with capture_logs() as logs:
        await client.open()

    assert asked(client) == ("on", "split")
    assert "flags.snapshot_not_written" in [entry["event"] for entry in logs]


async def test_what_is_wanted_is_created_once_and_never_replaced(tmp_path: Path) -> None:
    store = FileFlagStore(tmp_path / "flags.json")
    client = FlagClient(store, Fallbacks(Ruleset(), wanted=[WANTED, a_flag("other")]))
    await client.open()
    await FlagEditor(store).set_percentage("streaming", 50, asked_by())

    again = FlagClient(store, Fallbacks(Ruleset(), wanted=[WANTED, a_flag("third")]))
    await again.open()

    flags = (await store.read()).flags
    assert flags["streaming"].rollout.percentage == 50
    assert {key: flag.version for key, flag in flags.items()} == {
        "streaming": 2,
        "other": 1,
        "third": 3,
    }
    (created,) = await store.history("flag:other", limit=5)
    assert (created.action, created.author.who) == ("create", "system")


async def test_what_is_wanted_is_created_among_definitions_of_a_later_release() -> None:
    later = a_flag("later", rules=[{"when": {"$later": 1}}])
    store = MemoryStore(a_ruleset(later, version=3))
    client = FlagClient(store, Fallbacks(Ruleset(), wanted=[WANTED]))

    await client.open()

    assert client.status.source is Source.STORE
    assert client.ruleset.flags.keys() == {"later", "streaming"}


async def test_a_store_that_can_be_read_but_not_written_is_served_all_the_same() -> None:
    store = MemoryStore(a_ruleset(a_flag("f"), version=3))
    store.is_read_only = True
    async with running(FlagClient(store, Fallbacks(Ruleset(), wanted=[WANTED]))) as client:
        at_start = asked(client, "f"), asked(client), client.status
        store.hold(a_ruleset(a_flag("f", default_variant="on"), version=4))
        await until(lambda: asked(client, "f")[0] == "on")
        store.is_read_only = False
        await until(lambda: not client.status.is_stale)

    assert at_start[0] == ("off", "stale")
    assert at_start[1] == (None, "error")
    assert (at_start[2].source, at_start[2].fault) == (Source.STORE, "the disk is full")
    assert client.ruleset.flags["streaming"].rollout.percentage == 1


async def test_an_empty_store_that_cannot_be_written_leaves_what_is_known(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot.json"
    write_snapshot(snapshot, a_ruleset(ON, version=9))
    store = MemoryStore()
    store.is_read_only = True
    for fallbacks in (
        Fallbacks(Ruleset(), snapshot, wanted=[WANTED]),
        Fallbacks(a_ruleset(ON), wanted=[WANTED]),
    ):
        client = FlagClient(store, fallbacks)
        await client.open()
        assert asked(client) == ("on", "stale")


@pytest.mark.parametrize("touched", [False, True])
async def test_a_store_that_loses_all_is_given_it_back_from_memory(touched: bool) -> None:
    kept = replace(ON, version=40, epoch=38)
    store = MemoryStore(a_ruleset(kept, a_flag("f"), a_segment("staff"), version=40))
    async with running(FlagClient(store, Fallbacks(Ruleset(), wanted=[WANTED]))) as client:
        # Somebody may be faster: what he wrote stays.
        store.hold(a_ruleset(a_flag("f", description="new"), version=1) if touched else Ruleset())
        await until(lambda: client.status.version > 40)

    assert client.ruleset == await store.read()
    assert client.ruleset.version == 41
    assert asked(client) == ("on", "split")
    assert client.ruleset.flags["streaming"].rollout == kept.rollout
    assert client.ruleset.flags["f"].description == ("new" if touched else "")
    assert client.ruleset.segments.keys() == {"staff"}
    (entry, *_) = await store.history("flag:streaming", limit=5)
    assert (entry.action, entry.version, entry.author.who) == ("restore", 41, "system")


async def test_a_change_to_a_store_that_lost_all_is_made_in_what_it_had() -> None:
    store = MemoryStore(a_ruleset(ON, a_flag("f"), version=40))
    client = FlagClient(store, Fallbacks(Ruleset()))
    await client.open()
    editor = FlagEditor(store, refill=client.follow_store)

    store.lose_everything()
    changed = await editor.set_percentage("streaming", 50, asked_by())
    again = await editor.set_percentage("streaming", 10, asked_by(if_version=42))

    assert (changed.version, again.version) == (42, 43)
    assert changed.rollout == replace(ON.rollout, percentage=50)
    assert (await store.read()).flags.keys() == {"streaming", "f"}


async def test_a_store_whose_last_flag_was_deleted_is_not_refilled_by_a_change() -> None:
    store = MemoryStore(a_ruleset(ON, version=40))
    client = FlagClient(store, Fallbacks(Ruleset()))
    await client.open()
    editor = FlagEditor(store, refill=client.follow_store)

    await editor.delete_flag("streaming", asked_by())
    await editor.put_flag("new", {}, asked_by(if_version=0))

    assert (await store.read()).flags.keys() == {"new"}


@pytest.mark.parametrize("source", ["snapshot", "bootstrap"])
async def test_an_empty_store_is_given_what_the_files_know(tmp_path: Path, source: str) -> None:
    snapshot, bootstrap = tmp_path / "snapshot.json", tmp_path / "bootstrap.json"
    if source == "snapshot":
        write_snapshot(snapshot, a_ruleset(ON, version=40))
    a_bootstrap(bootstrap, "streaming")
    store = MemoryStore()

    await FlagClient(store, Fallbacks(Ruleset(), snapshot, bootstrap, [WANTED])).open()

    ruleset = await store.read()
    assert ruleset.version == (41 if source == "snapshot" else 1)
    assert ruleset.flags["streaming"].rollout.percentage == 100


async def test_a_store_that_was_never_lost_is_not_given_another_stores_rules(
    tmp_path: Path,
) -> None:
    snapshot = tmp_path / "snapshot.json"
    write_snapshot(snapshot, a_ruleset(a_flag("foreign"), version=40))
    store = MemoryStore(a_ruleset(ON, version=3))

    await FlagClient(store, Fallbacks(Ruleset(), snapshot)).open()

    assert (await store.read()).flags.keys() == {"streaming"}


async def test_the_last_flag_may_be_deleted_and_stays_deleted() -> None:
    store = MemoryStore(a_ruleset(a_flag("f"), version=3))
    async with running(FlagClient(store, Fallbacks(Ruleset()))) as client:
        await FlagEditor(store).delete_flag("f", asked_by())
        await until(lambda: client.status.version == 4)

    assert (await store.read()).flags == {}
    assert client.ruleset == Ruleset(4)


async def test_lost_writes_of_what_is_still_there_are_not_made_again() -> None:
    # The store restarted without its last write; nothing is missing, and its word holds.
    store = MemoryStore(a_ruleset(ON, version=40))
    async with running(FlagClient(store, Fallbacks(Ruleset()))) as client:
        with capture_logs() as logs:
            store.hold(a_ruleset(OFF, version=39))
            await until(lambda: client.status.version == 39)

    assert asked(client) == ("off", "default")
    assert (store.commits, [entry for entry in logs if entry["event"] == "flags.restored"]) == (
        0,
        [],
    )


async def test_two_processes_that_restore_at_once_restore_once(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    stores = [FileFlagStore(path) for _ in range(2)]
    await FlagEditor(stores[0]).take_in(a_ruleset(ON, a_flag("f")), asked_by())
    clients = [FlagClient(store, Fallbacks(Ruleset())) for store in stores]

    async with running(clients[0]), running(clients[1]):
        path.unlink()
        await until(lambda: all(client.status.version == 3 for client in clients))

    assert len(await stores[0].history("flag:streaming", limit=9)) == 1
    assert [asked(client) for client in clients] == [("on", "split")] * 2


async def test_what_is_known_and_cannot_be_taken_in_is_served_on() -> None:
    # As an older release's validation may have let it in.
    wrong = replace(ON, description="x" * 2000)
    store = MemoryStore(a_ruleset(wrong, version=40))
    async with running(FlagClient(store, Fallbacks(Ruleset()))) as client:
        store.lose_everything()
        await until(lambda: client.status.is_stale)

    assert asked(client) == ("on", "stale")
    assert "description" in str(client.status.fault)


async def test_segments_without_flags_are_not_worth_a_restore() -> None:
    store = MemoryStore(Ruleset(3, {}, {"staff": a_segment()}))
    async with running(FlagClient(store, Fallbacks(Ruleset()))) as client:
        store.lose_everything()
        await until(lambda: client.status.version == 0)

    assert store.commits == 0
