"""The tests of a rollout keep their promises: exactly where that can be computed."""

from dataclasses import replace
from math import comb, exp, inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.rollout.counters import TTFT_BINS, ttft_bin
from flags.rollout.decision.statistics import (
    RATE_RATIOS,
    SRM_ALARM,
    ShareWeights,
    log_mean_exp,
    need_more,
    relative_step,
    share_logs,
    srm_evidence,
    srm_has_power,
    ttft_logs,
    weights_of,
)
from flags.rollout.model import Criteria, Plan

WEIGHTS = weights_of(Plan())
SHARES = [(WEIGHTS.error, 0.01, 0.02), (WEIGHTS.non_success, 0.05, 0.1)]


def needed(weights: ShareWeights, share: float) -> int:
    """Return with how many requests a gate passes, as many failing as round down to a share."""
    return next(
        n
        for n in range(1, 5_000)
        if log_mean_exp(share_logs(weights.gate, n, int(share * n))) >= WEIGHTS.target
    )


@pytest.mark.parametrize(
    ("share", "requests"), [(0.0, 271), (0.0025, 271), (0.005, 524), (0.0075, 909)]
)
def test_the_gate_of_errors_takes_as_many_requests_as_was_computed_elsewhere(
    share: float, requests: int
) -> None:
    assert needed(WEIGHTS.error, share) == requests


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 50, 60), (0.03, 100, 120)])
def test_the_gate_of_success_takes_as_many_requests_as_was_computed_elsewhere(
    share: float, least: int, most: int
) -> None:
    assert least <= needed(WEIGHTS.non_success, share) <= most


@pytest.mark.parametrize(("mean_s", "least", "most"), [(0.3, 95, 115), (0.9, 165, 195)])
def test_the_gate_of_first_tokens_takes_as_many_requests_as_was_computed_elsewhere(
    mean_s: float, least: int, most: int
) -> None:
    bins = [0] * len(TTFT_BINS)
    requests = 0
    while log_mean_exp(ttft_logs(WEIGHTS.ttft.gate, bins)) < WEIGHTS.target:
        requests += 1
        bins[ttft_bin(mean_s)] += 1

    assert least <= requests <= most


@pytest.mark.parametrize(("weights", "_good", "bad"), SHARES)
def test_a_gates_evidence_is_worth_one_at_the_boundary_and_less_beyond(
    weights: ShareWeights, _good: float, bad: float
) -> None:
    for share, expected in ((bad, 1.0), (bad * 1.2, None)):
        for n in (1, 10, 200):
            mean = sum(
                comb(n, k)
                * share**k
                * (1 - share) ** (n - k)
                * exp(log_mean_exp(share_logs(weights.gate, n, k)))
                for k in range(n + 1)
            )
            assert mean == pytest.approx(1.0) if expected else mean < 1.0


@pytest.mark.parametrize("beta", [0.01, 0.05])
@pytest.mark.parametrize(("name", "bad"), [("error", 0.02), ("non_success", 0.1)])
def test_a_gate_looked_at_after_every_request_ever_passes_as_rarely_as_promised(
    name: str, bad: float, beta: float
) -> None:
    """Exact: the chances of every number of failures, of those runs that have not passed yet."""
    steps = np.array(getattr(WEIGHTS, name).gate)
    chances = np.zeros(3_001)
    chances[0], passed = 1.0, 0.0

    for n in range(1, 3_001):
        chances[1:] = chances[1:] * (1 - bad) + chances[:-1] * bad
        chances[0] *= 1 - bad
        failures = np.arange(n + 1)
        logs = steps[:, :1] * failures + steps[:, 1:] * (n - failures)
        is_passed = np.logaddexp.reduce(logs) - log(len(steps)) >= -log(beta)
        passed += float(chances[: n + 1][is_passed].sum())
        chances[: n + 1][is_passed] = 0.0

    assert beta / 3 < passed <= beta
    assert passed + chances.sum() == pytest.approx(1.0)


@given(st.data())
def test_no_law_with_late_first_tokens_is_worth_more_than_one_to_their_gate(
    data: st.DataObject,
) -> None:
    shares, times = _a_law(data)
    mean = float(shares @ times)
    if mean < 2.0:
        shares = np.append(shares * (30 - 2.0) / (30 - mean), (2.0 - mean) / (30 - mean))
        times = np.append(times, 30.0)

    for row in WEIGHTS.ttft.gate:
        worth = sum(share * exp(row[ttft_bin(at)]) for share, at in zip(shares, times, strict=True))
        assert worth <= 1 + 1e-9


