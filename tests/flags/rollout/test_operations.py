"""What people do to rollouts: where each action is possible, and what it leaves."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flags.changes.editor import FlagEditor
from flags.errors import (
    FlagInvalidError,
    FlagNotFoundError,
    RolloutRefusedError,
    VersionConflictError,
)
from flags.model import InFlight
from flags.rollout.model import GuardedRollout, Hold, Plan, State
from flags.rollout.operations import RolloutOperator, cooldown_left_s
from tests.flags.factories import a_flag, a_ruleset, asked_by
from tests.flags.support import MemoryStore

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAN = Plan(stages=(1.0, 5.0, 25.0, 100.0), cooldown_s=1800, approval_at=(5.0,))

Act = Callable[[RolloutOperator], Awaitable[GuardedRollout]]


class World:
    """A flag with a rollout where a test wants it, and a clock that stands still."""

    def __init__(
        self, rollout: GuardedRollout | None = None, *, percentage: float = 0, **flag: object
    ) -> None:
        ruleset = a_ruleset(a_flag(rollout={"percentage": percentage}, **flag), version=7)
        if rollout is not None:
            ruleset = replace(ruleset, rollouts={"streaming": rollout})
        self.store = MemoryStore(ruleset)
        self.now = AT
        self.editor = FlagEditor(self.store, now=lambda: self.now)
        self.operator = RolloutOperator(self.editor, now=lambda: self.now)

    async def percentage(self) -> float:
        return (await self.store.read()).flags["streaming"].rollout.percentage

    async def rollout(self) -> GuardedRollout | None:
        return (await self.store.read()).rollouts.get("streaming")


def a_rollout(state: State = State.RUNNING, **more: object) -> GuardedRollout:
    rollout = GuardedRollout("streaming", PLAN, state, since=AT, stage_since=AT, restarts=3)
    return replace(rollout, **more)  # type: ignore[arg-type]  # a test's own


async def test_only_what_is_led_can_be_started() -> None:
    world = World(a_rollout(State.PAUSED))
    operator = RolloutOperator(world.editor, led={"other"}, now=lambda: world.now)

    with pytest.raises(RolloutRefusedError, match="only other is rolled out on evidence"):
        await operator.start("streaming", PLAN, asked_by())
    with pytest.raises(FlagNotFoundError):
        await operator.start("nobody_has_it", PLAN, asked_by())

    assert world.store.commits == 0
    assert (await operator.resume("streaming", asked_by())).state is State.RUNNING


async def test_a_start_begins_at_the_first_stage_in_one_write() -> None:
    world = World()

    rollout = await world.operator.start("streaming", PLAN, asked_by())

    assert rollout == GuardedRollout(
        "streaming", PLAN, State.RUNNING, 0, reason="started by ada: because",
        since=AT, stage_since=AT, restarts=1, version=8, updated_at=AT,
    )  # fmt: skip
    assert await world.rollout() == rollout
    assert await world.percentage() == 1
    assert world.store.commits == 1
    for subject in ("flag:streaming", "rollout:streaming"):
        (entry,) = await world.store.history(subject, limit=9)
        assert (entry.action, entry.version, entry.author) == ("start", 8, asked_by().author)


@pytest.mark.parametrize(
    ("percentage", "stage", "state"),
    [
        (0.5, 0, State.RUNNING),
        (1, 0, State.RUNNING),
        (7.5, 1, State.RUNNING),
        (25, 2, State.RUNNING),
        (100, 3, State.FINAL_BAKE),
    ],
)
async def test_a_start_takes_the_flag_from_nobody_who_has_it(
    percentage: float, stage: int, state: State
) -> None:
    world = World(percentage=percentage)

    rollout = await world.operator.start("streaming", PLAN, asked_by())

    assert (rollout.stage, rollout.state) == (stage, state)
    assert await world.percentage() == max(percentage, 1)


async def test_a_new_plan_may_follow_a_rollout_that_is_over_or_waits() -> None:
    paused = World(a_rollout(State.PAUSED, stage=1, rollbacks=2, last_good=0), percentage=5)
    completed = World(a_rollout(State.COMPLETED, stage=3, rollbacks=2), percentage=100)
    plan = Plan(stages=(10.0, 100.0))

    after_pause = await paused.operator.start("streaming", plan, asked_by())
    after_end = await completed.operator.start("streaming", plan, asked_by())

    assert (after_pause.stage, after_pause.last_good, after_pause.rollbacks) == (0, None, 2)
    assert (after_pause.restarts, after_pause.plan) == (4, plan)
    assert (after_end.stage, after_end.state, after_end.rollbacks) == (1, State.FINAL_BAKE, 0)


@pytest.mark.parametrize("state", [State.RUNNING, State.HOLD, State.FINAL_BAKE])
async def test_an_active_rollout_is_not_started_again(state: State) -> None:
    world = World(a_rollout(state), percentage=1)

    await refused(world, lambda it: it.start("streaming", PLAN, asked_by()), "pause it first")


@pytest.mark.parametrize(
    ("flag", "hint"), [({"kill": True}, "end the kill"), ({"enabled": False}, "enable its")]
)
async def test_nothing_goes_up_while_the_flag_is_off(flag: dict[str, bool], hint: str) -> None:
    world = World(a_rollout(State.PAUSED), **flag)

    await refused(world, lambda it: it.start("streaming", PLAN, asked_by()), hint)
    await refused(world, lambda it: it.resume("streaming", asked_by()), hint)


async def test_a_plan_that_means_nothing_is_refused() -> None:
    with pytest.raises(FlagInvalidError, match=r"^stages\.1: "):
        await World().operator.start("streaming", Plan(stages=(5.0, 1.0)), asked_by())


@pytest.mark.parametrize("state", [State.RUNNING, State.HOLD, State.FINAL_BAKE])
async def test_a_pause_keeps_the_percentage(state: State) -> None:
    hold = Hold.SRM if state is State.HOLD else None
    world = World(a_rollout(state, stage=1, hold=hold, last_good=0), percentage=5)
    world.now += timedelta(minutes=1)

    rollout = await world.operator.pause("streaming", asked_by())

    assert (rollout.state, rollout.hold, rollout.since) == (State.PAUSED, None, world.now)
    assert (rollout.stage, rollout.last_good, rollout.stage_since) == (1, 0, AT)
    assert await world.percentage() == 5


async def test_what_is_paused_stays_so_without_another_write() -> None:
    world = World(a_rollout(State.PAUSED), percentage=5)

    assert await world.operator.pause("streaming", asked_by()) == await world.rollout()
    assert world.store.commits == 0


@pytest.mark.parametrize("state", [State.ROLLED_BACK, State.COMPLETED])
async def test_what_does_nothing_cannot_be_paused(state: State) -> None:
    world = World(a_rollout(state))

    await refused(world, lambda it: it.pause("streaming", asked_by()), "does nothing now")


@pytest.mark.parametrize(
    ("percentage", "stage", "after"), [(0, 0, 1), (0.5, 0, 1), (7.5, 1, 5), (100, 3, 100)]
)
async def test_what_was_paused_goes_on_at_the_stage_that_its_percentage_has_reached(
    percentage: float, stage: int, after: float
) -> None:
    world = World(a_rollout(State.PAUSED, stage=2, is_approved=True), percentage=percentage)

    rollout = await world.operator.resume("streaming", asked_by())

    assert (rollout.stage, rollout.restarts, rollout.is_approved) == (stage, 4, False)
    assert rollout.state is (State.FINAL_BAKE if stage == 3 else State.RUNNING)
    assert await world.percentage() == after


async def test_it_may_go_on_at_a_lower_stage_but_at_no_higher_one() -> None:
    world = World(a_rollout(State.PAUSED, stage=2, last_good=1), percentage=25)

    for wrong in (100, 7, 0):
        with pytest.raises(FlagInvalidError, match=r"^stage: .*\(1, 5, 25\)"):
            await world.operator.resume("streaming", asked_by(), wrong)
    rollout = await world.operator.resume("streaming", asked_by(), 5)

    assert (rollout.stage, rollout.last_good) == (1, 0)
    assert await world.percentage() == 5


@pytest.mark.parametrize(("last_good", "stage"), [(None, 0), (0, 0), (1, 1)])
async def test_what_was_rolled_back_goes_on_at_the_last_stage_that_was_passed(
    last_good: int | None, stage: int
) -> None:
    world = World(a_rollout(State.ROLLED_BACK, stage=2, last_good=last_good, rollbacks=1))
    world.now += timedelta(seconds=1800)

    rollout = await world.operator.resume("streaming", asked_by())

    assert (rollout.state, rollout.stage, rollout.rollbacks) == (State.RUNNING, stage, 1)
    assert await world.percentage() == PLAN.stages[stage]


@pytest.mark.parametrize(("rollbacks", "lasts_s"), [(1, 1800), (2, 3600), (4, 14_400)])
async def test_a_cooldown_doubles_with_each_rollback(rollbacks: int, lasts_s: int) -> None:
    world = World(a_rollout(State.ROLLED_BACK, rollbacks=rollbacks))
    world.now += timedelta(seconds=lasts_s - 10)

    for act in (
        lambda it: it.resume("streaming", asked_by()),
        lambda it: it.start("streaming", PLAN, asked_by()),
    ):
        error = await refused(world, act, "cools down for 10 s more")
        assert error.wait_s == 10
    world.now += timedelta(seconds=10)
    assert (await world.operator.resume("streaming", asked_by())).state is State.RUNNING


def test_a_cooldown_never_grows_beyond_a_month() -> None:
    rollout = a_rollout(State.ROLLED_BACK, rollbacks=10_000)

    assert cooldown_left_s(rollout, AT) == 30 * 86_400
    assert cooldown_left_s(replace(rollout, state=State.PAUSED), AT) == 0


@pytest.mark.parametrize("state", [State.RUNNING, State.HOLD, State.FINAL_BAKE, State.COMPLETED])
async def test_what_neither_waits_nor_was_rolled_back_is_not_resumed(state: State) -> None:
    world = World(a_rollout(state))

    await refused(world, lambda it: it.resume("streaming", asked_by()), "only what is paused")


@pytest.mark.parametrize(
    ("state", "stage", "hold"),
    [
        (State.HOLD, 2, Hold.APPROVAL),
        (State.HOLD, 1, Hold.SRM),
        (State.RUNNING, 1, None),
    ],
)
async def test_an_approval_is_noted_where_the_stage_asks_for_one(
    state: State, stage: int, hold: Hold | None
) -> None:
    before = a_rollout(state, stage=stage, hold=hold)
    world = World(before, percentage=5)

    rollout = await world.operator.approve("streaming", asked_by("bob"))

    assert rollout == replace(
        before, is_approved=True, reason="approved by bob: because", version=8, updated_at=AT
    )
    assert await world.operator.approve("streaming", asked_by("cid")) == rollout


@pytest.mark.parametrize(
    ("state", "stage"), [(State.RUNNING, 0), (State.PAUSED, 1), (State.ROLLED_BACK, 1)]
)
async def test_where_nobody_is_asked_nothing_is_approved(state: State, stage: int) -> None:
    world = World(a_rollout(state, stage=stage))

    await refused(world, lambda it: it.approve("streaming", asked_by()), "asks for no approval")


async def test_a_flag_without_a_rollout_has_nothing_to_pause_resume_or_approve() -> None:
    world = World()

    for act in (
        lambda it: it.pause("streaming", asked_by()),
        lambda it: it.resume("streaming", asked_by()),
        lambda it: it.approve("streaming", asked_by()),
    ):
        await refused(world, act, "start one first")


async def test_an_unknown_flag_is_told() -> None:
    with pytest.raises(FlagNotFoundError):
        await World().operator.start("gone", PLAN, asked_by())


async def test_an_action_is_made_only_at_the_flags_version_that_was_seen() -> None:
    world = World()
    flag = await world.editor.set_percentage("streaming", 1, asked_by())

    with pytest.raises(VersionConflictError):
        await world.operator.start("streaming", PLAN, asked_by(if_version=flag.version - 1))

    await world.operator.start("streaming", PLAN, asked_by(if_version=flag.version))


async def test_a_repeated_action_is_answered_as_the_first_time() -> None:
    world = World()

    first = await world.operator.start("streaming", PLAN, asked_by(key="one"))
    again = await world.operator.start("streaming", PLAN, asked_by(key="one"))
    await world.operator.pause("streaming", asked_by(key="two"))
    await world.operator.resume("streaming", asked_by())
    repeated = await world.operator.pause("streaming", asked_by(key="two"))

    assert again == first
    assert repeated.state is State.PAUSED
    rollout = await world.rollout()
    assert rollout is not None
    assert rollout.state is State.RUNNING


async def test_a_killed_flag_goes_on_only_when_people_say_so_twice() -> None:
    world = World()
    await world.operator.start("streaming", PLAN, asked_by())
    await world.editor.kill("streaming", asked_by(), in_flight=InFlight.DRAIN)
    await world.editor.end_kill("streaming", asked_by())
    assert await world.percentage() == 0

    rollout = await world.operator.resume("streaming", asked_by())

    assert (rollout.stage, await world.percentage()) == (0, 1)


async def refused(world: World, act: Act, hint: str) -> RolloutRefusedError:
    before = await world.store.read()
    with pytest.raises(RolloutRefusedError, match=hint) as caught:
        await act(world.operator)
    assert await world.store.read() == before
    return caught.value
