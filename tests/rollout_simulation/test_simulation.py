"""A seeded sample of the simulation: the full figures are in `docs/rollout-statistics.md`."""

from dataclasses import replace

import numpy as np
import pytest

from flags.rollout.model import Plan
from tests.rollout_simulation.__main__ import main
from tests.rollout_simulation.experiments import (
    HEALTHY,
    detection_ruled,
    gate_ever_passed,
    incident,
    mismatch,
    passes_ruled,
    total_failure,
    whole_rollouts,
    whole_rollouts_ruled,
)
from tests.rollout_simulation.figures import Share, middle
from tests.rollout_simulation.traffic import Law, Traffic, always

OUTAGE = replace(HEALTHY, error=0.3)


def test_healthy_variants_are_completed_where_thresholds_alone_roll_most_of_them_back() -> None:
    ours = whole_rollouts(HEALTHY, 20.0, runs=3, seed=1)
    literal = whole_rollouts_ruled("literal", HEALTHY, 20.0, runs=10, seed=1)

    assert ours.completed.of == 3
    assert min(ours.hours) > 2.2
    assert literal.of > 2


@pytest.mark.parametrize(
    ("metric", "law"), [("error", Law(error=0.02)), ("ttft", Law(ttft_s=2.0, sigma=1.5))]
)
def test_a_gate_hardly_ever_passes_at_the_boundary(metric: str, law: Law) -> None:
    assert gate_ever_passed(metric, law, runs=20, seed=1, ticks=50).of <= 2


def test_a_gate_passes_soon_where_all_is_well() -> None:
    assert gate_ever_passed("error", HEALTHY, runs=5, seed=1, ticks=50).of == 5


@pytest.mark.parametrize("outage", [OUTAGE, replace(OUTAGE, tokenless=1.0)])
def test_an_outage_of_both_arms_rolls_nothing_back(outage: Law) -> None:
    assert incident((outage, outage), 90.0, runs=5, seed=1).share.of == 0


def test_an_arm_that_is_worse_in_an_outage_is_rolled_back() -> None:
    assert incident((replace(HEALTHY, error=0.6), OUTAGE), 50.0, runs=3, seed=1).share.of == 3


def test_thresholds_taken_literally_roll_an_outage_of_both_arms_back() -> None:
    blunt = Plan(on_shared_incident="rollback")

    assert incident((OUTAGE, OUTAGE), 50.0, runs=3, seed=1, plan=blunt).share.of == 3


def test_total_failure_at_half_is_rolled_back_in_ten_seconds_and_150_requests() -> None:
    found = total_failure(runs=10, seed=1)

    assert found.share.of == 10
    assert max(found.seconds) <= 10
    assert max(found.failed) <= 150


def test_a_minute_at_a_time_total_failure_takes_minutes() -> None:
    found = detection_ruled("every 60 s", Law(error=1.0), 50.0, runs=3, seed=1, healthy_s=300.0)

    assert min(found.seconds) >= 240


def test_bad_variants_pass_where_each_minute_is_judged_alone() -> None:
    assert passes_ruled("every 60 s", Law(error=0.02), runs=20, seed=1).of > 10


def test_a_fair_sample_is_no_mismatch_and_a_lost_tenth_is() -> None:
    assert mismatch(1.0, 50.0, runs=5, seed=1).ours.of == 0
    assert mismatch(0.9, 50.0, runs=2, seed=1).ours.of == 2


def test_first_tokens_come_as_late_on_average_as_they_should() -> None:
    traffic = Traffic(
        np.random.default_rng(1), rate=2_000.0, laws=always(Law(ttft_s=2.0, sigma=1.5))
    )
    came = [traffic.tick(100.0).on for _ in range(64)]

    mean_s = sum(tick.ttft_us for tick in came) / sum(tick.n for tick in came) / 1e6
    assert mean_s == pytest.approx(2.0, rel=0.01)
    assert sum(tick.cancelled for tick in came) == pytest.approx(0.01 * 640_000, rel=0.05)


def test_figures_say_how_sure_they_are() -> None:
    assert Share(0, 1000).upper == pytest.approx(0.00299, abs=1e-4)
    assert Share(3, 1000).upper == pytest.approx(0.00773, abs=1e-4)
    assert str(Share(1, 200)) == "0.50 % (1/200; ≤ 2.35 %)"
    assert (middle([]), middle([1.0, 2.0, 3.0])) == ("never", "2 (3)")


def test_one_table_can_be_had_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["-", "--only", "samples", "--part", "0.0005"])

    assert main() == 0
    assert "A mismatch of samples told" in capsys.readouterr().out


def test_an_outage_that_never_ends_is_rolled_back_in_the_end() -> None:
    assert whole_rollouts(Law(error=0.5), 20.0, runs=3, seed=1).rolled_back.of == 3
