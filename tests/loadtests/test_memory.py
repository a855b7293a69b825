"""What a turn leaves behind is guarded by counts: resident memory is the allocator's affair too."""

import sys

import anyio
import pytest

from loadtests.bench.memory import count_left

TURNS, WARM_UP = 160, 80
FEW = TURNS // 8
"""Less than one of a kind for each turn, or for each connection: what is made now and then."""

GARBAGE = 0.5
"""Objects of a turn that hold each other, so that they stay until a collection: none. A connection
that held itself, and the tries of a call to the model, made 82 of them, 14 KB a turn; where it had
lasted for minutes there was hardly ever a collection that found it."""


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
async def test_turns_that_have_ended_leave_nothing_behind() -> None:
    with anyio.fail_after(120):
        left = await count_left(TURNS, warm_up=WARM_UP)

    assert {name: count for name, count in left.kept.items() if count > FEW} == {}
    assert left.tasks <= 2, "what is done by the clock may be at it"
    assert left.descriptors <= 2, "connections to the model may be kept, no more than run at once"
    assert left.garbage <= GARBAGE
