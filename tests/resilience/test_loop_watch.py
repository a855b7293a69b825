"""Noticing a loop that stands still: it is really blocked here, for longer than a second."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, log2
from time import process_time

import anyio
import anyio.lowlevel
import pytest

from resilience.loop_watch import BLOCKED_S, LoopWatch

BRIEF_S = 0.3


@dataclass
class Told:
    """What the watch has told, in its own thread."""

    seconds: list[float] = field(default_factory=list)
    stacks: list[str] = field(default_factory=list)

    def __call__(self, seconds: float, stack: str) -> None:
        self.seconds.append(seconds)
        self.stacks.append(stack)


def stand_still(for_s: float = BLOCKED_S + 0.6) -> None:
    """Wait as a driver would that knows no event loop."""
    threading.Event().wait(for_s)


def think_hard() -> None:
    """Keep the interpreter to oneself: a match in its C code lets no other thread run."""
    began_s = process_time()
    re.match(r"(a+)+$", "a" * 18 + "b")
    doublings = ceil(log2((BLOCKED_S + 0.6) / (process_time() - began_s)))
    re.match(r"(a+)+$", "a" * (18 + doublings) + "b")


@pytest.mark.parametrize("block", [pytest.param(stand_still, marks=pytest.mark.long), think_hard])
async def test_a_blocked_loop_is_told_once_with_what_blocks_it(block: Callable[[], None]) -> None:
    told = Told()

    with LoopWatch(on_blocked=told):
        block()
        await anyio.sleep(0.6)  # it runs again, and is looked at twice

    assert len(told.seconds) == 1
    assert told.seconds[0] >= BLOCKED_S
    assert f"in {block.__name__}" in told.stacks[0]
    assert "test_loop_watch.py" in told.stacks[0]


@pytest.mark.long
async def test_each_time_that_it_is_blocked_is_told() -> None:
    told = Told()

    with LoopWatch(on_blocked=told, blocked_s=BRIEF_S):
        for _ in range(2):
            stand_still(3 * BRIEF_S)
            await anyio.sleep(2 * BRIEF_S)

    assert len(told.seconds) == 2


async def test_a_loop_that_is_late_now_and_then_is_not_blocked() -> None:
    told = Told()

    with LoopWatch(on_blocked=told, blocked_s=2 * BRIEF_S):
        for _ in range(12):
            stand_still(0.1)
            await anyio.lowlevel.checkpoint()

    assert told.seconds == []


async def test_nothing_is_told_once_the_watch_is_over() -> None:
    told, threads = Told(), threading.active_count()

    with LoopWatch(on_blocked=told, blocked_s=BRIEF_S):
        assert threading.active_count() == threads + 1

    assert threading.active_count() == threads
    stand_still(3 * BRIEF_S)
    assert told.seconds == []


async def test_a_log_that_takes_nothing_does_not_keep_the_loop_from_leaving() -> None:
    stuck, left = threading.Event(), []

    def hang(_seconds: float, _stack: str) -> None:
        stuck.wait(30)
        left.append("the log")

    with LoopWatch(on_blocked=hang, blocked_s=BRIEF_S):
        stand_still(3 * BRIEF_S)
    left.append("the loop")
    stuck.set()

    assert left == ["the loop"]
