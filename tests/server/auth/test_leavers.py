"""What leavers left behind is looked for once, when nobody lets them in any more."""

import pytest

from server.auth.leavers import CALL_S, Leavers
from tests.server.auth.clock import Clock


async def test_leavers_are_seen_off_once_when_every_worker_knows_that_they_left() -> None:
    clock, deleted = Clock(), list[str]()
    leavers = Leavers(check_s=5, clock=clock)

    async def delete(user_id: str) -> None:
        deleted.append(user_id)

    leavers.left("user_1")
    clock.now += 4 + CALL_S
    leavers.left("user_2")
    await leavers.see_off(delete)
    assert deleted == []

    clock.now += 1
    await leavers.see_off(delete)
    await leavers.see_off(delete)
    assert deleted == ["user_1"]

    clock.now += 60
    await leavers.see_off(delete)
    assert deleted == ["user_1", "user_2"]


async def test_a_leaver_who_could_not_be_seen_off_is_the_next_time() -> None:
    clock, tries = Clock(), list[str]()
    leavers = Leavers(check_s=5, clock=clock)

    async def delete(user_id: str) -> None:
        tries.append(user_id)
        if len(tries) == 1:
            raise OSError("the store is away")

    leavers.left("user_1")
    clock.now += 60
    with pytest.raises(OSError, match="away"):
        await leavers.see_off(delete)
    await leavers.see_off(delete)
    await leavers.see_off(delete)

    assert tries == ["user_1", "user_1"]
