"""A store that comes back with what it held a while ago: nobody has taken the wheel by that."""

from dataclasses import replace

from flags.model import InFlight
from flags.rollout.model import State
from tests.flags.factories import asked_by
from tests.flags.rollout.worlds import FLAG, World


async def test_a_store_that_lost_a_promotion_is_told_of_it_and_the_rollout_goes_on() -> None:
    world = World()
    await world.start()
    controller, fence = world.controller(), await world.leader()
    before = await world.flags.read()
    while not world.told:
        world.now += 5
        await world.requests()
        await controller.tick(FLAG, fence)
    promoted = await world.rollout()
    await world.clients[0].follow_store()
    world.flags.hold(before)

    await world.clients[0].follow_store()

    assert (await world.rollout()).state is State.RUNNING
    assert (await world.rollout()).stage == promoted.stage == 1
    assert await world.percentage() == promoted.percentage


async def test_a_kill_that_the_store_has_had_since_pauses_what_comes_back() -> None:
    world = World()
    await world.start()
    controller, fence = world.controller(), await world.leader()
    before = await world.flags.read()
    while not world.told:
        world.now += 5
        await world.requests()
        await controller.tick(FLAG, fence)
    await world.clients[0].follow_store()
    world.flags.hold(replace(before, version=before.version - 1))
    await world.editor.kill(FLAG, asked_by(), in_flight=InFlight.DRAIN)

    await world.clients[0].follow_store()

    assert (await world.rollout()).state is State.PAUSED
    assert (await world.flags.read()).flags[FLAG].kill
