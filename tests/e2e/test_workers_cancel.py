"""A turn is stopped by way of a worker that does not run it, at any moment."""

from pathlib import Path

import anyio
import pytest

from tests.chaos.guests import Model
from tests.chaos.scene import WAIT_S, played

pytestmark = [pytest.mark.services, pytest.mark.long]

LONG = Model("long", "sim:tokens=240,rate=20,ttft=0.1", 240)


async def test_a_cancel_waits_for_a_turn_that_is_not_shared_yet(tmp_path: Path) -> None:
    async with played(tmp_path, LONG) as (scene, judged):
        await scene.a.redis.refuse()
        scene.a.redis.cut()
        turn = await scene.start(LONG, scene.a)
        path = f"{scene.b.url}/api/v1/turns/{turn.turn_id}/cancel"
        states: list[object] = []

        async def cancel() -> None:
            states.append((await scene.guest.http.post(path)).json()["status"])

        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel)
                await anyio.sleep(1.0)  # the fault itself
                await scene.a.redis.listen()
            await scene.guest.follow(turn, worker=scene.b)

        assert states == ["cancelled"]
        assert judged().stored(turn).name == "cancelled"