@given(st.data())
def test_no_law_with_early_first_tokens_is_worth_more_than_one_to_their_alarm(
    data: st.DataObject,
) -> None:
    shares, times = _a_law(data)
    mean = float(shares @ times)
    if mean > 1.0:
        shares, times = np.append(shares / mean, 1 - 1 / mean), np.append(times, 0.0)

    for row in WEIGHTS.ttft.alarm:
        worth = sum(share * exp(row[ttft_bin(at)]) for share, at in zip(shares, times, strict=True))
        assert worth <= 1 + 1e-9


def _a_law(data: st.DataObject) -> tuple[np.ndarray, np.ndarray]:
    times = data.draw(st.lists(st.floats(0, 30), min_size=1, max_size=5))
    weights = data.draw(st.lists(st.floats(0.01, 1), min_size=len(times), max_size=len(times)))
    return np.array(weights) / sum(weights), np.array(times)


@pytest.mark.parametrize(("weights", "good", "_bad"), SHARES)
def test_no_share_up_to_the_good_one_is_worth_more_than_one_to_an_alarm(
    weights: ShareWeights, good: float, _bad: float
) -> None:
    for failed, passed in weights.alarm:
        for share in (0.0, good / 3, good):
            assert share * exp(failed) + (1 - share) * exp(passed) <= 1 + 1e-12


@pytest.mark.parametrize("ratio", RATE_RATIOS)
def test_failures_that_fall_on_either_arm_alike_are_worth_one_at_most_to_the_relative_test(
    ratio: float,
) -> None:
    on, off = 30, 70
    for failures in (1, 2, 5, 20):
        dealt = sum(
            comb(on, k)
            * comb(off, failures - k)
            / comb(on + off, failures)
            * exp(relative_step(ratio, (on, k), (off, failures - k)))
            for k in range(max(0, failures - off), min(on, failures) + 1)
        )
        assert dealt <= 1 + 1e-9

    assert _rare(ratio) == pytest.approx(1.0)


def _rare(ratio: float) -> float:
    """Return what two failures are worth where they are so rare that they do not touch."""
    return sum(
        comb(2, k) * 0.3**k * 0.7 ** (2 - k) * exp(relative_step(ratio, (30, k), (70, 2 - k)))
        for k in range(3)
    )


@given(
    st.sampled_from(RATE_RATIOS),
    st.tuples(st.integers(1, 500), st.integers(0, 50)),
    st.tuples(st.integers(1, 500), st.integers(0, 50)),
)
def test_arms_that_change_places_turn_the_relative_test_round(
    ratio: float, on: tuple[int, int], off: tuple[int, int]
) -> None:
    swapped = relative_step(1 / ratio, off, on)

    assert relative_step(ratio, on, off) == pytest.approx(swapped, abs=1e-9)


def test_failures_without_a_request_say_nothing_and_stop_nobody() -> None:
    assert relative_step(4.0, (0, 0), (0, 1)) == 0


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_users_that_are_dealt_fairly_are_worth_one_to_the_test_of_samples(share: float) -> None:
    users = 300
    mean = sum(
        exp(
            log(comb(users, on))
            + on * log(share)
            + (users - on) * log(1 - share)
            + srm_evidence(on, users - on, share)
        )
        for on in range(users + 1)
    )

    assert mean == pytest.approx(1.0)


@pytest.mark.parametrize(("share", "users"), [(0.5, 8_000), (0.1, 20_000), (0.01, 200_000)])
def test_the_test_of_samples_says_from_when_on_it_sees_the_loss_of_a_tenth(
    share: float, users: int
) -> None:
    on = users * share

    assert srm_has_power(users, share)
    assert srm_evidence(round(on * 0.9), round(users - on), share) >= SRM_ALARM
    assert not srm_has_power(users // 2, share)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_nothing_is_dealt_no_samples_can_mismatch(share: float) -> None:
    assert srm_evidence(100, 0, share) == 0
    assert not srm_has_power(10**9, share)


def test_a_gate_that_wins_nothing_never_passes() -> None:
    assert need_more([1.0, 2.0], [-0.1, 0.0], 5.0) is None
    assert need_more([1.0, 2.0], [-0.1, 0.01], 2.0 + log(1 / 2)) == 0


SHARE = st.floats(0.0, 1.0)


@given(st.tuples(SHARE, SHARE), st.tuples(SHARE, SHARE), st.floats(0.05, 10))
def test_every_plan_that_makes_sense_has_tests_with_finite_steps(
    errors: tuple[float, float], success: tuple[float, float], ttft_s: float
) -> None:
    plan = replace(
        Plan(),
        promote=Criteria(min(errors), max(success), ttft_s),
        roll_back=Criteria(max(errors), min(success), ttft_s * 2),
    )
    weights = weights_of(plan)

    for each in (weights.error, weights.non_success):
        assert all(-inf < step < inf for pair in (*each.gate, *each.alarm) for step in pair)
    assert all(-inf < step < inf for row in weights.ttft.gate + weights.ttft.alarm for step in row)
