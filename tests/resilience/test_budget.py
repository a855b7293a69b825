"""The retry budget, on a clock of its own."""

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from resilience.budget import SLICES, RetryBudget

WINDOW_S = 60.0
SLICE_S = WINDOW_S / SLICES


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def a_budget(clock: Clock, *, floor: int = 3, refused: list[float] | None = None) -> RetryBudget:
    def note() -> None:
        if refused is not None:
            refused.append(clock.now)

    return RetryBudget(share=0.1, floor=floor, window_s=WINDOW_S, clock=clock, on_refused=note)


def begin(budget: RetryBudget, times: int) -> None:
    for _ in range(times):
        budget.begin()


def spent(budget: RetryBudget, times: int) -> int:
    """Return how many of so many wishes are granted."""
    return sum(budget.spend() for _ in range(times))


def test_a_quiet_service_may_try_again_as_often_as_the_floor_says() -> None:
    assert spent(a_budget(Clock()), 10) == 3


def test_one_further_call_comes_with_every_ten_that_begin() -> None:
    budget = a_budget(Clock())
    begin(budget, 99)
    assert spent(budget, 100) == 3 + 9

    begin(budget, 1)

    assert spent(budget, 100) == 1


def test_without_a_floor_the_first_further_call_needs_ten_that_began() -> None:
    budget = a_budget(Clock(), floor=0)
    begin(budget, 9)
    assert not budget.spend()

    begin(budget, 1)

    assert budget.spend()
    assert not budget.spend()


def test_what_was_spent_comes_back_once_the_window_has_passed_it() -> None:
    clock = Clock()
    budget = a_budget(clock)
    assert spent(budget, 5) == 3

    clock.now += WINDOW_S - SLICE_S
    assert spent(budget, 5) == 0
    clock.now += SLICE_S

    assert spent(budget, 5) == 3


def test_what_began_long_ago_grants_nothing() -> None:
    clock = Clock()
    budget = a_budget(clock)
    begin(budget, 1_000)

    clock.now += WINDOW_S

    assert spent(budget, 200) == 3


def test_every_refusal_is_told_and_costs_nothing() -> None:
    clock, refused = Clock(), list[float]()
    budget = a_budget(clock, refused=refused)

    assert spent(budget, 5) == 3

    assert refused == [clock.now] * 2
    begin(budget, 10)
    assert spent(budget, 2) == 1


def test_a_budget_needs_nobody_who_counts() -> None:
    assert not RetryBudget(floor=0).spend()


def test_days_of_load_take_the_memory_of_one_window() -> None:
    clock = Clock()
    budget = a_budget(clock)

    for _ in range(5_000):
        clock.now += SLICE_S / 2
        budget.begin()
        budget.spend()

    assert len(budget._slices) <= SLICES  # the bound is the promise


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 4.9, 5.0, 20.0, 61.0]),
        st.integers(0, 40),
        st.integers(0, 12),
    ),
    max_size=60,
)


@given(STEPS, st.integers(0, 5))
@example([(0.0, 0, 12), (59.9, 0, 12), (0.2, 0, 12)], 3)
def test_no_window_grants_more_than_its_share_and_the_floor(
    steps: Sequence[tuple[float, int, int]], floor: int
) -> None:
    clock = Clock()
    budget = a_budget(clock, floor=floor)
    began: list[float] = []
    granted: list[float] = []

    for wait_s, begins, wishes in steps:
        clock.now += wait_s
        begin(budget, begins)
        began += [clock.now] * begins
        for _ in range(wishes):
            allowed = floor + 0.1 * sum(at > clock.now - WINDOW_S for at in began)
            if budget.spend():
                granted.append(clock.now)
                recent = sum(at > clock.now - (WINDOW_S - SLICE_S) for at in granted)
                assert recent <= allowed
            else:
                held = sum(at > clock.now - WINDOW_S for at in granted)
                surely = floor + 0.1 * sum(at > clock.now - (WINDOW_S - SLICE_S) for at in began)
                assert held + 1 > surely  # it refuses only where it must
