"""Changing flags by hand: what becomes of their rollouts."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flags.changes.editor import FlagEditor
from flags.codec import flag_json
from flags.model import InFlight
from flags.rollout.model import GuardedRollout, Hold, Plan, State
from tests.flags.factories import a_flag, a_ruleset, asked_by
from tests.flags.support import MemoryStore

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ACTIVE = (State.RUNNING, State.HOLD, State.FINAL_BAKE)
RESTING = (State.PAUSED, State.ROLLED_BACK)


class World:
    """A flag at 5 %, or where it is said, with a rollout."""

    def __init__(self, state: State, *, percentage: float = 5) -> None:
        hold = Hold.SRM if state is State.HOLD else None
        self.rollout = GuardedRollout("streaming", Plan(), state, 1, hold, last_good=0, restarts=3)
        flag = a_flag(rollout={"percentage": percentage})
        other = a_flag("other")
        rules = replace(a_ruleset(flag, other), rollouts={"streaming": self.rollout})
        self.store = MemoryStore(rules)
        self.editor = FlagEditor(self.store, now=lambda: AT)

    async def rollouts(self) -> Mapping[str, GuardedRollout]:
        return (await self.store.read()).rollouts

    async def is_untouched(self) -> bool:
        return await self.rollouts() == {"streaming": self.rollout}

    async def is_paused(self) -> bool:
        """Say whether it is paused, and else as it was."""
        (rollout,) = (await self.rollouts()).values()
        return rollout == replace(
            self.rollout, state=State.PAUSED, hold=None, reason="paused by ada: because",
            since=AT, version=rollout.version, updated_at=AT,
        )  # fmt: skip


@pytest.mark.parametrize("state", ACTIVE)
@pytest.mark.parametrize("percentage", [0, 5, 50])
async def test_who_sets_a_percentage_pauses_the_rollout_there(
    state: State, percentage: float
) -> None:
    world = World(state)

    flag = await world.editor.set_percentage("streaming", percentage, asked_by())

    assert flag.rollout.percentage == percentage
    assert await world.is_paused()
    assert world.store.commits == 1
    (entry,) = await world.store.history("rollout:streaming", limit=9)
    assert (entry.action, entry.author.who, entry.evidence) == ("rollout", "ada", None)


async def test_a_percentage_that_only_pauses_is_answered_the_same_when_it_is_repeated() -> None:
    world = World(State.RUNNING)

    first = await world.editor.set_percentage("streaming", 5, asked_by(key="one"))
    again = await world.editor.set_percentage("streaming", 5, asked_by(key="one"))

    assert again == first
    assert world.store.commits == 1


@pytest.mark.parametrize("state", ACTIVE)
async def test_a_kill_pauses_the_rollout(state: State) -> None:
    world = World(state)

    flag = await world.editor.kill("streaming", asked_by(), in_flight=InFlight.ABORT)

    assert (flag.kill, flag.rollout.percentage) == (True, 0)
    assert await world.is_paused()


@pytest.mark.parametrize("state", RESTING)
async def test_the_end_of_a_kill_changes_nothing_of_the_rollout(state: State) -> None:
    world = World(state)
    await world.editor.kill("streaming", asked_by(), in_flight=InFlight.DRAIN)

    flag = await world.editor.end_kill("streaming", asked_by())

    assert (flag.kill, flag.rollout.percentage) == (False, 0)
    assert await world.is_untouched()


async def test_what_is_paused_stays_as_it_is() -> None:
    world = World(State.PAUSED)

    await world.editor.set_percentage("streaming", 50, asked_by())
    await world.editor.kill("streaming", asked_by(), in_flight=InFlight.DRAIN)

    assert await world.is_untouched()


async def test_what_was_rolled_back_and_is_brought_back_by_hand_is_paused() -> None:
    world = World(State.ROLLED_BACK, percentage=0)

    await world.editor.kill("streaming", asked_by(), in_flight=InFlight.DRAIN)
    await world.editor.end_kill("streaming", asked_by())
    stayed = await world.is_untouched()
    await world.editor.set_percentage("streaming", 50, asked_by())

    assert stayed
    assert await world.is_paused()


@pytest.mark.parametrize(
    ("more", "pauses"),
    [
        ({"deny": ["ann"]}, True),
        ({"rollout": {"percentage": 6}}, True),
        ({"rollout": {"percentage": 5, "salt": "new"}}, True),
        ({"enabled": False}, True),
        ({"description": "words"}, False),
        ({"in_flight": "abort"}, False),
    ],
)
async def test_a_definition_pauses_the_rollout_if_the_flag_deals_otherwise(
    more: Mapping[str, object], *, pauses: bool
) -> None:
    world = World(State.RUNNING)
    definition = flag_json((await world.store.read()).flags["streaming"])

    await world.editor.put_flag("streaming", {**definition, **more}, asked_by())

    assert await world.is_paused() is pauses
    assert await world.is_untouched() is not pauses


async def test_a_document_that_deals_otherwise_pauses_the_rollout_and_keeps_it() -> None:
    world, alike = World(State.RUNNING), World(State.RUNNING)
    same = (await alike.store.read()).flags["streaming"]

    await world.editor.take_in(a_ruleset(a_flag(rollout={"percentage": 9})), asked_by())
    await alike.editor.take_in(a_ruleset(same, a_flag("third")), asked_by())

    assert await world.is_paused()
    assert await alike.is_untouched()


async def test_other_flags_are_none_of_a_rollouts_business() -> None:
    world = World(State.RUNNING)

    await world.editor.set_percentage("other", 50, asked_by())
    await world.editor.delete_flag("other", asked_by())

    assert await world.is_untouched()


async def test_a_flag_takes_its_rollout_with_it() -> None:
    world = World(State.PAUSED)

    await world.editor.delete_flag("streaming", asked_by())

    assert await world.rollouts() == {}
    (entry,) = await world.store.history("rollout:streaming", limit=9)
    assert (entry.action, entry.after) == ("delete", None)


@pytest.mark.parametrize(("percentage", "pauses"), [(99.999, True), (100, False)])
async def test_what_is_completed_is_paused_only_when_fewer_are_dealt_the_flag(
    percentage: float, *, pauses: bool
) -> None:
    world = World(State.COMPLETED, percentage=100)

    await world.editor.set_percentage("streaming", percentage, asked_by())

    assert await world.is_paused() is pauses


async def test_a_store_that_lost_everything_gets_its_rollouts_back_as_they_were() -> None:
    world = World(State.RUNNING)
    known = await world.store.read()
    world.store.lose_everything()

    await world.editor.take_in(known, asked_by(), action="restore", only_missing=True)

    (rollout,) = (await world.rollouts()).values()
    assert rollout == replace(world.rollout, version=rollout.version, updated_at=AT)
    assert rollout.version > known.version
