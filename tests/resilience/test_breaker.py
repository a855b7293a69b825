"""The circuit breaker, on a clock of its own."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from resilience.breaker import Attempt, Breaker, BreakerOpenError, BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN

FAILURES = 3
WINDOW_S = 60.0
OPEN_S = 4.0
MAX_OPEN_S = 20.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def a_breaker(
    clock: Clock, on_change: Callable[[str, BreakerState, BreakerState], None] | None = None
) -> Breaker:
    return Breaker(
        "engine",
        failures=FAILURES,
        window_s=WINDOW_S,
        open_s=OPEN_S,
        max_open_s=MAX_OPEN_S,
        clock=clock,
        on_change=on_change,
    )


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with breaker.attempt() as attempt:
            attempt.failed()


def succeed(breaker: Breaker) -> None:
    with breaker.attempt() as attempt:
        attempt.succeeded()


def an_open_breaker(clock: Clock) -> Breaker:
    breaker = a_breaker(clock)
    fail(breaker, FAILURES)
    return breaker


def test_failures_in_a_row_open_it_and_an_open_one_lets_nothing_through() -> None:
    breaker = a_breaker(Clock())

    fail(breaker, FAILURES - 1)
    before = (breaker.state, breaker.allows())
    fail(breaker)

    assert before == (CLOSED, True)
    assert (breaker.state, breaker.allows()) == (OPEN, False)
    with pytest.raises(BreakerOpenError) as refused, breaker.attempt():
        pytest.fail("the block was entered")
    assert refused.value.name == "engine"
    assert OPEN_S * 0.75 <= refused.value.retry_in_s <= OPEN_S


def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = a_breaker(Clock())

    for _ in range(5):
        fail(breaker, FAILURES - 1)
        succeed(breaker)

    assert breaker.state is CLOSED
    assert breaker.snapshot().failures == 0


def test_failures_far_apart_do_not_add_up() -> None:
    clock = Clock()
    breaker = a_breaker(clock)

    for _ in range(10):
        fail(breaker)
        clock.now += WINDOW_S / (FAILURES - 1) + 1

    assert breaker.state is CLOSED


def test_what_tells_nothing_changes_no_count() -> None:
    breaker = a_breaker(Clock())
    fail(breaker, FAILURES - 1)

    for _ in range(10):
        with breaker.attempt():
            pass
        with pytest.raises(ValueError, match="refused"), breaker.attempt():
            raise ValueError("refused")

    assert (breaker.state, breaker.snapshot().failures) == (CLOSED, FAILURES - 1)


def test_the_first_thing_told_counts() -> None:
    breaker = a_breaker(Clock())

    with breaker.attempt() as attempt:
        attempt.succeeded()
        for _ in range(FAILURES):
            attempt.failed()

    assert (breaker.state, breaker.snapshot().failures) == (CLOSED, 0)


def test_after_its_time_one_probe_passes_and_closes_it() -> None:
    clock = Clock()
    breaker = an_open_breaker(clock)

    clock.now += OPEN_S * 0.74
    too_early = breaker.allows()
    clock.now += OPEN_S * 0.26
    with breaker.attempt() as probe:
        during = (breaker.state, breaker.allows())
        with pytest.raises(BreakerOpenError), breaker.attempt():
            pytest.fail("a second probe")
        probe.succeeded()
        closed = breaker.state

    assert (too_early, during, closed) == (False, (HALF_OPEN, False), CLOSED)
    fail(breaker, FAILURES - 1)
    assert breaker.state is CLOSED


def test_each_failed_probe_doubles_the_wait_up_to_the_cap_and_a_success_resets_it() -> None:
    clock = Clock()
    breaker = an_open_breaker(clock)
    waits_s = [breaker.snapshot().retry_in_s]

    for _ in range(5):
        clock.now += MAX_OPEN_S
        fail(breaker)
        waits_s.append(breaker.snapshot().retry_in_s)
    clock.now += MAX_OPEN_S
    succeed(breaker)
    fail(breaker, FAILURES)
    waits_s.append(breaker.snapshot().retry_in_s)

    full_s = [OPEN_S, 8.0, 16.0, MAX_OPEN_S, MAX_OPEN_S, MAX_OPEN_S, OPEN_S]
    for wait_s, longest_s in zip(waits_s, full_s, strict=True):
        assert 0.75 * longest_s <= wait_s <= longest_s


def test_waits_are_spread() -> None:
    waits_s = {an_open_breaker(Clock()).snapshot().retry_in_s for _ in range(20)}

    assert len(waits_s) > 10


async def test_a_cancelled_probe_makes_room_for_the_next() -> None:
    clock = Clock()
    breaker = an_open_breaker(clock)
    clock.now += OPEN_S

    async def probe() -> None:
        with breaker.attempt():
            await anyio.sleep_forever()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(probe)
            await checkpoint()
            during = breaker.allows()
            tasks.cancel_scope.cancel()

    assert (during, breaker.state, breaker.allows()) == (False, HALF_OPEN, True)
    succeed(breaker)
    assert breaker.state is CLOSED


def entered(breaker: Breaker) -> tuple[AbstractContextManager[Attempt], Attempt]:
    block = breaker.attempt()
    return block, block.__enter__()


@pytest.mark.parametrize("works", [True, False])
def test_an_attempt_from_before_it_opened_no_longer_counts(*, works: bool) -> None:
    clock = Clock()
    breaker = a_breaker(clock)
    block, late = entered(breaker)
    fail(breaker, FAILURES)
    due_in_s = breaker.snapshot().retry_in_s

    (late.succeeded if works else late.failed)()
    block.__exit__(None, None, None)

    assert (breaker.state, breaker.snapshot().retry_in_s) == (OPEN, due_in_s)


@pytest.mark.parametrize("works", [True, False])
def test_an_attempt_from_before_it_opened_does_not_end_a_probe(*, works: bool) -> None:
    clock = Clock()
    breaker = a_breaker(clock)
    block, late = entered(breaker)
    fail(breaker, FAILURES)
    clock.now += OPEN_S

    with breaker.attempt():
        (late.succeeded if works else late.failed)()
        block.__exit__(None, None, None)
        during = (breaker.state, breaker.allows())

    assert during == (HALF_OPEN, False)


def test_changes_are_told_with_the_new_state_in_force() -> None:
    clock, told = Clock(), list[tuple[str, str, str, str]]()

    def note(name: str, before: BreakerState, after: BreakerState) -> None:
        told.append((name, before, after, breaker.state))

    breaker = a_breaker(clock, note)
    fail(breaker, FAILURES)
    clock.now += OPEN_S
    fail(breaker)
    clock.now += MAX_OPEN_S
    succeed(breaker)

    assert told == [
        ("engine", "closed", "open", "open"),
        ("engine", "open", "half_open", "half_open"),
        ("engine", "half_open", "open", "open"),
        ("engine", "open", "half_open", "half_open"),
        ("engine", "half_open", "closed", "closed"),
    ]


def test_the_snapshot_tells_what_health_shows() -> None:
    clock = Clock()
    breaker = an_open_breaker(clock)

    opened = breaker.snapshot()
    clock.now += OPEN_S
    due = breaker.snapshot()

    assert (opened.name, opened.state, opened.failures, opened.opened) == ("engine", OPEN, 3, 1)
    assert opened.retry_in_s > 0
    assert (due.state, due.retry_in_s) == (OPEN, 0)


def test_a_former_probe_that_leaves_late_does_not_make_room_beside_the_next() -> None:
    clock = Clock()
    breaker = an_open_breaker(clock)
    clock.now += OPEN_S
    block, former = entered(breaker)
    former.failed()
    clock.now += MAX_OPEN_S

    with breaker.attempt():
        block.__exit__(None, None, None)
        during = breaker.allows()

    assert not during


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "fail", "succeed", "leave", "wait"]), st.integers(0, 30)),
    max_size=80,
)


@dataclass
class Inside:
    """An attempt whose block was entered and not left; a probe until it is told of."""

    block: AbstractContextManager[Attempt]
    attempt: Attempt
    is_probe: bool


class Driver:
    """Does what it is told with attempts that overlap, and looks at the breaker's promises."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.breaker = a_breaker(self.clock)
        self.inside: list[Inside] = []

    def step(self, what: str, amount: int) -> None:
        if what == "wait":
            self.clock.now += amount
        elif what == "begin":
            self._begin()
        elif self.inside:
            self._tell_or_leave(what, amount % len(self.inside))
        probes = [each for each in self.inside if each.is_probe]
        assert len(probes) <= 1
        assert not (probes and self.breaker.allows() and self.breaker.state is HALF_OPEN)

    def leave_all(self) -> None:
        while self.inside:
            self._tell_or_leave("leave", 0)

    def _begin(self) -> None:
        allowed, before = self.breaker.allows(), self.breaker.state
        try:
            block, attempt = entered(self.breaker)
        except BreakerOpenError:
            assert not allowed
            return
        assert allowed
        self.inside.append(Inside(block, attempt, is_probe=before is not CLOSED))

    def _tell_or_leave(self, what: str, place: int) -> None:
        chosen = self.inside[place]
        if what == "leave":
            del self.inside[place]
            chosen.block.__exit__(None, None, None)
            return
        chosen.is_probe = False
        (chosen.attempt.failed if what == "fail" else chosen.attempt.succeeded)()


@given(STEPS)
def test_whatever_happens_one_probe_at_most_passes_and_it_always_recovers(
    steps: list[Step],
) -> None:
    driver = Driver()

    for what, amount in steps:
        driver.step(what, amount)
    driver.leave_all()

    driver.clock.now += MAX_OPEN_S
    assert driver.breaker.allows()
    succeed(driver.breaker)
    assert driver.breaker.state is CLOSED
