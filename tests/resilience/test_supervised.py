"""The loop for background duties: what ends it, what does not, and what it tells."""

import anyio
import pytest
import structlog
from structlog.testing import capture_logs

from resilience.supervised import BACKOFF_MAX_S, STEADY_ROUNDS, _pause, supervised

LOG = structlog.get_logger()


class Duty:
    """Counts rounds; says when the n-th has come; fails in the rounds it is told to."""

    def __init__(self, *, until: int, failing: dict[int, Exception] | None = None) -> None:
        self.rounds = 0
        self.reached = anyio.Event()
        self._until = until
        self._failing = failing or {}

    async def __call__(self) -> None:
        self.rounds += 1
        if self.rounds >= self._until:
            self.reached.set()
        if self.rounds in self._failing:
            raise self._failing[self.rounds]

    async def run(self, *, every_s: float = 0.001) -> None:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: supervised("sweep", self, every_s=every_s, log=LOG))
                await self.reached.wait()
                group.cancel_scope.cancel()


async def test_a_duty_is_run_again_and_again() -> None:
    duty = Duty(until=5)

    await duty.run()

    assert duty.rounds == 5


async def test_a_failing_round_does_not_end_the_loop() -> None:
    duty = Duty(until=4, failing={1: OSError("gone"), 2: ValueError("odd")})

    with capture_logs():
        await duty.run()

    assert duty.rounds == 4


async def test_each_kind_of_failure_is_logged_once() -> None:
    failing = {1: OSError("a"), 2: OSError("b"), 3: ValueError("c"), 4: OSError("d")}
    duty = Duty(until=5, failing=failing)

    with capture_logs() as lines:
        await duty.run()

    assert [(line["event"], line["duty"], line["error"], line["failures"]) for line in lines] == [
        ("duty.failed", "sweep", "OSError", 1),
        ("duty.failed", "sweep", "ValueError", 3),
    ]
    assert lines[0]["exc_info"] is failing[1]


async def test_recovery_is_told_with_the_count_and_the_same_kind_is_then_logged_again() -> None:
    again = 3 + STEADY_ROUNDS
    duty = Duty(until=again + 1, failing={1: OSError(), 2: OSError(), again: OSError()})

    with capture_logs() as lines:
        await duty.run()

    assert [(line["event"], line["failures"]) for line in lines] == [
        ("duty.failed", 1),
        ("duty.recovered", 2),
        ("duty.failed", 1),
    ]


async def test_a_duty_that_flaps_is_logged_once() -> None:
    duty = Duty(until=9, failing={n: OSError() for n in (1, 3, 5, 7)})

    with capture_logs() as lines:
        await duty.run()

    assert [line["event"] for line in lines] == ["duty.failed"]


async def test_cancellation_ends_the_loop_within_a_round() -> None:
    entered, left = anyio.Event(), anyio.Event()

    async def hang() -> None:
        entered.set()
        try:
            await anyio.sleep_forever()
        finally:
            left.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: supervised("hang", hang, every_s=0.001, log=LOG))
            await entered.wait()
            group.cancel_scope.cancel()

    assert left.is_set()


async def test_cancellation_ends_the_loop_between_rounds() -> None:
    duty = Duty(until=1)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: supervised("sweep", duty, every_s=3600, log=LOG))
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    assert duty.rounds == 0


@pytest.mark.parametrize(
    ("every_s", "failed_in_row", "expected_s"),
    [
        (1.0, 0, 1.0),
        (1.0, 1, 1.0),
        (1.0, 2, 2.0),
        (1.0, 4, 8.0),
        (1.0, 99, BACKOFF_MAX_S),
        (300.0, 99, 300.0),
    ],
)
def test_the_wait_doubles_with_failures_up_to_a_bound(
    every_s: float, failed_in_row: int, expected_s: float
) -> None:
    pauses = [_pause(every_s, failed_in_row) for _ in range(50)]

    assert all(0.9 * expected_s <= pause <= 1.1 * expected_s for pause in pauses)
    assert len(set(pauses)) > 1
