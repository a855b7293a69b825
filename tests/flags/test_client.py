"""Deciding in a process: what is served with, without and after the store."""

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from flags.changes.editor import FlagEditor
from flags.client import Fallbacks, FlagClient, FlagsStatus, Source
from flags.errors import FlagStoreUnavailableError
from flags.kills import LocalKills
from flags.model import Decision, InFlight, Reason, Ruleset
from flags.rollout.model import GuardedRollout
from flags.store.file import FileFlagStore
from flags.store.snapshot import write_snapshot
from tests.flags.factories import UNITS, a_flag, a_ruleset, a_segment, asked_by, random_documents
from tests.flags.support import MemoryStore, ruleset_of, running, until

ON = a_flag(rollout={"percentage": 100})
OFF = a_flag()
NO_FALLBACKS = Fallbacks(Ruleset())


def asked(client: FlagClient, key: str = "streaming", unit: str = "ann") -> tuple[object, str]:
    """Return the variant and the reason that a unit is told."""
    decision = client.decide(key, unit, default=None)
    return decision.variant, decision.reason.value


def now_serves(client: FlagClient, variant: str, reason: str) -> bool:
    """Say whether the flag «streaming» gives this now."""
    return asked(client) == (variant, reason)


class Heard:
    """What a listener was told: the versions before and after."""

    def __init__(self, client: FlagClient) -> None:
        self.versions: list[tuple[int, int]] = []
        client.on_change(
            lambda before, after: self.versions.append((before.version, after.version))
        )


async def test_what_the_store_holds_is_served(tmp_path: Path) -> None:
    store = FileFlagStore(tmp_path / "flags.json")
    await FlagEditor(store).put_flag("f", {"rollout": {"percentage": 100}}, asked_by())
    client = FlagClient(store, NO_FALLBACKS, clock=iter([5.0, 7.5]).__next__)

    await client.open()

    assert client.decide("f", "ann", default=None) == Decision(
        "f", value=True, variant="on", reason=Reason.SPLIT, version=1, epoch=1
    )
    assert client.status == FlagsStatus(Source.STORE, 1, False, 2.5, frozenset(), None)
    assert client.ruleset == client.snapshot.ruleset == await store.read()


async def test_a_flag_that_is_not_there_gives_the_callers_default() -> None:
    client = FlagClient(MemoryStore(), NO_FALLBACKS)
    await client.open()

    decision = client.decide("gone", "ann", default={"a": 1})

    assert decision == Decision("gone", {"a": 1}, None, Reason.ERROR, error="flag_not_found")


async def test_before_it_is_open_the_codes_word_is_served_as_stale() -> None:
    client = FlagClient(MemoryStore(), Fallbacks(a_ruleset(ON, version=0)))

    assert asked(client) == ("on", "stale")
    assert client.status == FlagsStatus(Source.DEFAULTS, 0, True, None, frozenset(), None)


class _Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __bool__(self) -> bool:
        raise RuntimeError("neither")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    __hash__ = None  # type: ignore[assignment]  # it cannot be hashed either


_HOSTILE = _Hostile()
_WEIRD_UNITS = (None, 5, True, 1.5, b"ann", ["ann"], {"a": 1}, _HOSTILE, "x" * 1_000_000, "\0")
_WEIRD_ATTRIBUTES: tuple[object, ...] = (
    {},
    None,
    5,
    [("a", 1)],
    {1: 2},
    {"country": _HOSTILE, "age": _HOSTILE, "plan": _HOSTILE},
    {"age": float("nan"), "country": [[]], "targetingKey": None},
    {"country": {"a": {"b": object()}}},
)


async def test_no_unit_and_no_attributes_make_a_decision_raise_whatever_happens(
    runs: int,
) -> None:
    decisions: list[Decision] = []
    with capture_logs() as logs:
        for seed in range(min(runs, 30)):
            client = FlagClient(MemoryStore(ruleset_of(random_documents(seed))), NO_FALLBACKS)
            await client.open()
            decisions += [
                client.decide(key, unit, default="mine", attributes=attributes)  # type: ignore[arg-type]  # the point
                for unit in (*UNITS, *_WEIRD_UNITS)
                for attributes in _WEIRD_ATTRIBUTES
                for key in client.ruleset.flags
            ]

    failed = [decision for decision in decisions if decision.error == "general"]
    assert {(decision.value, decision.variant) for decision in failed} == {("mine", None)}
    assert {decision.error for decision in decisions} == {None, "targeting_key_missing", "general"}
    assert "flags.evaluation_failed" in [entry["event"] for entry in logs]


@pytest.mark.parametrize("key", [None, [], {}, _Hostile()])
async def test_a_key_that_is_none_gives_the_callers_default(key: object) -> None:
    client = FlagClient(MemoryStore(a_ruleset(ON)), NO_FALLBACKS)

    decision = client.decide(key, "ann", default=3)  # type: ignore[arg-type]  # the point

    assert (decision.value, decision.reason) == (3, Reason.ERROR)


