"""The controller: what it decides is written once, audited, and survives whoever decided."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from flags.errors import FencedError, FlagStoreUnavailableError, VersionConflictError
from flags.model import Ruleset
from flags.rollout.batches import Arm, Batch
from flags.rollout.controller import RolloutController, observation
from flags.rollout.decided import CONTROLLER, replayed
from flags.rollout.model import Hold, State
from flags.rollout.store.base import Beat, Sight
from flags.rollout.tally import Tally
from flags.store.base import Fence
from tests.flags.factories import a_flag, asked_by
from tests.flags.rollout.worlds import FLAG, PLAN, World
from tests.flags.support import until

FAILING = [f"u{number}" for number in range(60)]


@pytest.fixture
async def world() -> World:
    world = World()
    await world.start()
    return world


async def ticks(
    world: World,
    controller: RolloutController,
    fence: Fence,
    number: int,
    *,
    are_busy: bool = True,
) -> None:
    """Let time pass, and healthy traffic."""
    for _ in range(number):
        world.now += 5
        if are_busy:
            await world.requests()
        await controller.tick(FLAG, fence)


async def test_a_healthy_rollout_climbs_stage_by_stage_to_its_end(world: World) -> None:
    controller, fence = world.controller(), await world.leader()

    await ticks(world, controller, fence, 30)

    assert world.told == [("promote", 0, 1), ("promote", 1, 2), ("complete", 2, 2)]
    assert (await world.rollout()).state is State.COMPLETED
    assert await world.percentage() == 100
    report = controller.report(FLAG)
    assert report is not None
    assert report.state == "completed"


async def test_each_step_is_one_write_with_its_author_its_words_and_its_inputs(
    world: World,
) -> None:
    commits = world.flags.commits
    await ticks(world, world.controller(), await world.leader(), 30)

    assert world.flags.commits - commits == 3
    entries = await world.flags.history(f"rollout:{FLAG}", limit=99)
    assert [entry.action for entry in entries] == ["complete", "promote", "promote", "start"]
    for entry in entries[:-1]:
        assert entry.author.who == CONTROLLER
        assert entry.after is not None
        assert entry.author.why == entry.after["reason"]
        assert replayed(entry).is_same
    dealt = await world.flags.history(f"flag:{FLAG}", limit=99)
    assert [entry.version for entry in dealt] == [each.version for each in entries[1:]]
    assert {entry.evidence for entry in dealt} == {None}


async def test_inputs_that_were_altered_are_found_by_replay(world: World) -> None:
    await ticks(world, world.controller(), await world.leader(), 30)
    entry = (await world.flags.history(f"rollout:{FLAG}", limit=99))[1]
    assert entry.evidence is not None
    assert entry.after is not None

    seen = entry.evidence["seen"]
    assert isinstance(seen, dict)
    other = {**entry.evidence, "seen": {**seen, "percentage": 3.0, "is_killed": True}}

    assert not replayed(replace(entry, evidence=other)).is_same
    assert not replayed(replace(entry, after={**entry.after, "stage": 0})).is_same
    assert not replayed(replace(entry, action="hold")).is_same
    unreadable = replayed(replace(entry, evidence={"seen": 5}))
    assert (unreadable.is_same, unreadable.transition) == (False, None)
    assert unreadable.fault


async def test_what_fails_in_the_new_arm_only_is_rolled_back(world: World) -> None:
    controller, fence = world.controller(), await world.leader()
    await ticks(world, controller, fence, 5)

    for _ in range(8):
        world.now += 5
        await world.requests(on=10, failing=FAILING)
        await controller.tick(FLAG, fence)

    assert [told[0] for told in world.told][-1] == "roll_back"
    rollout = await world.rollout()
    assert (rollout.state, rollout.rollbacks) == (State.ROLLED_BACK, 1)
    assert await world.percentage() == 0


async def test_a_flag_without_a_rollout_is_left_alone() -> None:
    world = World()
    controller = world.controller()

    await controller.tick(FLAG, await world.leader())

    assert world.flags.commits == 0
    assert controller.report(FLAG) is None


async def test_of_what_was_changed_meanwhile_nothing_is_written(world: World) -> None:
    controller, fence = world.controller(), await world.leader()
    await ticks(world, controller, fence, 2)
    known = world.flags.content

    def somebody_else() -> None:
        version = world.flags.content.version + 1
        flag = a_flag(rollout={"percentage": 1}, deny=["ann"])
        rules = Ruleset(version, {FLAG: flag}, {}, {FLAG: rollout})
        world.flags.hold(rules)

    rollout = await world.rollout()
    world.flags.before_commit = somebody_else
    with pytest.raises(VersionConflictError):
        await ticks(world, controller, fence, 20)

    assert world.told == []
    assert world.flags.content.version == known.version + 1
    assert (await world.rollout()).stage == 0


async def test_another_flags_change_stops_no_step(world: World) -> None:
    controller, fence = world.controller(), await world.leader()

    def somebody_else() -> None:
        content = world.flags.content
        world.flags.content = replace(content, version=content.version + 1)

    world.flags.before_commit = somebody_else
    await ticks(world, controller, fence, 30)

    assert [told[0] for told in world.told] == ["promote", "promote", "complete"]


async def test_a_former_leader_writes_nothing(world: World) -> None:
    controller, former = world.controller(), await world.leader("w1")
    await ticks(world, controller, former, 2)
    other, present = world.controller("w2"), await world.leader("w2")
    await ticks(world, other, present, 4)
    before, told = world.flags.content, list(world.told)

    with pytest.raises(FencedError):
        await ticks(world, controller, former, 30)

    assert world.flags.content == before
    assert world.told == told == [("promote", 0, 1), ("promote", 1, 2)]


async def test_a_step_whose_answer_was_lost_is_made_once_and_told_once(world: World) -> None:
    controller, fence = world.controller(), await world.leader()
    world.flags.lose_answers = 1

    lost = 0
    for _ in range(30):
        try:
            await ticks(world, controller, fence, 1)
        except FlagStoreUnavailableError:
            lost += 1

    assert lost == 1
    assert [told[0] for told in world.told] == ["promote", "promote", "complete"]
    entries = await world.flags.history(f"rollout:{FLAG}", limit=99)
    assert [entry.action for entry in entries] == ["complete", "promote", "promote", "start"]


async def test_a_step_that_was_lost_is_made_again_and_told_once(world: World) -> None:
    controller, fence = world.controller(), await world.leader()
    world.flags.lose_writes = 1

    with pytest.raises(FlagStoreUnavailableError):
        await ticks(world, controller, fence, 30)
    assert world.told == []
    await ticks(world, controller, fence, 30)

    assert [told[0] for told in world.told] == ["promote", "promote", "complete"]


async def test_of_a_step_that_was_lost_nobody_is_told_when_a_person_was_faster(
    world: World,
) -> None:
    controller, fence = world.controller(), await world.leader()
    world.flags.lose_writes = 1
    with pytest.raises(FlagStoreUnavailableError):
        await ticks(world, controller, fence, 30)

    await world.operator.pause(FLAG, asked_by())
    await ticks(world, controller, fence, 3)
    await world.editor.delete_flag(FLAG, asked_by())
    await ticks(world, controller, fence, 1, are_busy=False)

    assert world.told == []
    assert controller.report(FLAG) is None


async def test_who_is_overtaken_by_another_leader_stops_deciding(world: World) -> None:
    controller = world.controller()
    with capture_logs() as logs:
        async with world.running(controller):
            await until(lambda: controller.is_leader)
            # All at once, as after a pause of the whole process: the lease is another's by now.
            world.rollouts.take_lease("w2")
            await until(lambda: not controller.is_leader)

    assert {"rollout.fenced", "rollout.follows"} & {each["event"] for each in logs}


async def test_a_leader_that_finds_it_was_overtaken_looks_again() -> None:
    world = World()
    await world.start(replace(PLAN, bake_s=0.0))
    controller = world.controller()

    rollout, version = await world.rollout(), world.flags.content.version + 1
    flag = a_flag(rollout={"percentage": 1}, deny=["ann"])
    world.flags.before_commit = lambda: world.flags.hold(
        Ruleset(version, {FLAG: flag}, {}, {FLAG: rollout})
    )
    with capture_logs() as logs:
        async with world.running(controller):
            await until(lambda: "rollout.overtaken" in {each["event"] for each in logs})
            await until(lambda: world.told != [])


async def test_a_fault_that_has_no_name_is_logged_and_the_controller_goes_on(
    world: World,
) -> None:
    controller = world.controller()
    world.rollouts.is_broken = True

    with capture_logs() as logs:
        async with world.running(controller):
            await until(lambda: "rollout.failed" in {each["event"] for each in logs})
            world.rollouts.is_broken = False
            await until(lambda: controller.report(FLAG) is not None)


async def test_a_leader_that_dies_between_its_two_writes_is_replaced_without_harm(
    world: World,
) -> None:
    steps: list[list[str]] = []
    for dies in (False, True):
        world = World()
        await world.start()
        controller, fence = world.controller(), await world.leader()
        for number in range(40):
            world.rollouts.keeps = not (dies and number % 3)
            try:
                await ticks(world, controller, fence, 1)
            except FlagStoreUnavailableError:
                controller = world.controller(f"w{number}")
                fence = await world.leader(f"w{number}")
        steps.append(
            [entry.action for entry in await world.flags.history("rollout:streaming", limit=99)]
        )

    assert steps[0] == ["complete", "promote", "promote", "start"]
    assert [step for step in steps[1] if step not in {"hold", "release"}] == steps[0]


async def test_every_worker_knows_how_a_rollout_stands_and_one_leads(world: World) -> None:
    controllers = [world.controller(f"w{number}") for number in range(3)]

    async with world.running(*controllers):
        await until(lambda: all(each.report(FLAG) for each in controllers))
    leading = [each for each in controllers if each.is_leader]
    others = [each for each in controllers if not each.is_leader]
    assert len(leading) == 1
    assert leading[0].last_tick_age_s is not None
    await leading[0].close()
    async with world.running(*others):
        await until(lambda: any(each.is_leader for each in others))


async def test_what_was_counted_is_handed_over_with_the_version_that_is_served(
    world: World,
) -> None:
    tally = Tally("w1")
    tally.assigned("ann", epoch=2, arm=Arm.ON)

    async with world.running(world.controller(tally=tally)):
        await until(lambda: world.rollouts.added >= 2)

    sight = await world.rollouts.see(FLAG, 2)
    assert sight.workers == {"w1": Beat(2, sight.workers["w1"].age_s)}


async def test_what_the_store_may_not_have_got_is_handed_over_again_and_counts_once(
    world: World,
) -> None:
    tally = Tally("w1")
    controller = world.controller(tally=tally)
    world.rollouts.is_away = True
    tally.assigned("ann", epoch=2, arm=Arm.ON)
    tally.began("a", "ann", epoch=2, arm=Arm.ON, now=0)
    tally.ended("a", "completed", is_amiss=False, ttft_s=0.1, total_s=1)

    with pytest.raises(FlagStoreUnavailableError):
        await controller.flush()
    world.rollouts.is_away = False
    world.rollouts.lose_answers = 1
    with pytest.raises(FlagStoreUnavailableError):
        await controller.flush()
    await controller.flush()
    await controller.flush()

    on = (await world.rollouts.see(FLAG, 2)).on
    assert (on.n, on.users) == (1, 1)


async def test_a_lost_store_is_told_once_and_its_return_too(world: World) -> None:
    controller = world.controller()
    with capture_logs() as logs:
        async with world.running(controller):
            await until(lambda: controller.is_leader)
            world.rollouts.is_away = True
            await until(lambda: not controller.is_leader)
            await until(lambda: "rollout.store_lost" in {each["event"] for each in logs})
            world.rollouts.is_away = False
            await until(lambda: controller.is_leader)
            await until(lambda: any(e["event"] == "rollout.store_back" for e in logs))

    told = [each["what"] for each in logs if each["event"] == "rollout.store_lost"]
    assert len(told) == len(set(told))


async def test_who_closes_hands_over_what_is_left_and_is_not_missed(world: World) -> None:
    tally = Tally("w1")
    controller = world.controller(tally=tally)
    await controller.flush()
    world.rollouts.is_away = True
    tally.assigned("ann", epoch=2, arm=Arm.ON)
    with pytest.raises(FlagStoreUnavailableError):
        await controller.flush()
    tally.assigned("bob", epoch=2, arm=Arm.ON)
    world.rollouts.is_away = False

    await controller.close()

    sight = await world.rollouts.see(FLAG, 2)
    assert (sight.on.users, sight.workers) == (2, {})


async def test_who_closes_without_its_store_says_so_and_ends(world: World) -> None:
    controller = world.controller()
    world.rollouts.is_away = True

    with capture_logs() as logs:
        await controller.close()

    assert [each["event"] for each in logs] == ["rollout.left_unheard"]


async def test_a_fault_of_ours_is_logged_and_stops_nothing(world: World) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    controller = world.controller(on_transition=fail)
    with capture_logs() as logs:
        await ticks(world, controller, await world.leader(), 30)

    assert (await world.rollout()).state is State.COMPLETED
    assert [e["event"] for e in logs if e["log_level"] == "error"] == [
        "rollout.listener_failed"
    ] * 3


async def test_a_person_who_takes_the_wheel_has_it(world: World) -> None:
    controller, fence = world.controller(), await world.leader()
    await ticks(world, controller, fence, 4)
    await world.editor.set_percentage(FLAG, 3, asked_by())
    before = await world.rollout()

    await ticks(world, controller, fence, 20)

    assert await world.rollout() == before
    assert (before.state, await world.percentage()) == (State.PAUSED, 3)


async def test_it_holds_while_a_worker_is_silent_and_goes_on_afterwards(world: World) -> None:
    controller, fence = world.controller(), await world.leader()
    await world.rollouts.add(FLAG, Batch("silent", 1, {}), version=99)
    world.now += 31
    await ticks(world, controller, fence, 1)

    held = await world.rollout()
    assert (held.state, held.hold) == (State.HOLD, Hold.STALE_METRICS)
    await ticks(world, controller, fence, 20)
    assert "promote" in {told[0] for told in world.told}


def test_a_worker_with_older_rules_of_this_flag_skews_and_one_with_newer_ones_does_not() -> None:
    flag = replace(a_flag(), version=7, epoch=5)

    def seen(*versions: int) -> Sight:
        return Sight(9.0, workers={str(v): Beat(v, v / 10) for v in versions})

    assert observation(flag, seen(6, 7)).is_skewed
    assert not observation(flag, seen(7, 12)).is_skewed
    assert observation(flag, seen(7, 12)).oldest_flush_s == 1.2
    assert observation(flag, seen()).oldest_flush_s is None
    assert observation(flag, seen()).epoch == 5
