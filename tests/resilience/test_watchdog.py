"""The deadline for «no progress», on real loop timers; order is asserted, never elapsed time."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

import anyio
import pytest

from resilience.watchdog import Watchdog

BRIEF_S = 0.02
NEVER_S = 3600.0

Ts = TypeVarTuple("Ts")


class Expiry:
    """Notes the phases a watchdog reported, and wakes whoever waits for one."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.came = anyio.Event()

    def __call__(self, phase: str) -> None:
        self.phases.append(phase)
        self.came.set()

    async def wait(self) -> list[str]:
        with anyio.fail_after(5):
            await self.came.wait()
        return self.phases


def timer_after(seconds: float, call: Callable[[], None]) -> anyio.Event:
    """Run `call` from a loop timer of its own; the event says that it has run."""
    done = anyio.Event()

    def run() -> None:
        call()
        done.set()

    asyncio.get_running_loop().call_later(seconds, run)
    return done


async def test_no_first_event_expires_the_first_limit() -> None:
    expiry = Expiry()

    with Watchdog(NEVER_S, first_limit_s=BRIEF_S, on_expire=expiry):
        phases = await expiry.wait()

    assert phases == ["first"]


async def test_silence_after_an_event_expires_the_next_limit() -> None:
    expiry = Expiry()

    with Watchdog(BRIEF_S, first_limit_s=BRIEF_S, on_expire=expiry) as dog:
        dog.touch()
        phases = await expiry.wait()

    assert phases == ["next"]


async def test_without_a_first_limit_the_limit_holds_from_the_start() -> None:
    expiry = Expiry()

    with Watchdog(BRIEF_S, on_expire=expiry):
        phases = await expiry.wait()

    assert phases == ["first"]


async def test_progress_moves_the_deadline_past_a_later_timer() -> None:
    expiry, order = Expiry(), list[str]()

    def expire(phase: str) -> None:
        order.append("expired")
        expiry(phase)

    with Watchdog(10 * BRIEF_S, on_expire=expire) as dog:
        touched = timer_after(5 * BRIEF_S, dog.touch)
        # Due after the deadline that held at the start and before the one that the touch sets.
        timer_after(12 * BRIEF_S, lambda: order.append("later timer"))
        with anyio.fail_after(5):
            await touched.wait()
        await expiry.wait()

    assert order == ["later timer", "expired"]
    assert expiry.phases == ["next"]


async def test_a_slow_first_event_is_allowed_its_own_longer_limit() -> None:
    expiry = Expiry()

    with Watchdog(BRIEF_S, first_limit_s=NEVER_S, on_expire=expiry) as dog:
        with anyio.fail_after(5):
            await timer_after(3 * BRIEF_S, lambda: None).wait()
        before = list(expiry.phases)
        dog.touch()
        # The armed timer is the first limit's: a touch must not have to wait for it to fire.
        phases = await expiry.wait()

    assert before == []
    assert phases == ["next"]


async def test_leaving_the_block_ends_the_watch() -> None:
    expiry = Expiry()

    with Watchdog(BRIEF_S, on_expire=expiry) as dog:
        dog.touch()
    with anyio.fail_after(5):
        await timer_after(3 * BRIEF_S, lambda: None).wait()

    assert expiry.phases == []


async def test_leaving_by_an_error_ends_the_watch_and_passes_the_error_on() -> None:
    expiry = Expiry()

    with pytest.raises(ZeroDivisionError), Watchdog(BRIEF_S, on_expire=expiry):
        _ = 1 / 0
    with anyio.fail_after(5):
        await timer_after(3 * BRIEF_S, lambda: None).wait()

    assert expiry.phases == []


async def test_it_expires_once_and_a_later_touch_changes_nothing() -> None:
    expiry = Expiry()

    with Watchdog(BRIEF_S, on_expire=expiry) as dog:
        await expiry.wait()
        dog.touch()
        with anyio.fail_after(5):
            await timer_after(3 * BRIEF_S, lambda: None).wait()

    assert expiry.phases == ["first"]


async def test_a_watchdog_that_watches_again_starts_anew() -> None:
    expiry = Expiry()
    dog = Watchdog(BRIEF_S, first_limit_s=NEVER_S, on_expire=expiry)
    with dog:
        dog.touch()

    with dog:
        with anyio.fail_after(5):
            await timer_after(3 * BRIEF_S, lambda: None).wait()
        before_a_touch = list(expiry.phases)
        dog.touch()
        phases = await expiry.wait()

    assert before_a_touch == []
    assert phases == ["next"]


async def test_many_events_set_no_further_timer() -> None:
    class CountingLoop(asyncio.SelectorEventLoop):
        timers = 0

        def call_at(
            self,
            when: float,
            callback: Callable[[*Ts], object],
            *args: *Ts,
            context: Context | None = None,
        ) -> asyncio.TimerHandle:
            self.timers += 1
            return super().call_at(when, callback, *args, context=context)

    async def touch_often() -> int:
        with Watchdog(NEVER_S, on_expire=lambda _: None) as dog:
            for _ in range(1000):
                dog.touch()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        return loop.timers

    def run() -> int:
        with asyncio.Runner(loop_factory=CountingLoop) as runner:
            return runner.run(touch_often())

    assert await anyio.to_thread.run_sync(run) == 1


@pytest.mark.parametrize("comes", [True, False], ids=["something", "nothing"])
async def test_a_loop_that_was_held_up_reads_what_has_come_before_it_judges(
    comes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resilience.watchdog.LATE_S", BRIEF_S)
    loop, expiry = asyncio.get_running_loop(), Expiry()

    def hold_up() -> None:
        until = loop.time() + 10 * BRIEF_S
        while loop.time() < until:
            pass

    with Watchdog(NEVER_S, first_limit_s=BRIEF_S, on_expire=expiry) as dog:
        read = timer_after(2 * BRIEF_S, dog.touch if comes else lambda: None)
        loop.call_soon(hold_up)
        with anyio.fail_after(5):
            await read.wait()
        at_once = list(expiry.phases)
        phases = [] if comes else await expiry.wait()

    assert at_once == []
    assert phases == ([] if comes else ["first"])