async def test_a_change_of_another_process_is_followed(tmp_path: Path) -> None:
    store, other = (FileFlagStore(tmp_path / "flags.json") for _ in range(2))
    await FlagEditor(other).put_flag("streaming", {}, asked_by())

    async with running(FlagClient(store, NO_FALLBACKS)) as client:
        before = asked(client)
        await FlagEditor(other).set_percentage("streaming", 100, asked_by())
        await until(lambda: now_serves(client, "on", "split"))
        await FlagEditor(other).kill("streaming", asked_by(), in_flight=InFlight.DRAIN)
        await until(lambda: now_serves(client, "off", "disabled"))

    assert before == ("off", "default")


async def test_who_has_just_changed_a_flag_sees_it() -> None:
    store = MemoryStore(a_ruleset(OFF))
    client = FlagClient(store, NO_FALLBACKS)
    await client.open()

    await FlagEditor(store).set_percentage("streaming", 100, asked_by())
    await client.follow_store()

    assert asked(client) == ("on", "split")
    store.go_away()
    with pytest.raises(FlagStoreUnavailableError):
        await client.follow_store()


async def test_a_store_that_is_lost_leaves_what_was_known_as_stale_until_it_is_back() -> None:
    store = MemoryStore(a_ruleset(ON, version=3))
    async with running(FlagClient(store, NO_FALLBACKS)) as client:
        store.go_away()
        await until(lambda: client.status.is_stale)
        lost = asked(client), client.status
        store.is_away = False
        await until(lambda: not client.status.is_stale)

    assert lost[0] == ("on", "stale")
    assert (lost[1].source, lost[1].version, lost[1].fault) == (
        Source.STORE,
        3,
        "the store is away",
    )
    assert asked(client) == ("on", "split")
    assert client.status.fault is None


async def test_a_store_where_nothing_happens_confirms_its_rules() -> None:
    now = [100.0]
    store = _QuietStore(a_ruleset(ON))
    async with running(FlagClient(store, NO_FALLBACKS, clock=lambda: now[0])) as client:
        now[0] = 200.0
        age_s = client.status.age_s
        await until(lambda: client.status.age_s == 0)

    assert age_s == 100
    assert not client.status.is_stale


class _QuietStore(MemoryStore):
    """It tells soon that its version is the same."""

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        assert seen == self.content.version
        await anyio.sleep(timeout_s / 100)
        return seen


async def test_what_changed_while_the_store_was_away_is_found() -> None:
    store = MemoryStore(a_ruleset(OFF, version=3))
    async with running(FlagClient(store, NO_FALLBACKS)) as client:
        store.go_away()
        await until(lambda: client.status.is_stale)
        store.hold(a_ruleset(ON, version=9))
        store.is_away = False
        await until(lambda: now_serves(client, "on", "split"))

    assert client.status.version == 9


async def test_what_was_written_anew_under_the_same_version_is_found() -> None:
    # A store that restarts without its last writes gives their versions to others.
    store = MemoryStore(a_ruleset(OFF, version=3))
    async with running(FlagClient(store, NO_FALLBACKS)) as client:
        store.go_away()
        await until(lambda: client.status.is_stale)
        store.hold(a_ruleset(ON, version=3))
        store.is_away = False
        await until(lambda: now_serves(client, "on", "split"))


async def test_a_late_answer_does_not_bring_older_rules_back() -> None:
    store = _LateStore(a_ruleset(OFF, version=1))
    client = FlagClient(store, NO_FALLBACKS)
    heard = Heard(client)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.follow_store)
            await anyio.wait_all_tasks_blocked()
            store.hold(a_ruleset(ON, version=2))
            tasks.start_soon(client.follow_store)
            await anyio.wait_all_tasks_blocked()
            store.first_answer.set()

    assert asked(client) == ("on", "split")
    assert heard.versions == [(0, 1), (1, 2)]


class _LateStore(MemoryStore):
    """Its first answer is long on its way."""

    def __init__(self, ruleset: Ruleset) -> None:
        super().__init__(ruleset)
        self.first_answer = anyio.Event()
        self._is_first = True

    async def read(self) -> Ruleset:
        is_first, self._is_first = self._is_first, False
        answer = await super().read()
        if is_first:
            await self.first_answer.wait()
        return answer


async def test_a_listener_is_told_once_of_each_change_and_of_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    write_snapshot(path, a_ruleset(OFF, version=3))
    store = MemoryStore(a_ruleset(OFF, version=3))
    store.go_away()
    client = FlagClient(store, Fallbacks(Ruleset(), path), kills=LocalKills(["streaming"]))
    heard = Heard(client)

    async with running(client):
        store.is_away = False
        await until(lambda: not client.status.is_stale)
        store.go_away()
        await until(lambda: client.status.is_stale)
        store.is_away = False
        await until(lambda: not client.status.is_stale)
        await client.follow_store()
        store.hold(a_ruleset(ON, version=4))
        await until(lambda: client.status.version == 4)

    assert heard.versions == [(0, 3), (3, 4)]


