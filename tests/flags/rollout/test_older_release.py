"""A release that knows of no rollouts, beside one that leads them: neither destroys the other's."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from flags.errors import FencedError
from flags.model import Ruleset
from flags.rollout.decided import CONTROLLER, is_decision
from flags.rollout.model import State
from tests.flags.factories import asked_by
from tests.flags.rollout.worlds import FLAG, World


async def change(world: World, percentage: float, *, kill: bool = False) -> None:
    """Change how the flag deals as the older release does: the rollout stays as it is."""

    def changed(ruleset: Ruleset) -> Ruleset:
        flag = ruleset.flags[FLAG]
        dealt = replace(flag, kill=kill, rollout=replace(flag.rollout, percentage=percentage))
        return replace(ruleset, flags={**ruleset.flags, FLAG: dealt})

    await world.editor.change("rollout", changed, asked_by(), asked=None)


@pytest.mark.parametrize(("percentage", "kill"), [(20.0, False), (60.0, False), (0.0, True)])
async def test_whoever_takes_the_wheel_there_has_it_too(percentage: float, *, kill: bool) -> None:
    world = World()
    await world.start()
    controller, fence = world.controller(), await world.leader()
    await controller.tick(FLAG, fence)
    await change(world, percentage, kill=kill)

    with capture_logs() as logs:
        for _ in range(20):
            world.now += 5
            await world.requests()
            await controller.tick(FLAG, fence)
    await change(world, percentage)
    await controller.tick(FLAG, fence)

    rollout = await world.rollout()
    assert (rollout.state, await world.percentage()) == (State.PAUSED, percentage)
    assert [each["event"] for each in logs if each["log_level"] == "warning"] == ["rollout.let_go"]
    newest = (await world.flags.history(f"rollout:{FLAG}", limit=1))[0]
    assert (newest.action, newest.author.who) == ("pause", CONTROLLER)
    assert not is_decision(newest)


async def test_a_former_leader_lets_nothing_go() -> None:
    world = World()
    await world.start()
    controller, fence = world.controller(), await world.leader()
    await world.controller("w2").tick(FLAG, await world.leader("w2"))
    await change(world, 20.0)

    with pytest.raises(FencedError):
        await controller.tick(FLAG, fence)

    assert (await world.rollout()).state is State.HOLD  # nobody has told what came


async def test_words_that_change_nothing_of_who_gets_what_are_no_wheel() -> None:
    world = World()
    await world.start()
    controller, fence = world.controller(), await world.leader()

    def described(ruleset: Ruleset) -> Ruleset:
        flag = replace(ruleset.flags[FLAG], description="for everybody soon")
        return replace(ruleset, flags={**ruleset.flags, FLAG: flag})

    await world.editor.change("put", described, asked_by(), asked=None)
    await controller.tick(FLAG, fence)

    assert (await world.rollout()).state is State.HOLD  # nobody has told what came