async def test_a_listener_that_fails_harms_nobody() -> None:
    client = FlagClient(MemoryStore(a_ruleset(ON)), NO_FALLBACKS)

    def fail(_before: Ruleset, _after: Ruleset) -> None:
        raise RuntimeError("no")

    client.on_change(fail)
    heard = Heard(client)

    with capture_logs() as logs:
        await client.open()

    assert heard.versions == [(0, 1)]
    assert asked(client) == ("on", "split")
    assert "flags.listener_failed" in [entry["event"] for entry in logs]


async def test_a_local_kill_is_noticed_and_ends_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "kills"
    client = FlagClient(
        MemoryStore(a_ruleset(ON, a_flag("other"))), NO_FALLBACKS, kills=LocalKills((), path)
    )
    async with running(client):
        before = asked(client)
        path.write_text("streaming\n")
        await until(lambda: now_serves(client, "off", "disabled"))
        killed = client.status.killed_here
        path.unlink()
        await until(lambda: now_serves(client, "on", "split"))

    assert before == ("on", "split")
    assert killed == {"streaming"}
    assert client.status.killed_here == frozenset()


async def test_a_local_kill_is_noticed_while_the_store_is_away(tmp_path: Path) -> None:
    path = tmp_path / "kills"
    store = MemoryStore(a_ruleset(ON))
    store.go_away()
    client = FlagClient(store, Fallbacks(a_ruleset(ON)), kills=LocalKills((), path))

    async with running(client):
        before = asked(client)
        path.write_text("*")
        await until(lambda: now_serves(client, "off", "stale"))

    assert before == ("on", "stale")


async def test_a_local_kill_is_noticed_while_the_store_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "kills"
    store = _SilentStore(a_ruleset(ON))

    async with running(FlagClient(store, NO_FALLBACKS, kills=LocalKills((), path))) as client:
        path.write_text("streaming")
        await until(lambda: now_serves(client, "off", "disabled"))


class _SilentStore(MemoryStore):
    """It never tells of a version."""

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        await anyio.sleep_forever()
        raise AssertionError(seen, timeout_s)


async def test_kills_at_start_are_above_the_store() -> None:
    store = MemoryStore(a_ruleset(ON, a_flag("other", rollout={"percentage": 100})))
    one = FlagClient(store, NO_FALLBACKS, kills=LocalKills(["streaming", "unknown"]))
    all_ = FlagClient(store, NO_FALLBACKS, kills=LocalKills(["*"]))
    for client in (one, all_):
        await client.open()

    assert [asked(one, key)[0] for key in ("streaming", "other")] == ["off", "on"]
    assert [asked(all_, key)[0] for key in ("streaming", "other")] == ["off", "off"]
    assert one.status.killed_here == {"streaming", "unknown"}
    assert all_.status.killed_here == {"streaming", "other"}


async def test_a_client_decides_as_its_ruleset_says_before_and_after_a_restart(
    tmp_path: Path,
) -> None:
    dice = random.Random(1)  # noqa: S311  # seeded, so that a failure can be repeated
    units = [f"user-{dice.random()}" for _ in range(500)]
    path = tmp_path / "flags.json"
    was: Mapping[str, object] = {}

    for percentage in (1, 5, 10, 25, 50, 75, 90, 100):
        store = FileFlagStore(path)
        editor = FlagEditor(store)
        await editor.take_in(a_ruleset(OFF), asked_by(), only_missing=True)
        await editor.set_percentage("streaming", percentage, asked_by())
        client = FlagClient(store, NO_FALLBACKS)
        await client.open()
        now = {unit: 1 for unit in units if asked(client, unit=unit)[0] == "on"}
        assert was.items() <= now.items()
        was = now

    assert len(was) == 500


async def test_a_damaged_definition_leaves_the_others() -> None:
    store = MemoryStore(a_ruleset(ON, a_flag("f"), a_segment("staff")))
    store.content.definitions["flag:f"] = json.dumps({"type": "date"})
    client = FlagClient(store, NO_FALLBACKS)

    await client.open()

    assert asked(client, "streaming") == ("on", "split")
    assert asked(client, "f") == (None, "error")


async def test_a_change_of_a_rollout_alone_compiles_no_flag_and_is_told() -> None:
    store = MemoryStore(a_ruleset(ON))
    client = FlagClient(store, NO_FALLBACKS)
    await client.open()
    heard, before = Heard(client), client.snapshot

    rollouts = {"streaming": GuardedRollout("streaming")}
    store.hold(replace(a_ruleset(ON, version=2), rollouts=rollouts))
    await client.follow_store()

    assert client.ruleset.rollouts == rollouts
    assert client.snapshot.evaluators is before.evaluators
    assert heard.versions == [(1, 2)]
    store.hold(replace(a_ruleset(OFF, version=3), rollouts=rollouts))
    await client.follow_store()
    assert client.snapshot.evaluators is not before.evaluators
    assert now_serves(client, "off", "default")
