"""What becomes of a rollout in health, in trouble and in doubt."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flags.rollout.counters import NOTHING_COUNTED, Counters
from flags.rollout.decision.guards import SKEW_TICKS
from flags.rollout.decision.machine import CLEAR_TICKS
from flags.rollout.model import Hold, Plan, State
from tests.flags.rollout.decision.rides import TICK_S, Ride, counted

FINE = counted(50)
BAD = counted(50, 10)
BROKEN = counted(50, 50)
LATE = counted(50, ttft_s=5.0)
AT_50 = 4
LAST = 7


def held(ride: Ride) -> Hold | None:
    """Return why a rollout is held, None if it is not."""
    return ride.rollout.hold if ride.rollout.state is State.HOLD else None


def test_a_healthy_rollout_climbs_every_stage_and_is_completed() -> None:
    ride = Ride()
    stages = [ride.percentage]
    for _ in ride.rollout.plan.stages:
        ride.bake()
        stages.append(ride.percentage)

    assert stages == [*ride.rollout.plan.stages, 100.0]
    assert ride.steps == ["promote"] * 7 + ["complete"]
    assert ride.rollout.state is State.COMPLETED
    assert ride.rollout.last_good == LAST
    assert "without fault" in ride.rollout.reason


def test_a_stage_lasts_its_time_however_good_it_is() -> None:
    ride = Ride()
    verdict = ride.ticks(119, FINE, FINE)

    assert verdict.transition is None
    assert verdict.report.need_more == 0
    assert verdict.report.bake_left_s == verdict.report.eta_s == TICK_S
    assert ride.tick(FINE, FINE).transition is not None


def test_a_promotion_begins_a_stage_and_says_what_it_rests_on() -> None:
    ride = Ride()
    verdict = ride.bake()

    assert verdict.transition is not None
    assert verdict.transition.action == "promote"
    assert verdict.transition.percentage == 5.0
    rollout = verdict.transition.rollout
    assert (rollout.stage, rollout.last_good, rollout.hold) == (1, 0, None)
    assert rollout.since == rollout.stage_since == datetime.fromtimestamp(ride.now, UTC)
    assert rollout.reason.startswith("1 % passed with 6000 requests (errors 0.00%")
    assert (verdict.report.verdict, verdict.report.percentage) == ("promote", 1.0)


def test_too_few_requests_hold_a_stage_until_there_are_enough() -> None:
    ride = Ride()
    verdict = ride.ticks(120, counted(1), FINE)
    assert held(ride) is Hold.INSUFFICIENT_DATA
    assert "185 more are needed" in ride.rollout.reason
    assert verdict.report.need_more == 185

    ride.ticks(200, counted(1), FINE)

    assert ride.steps == ["hold", "release", "promote"]


def test_a_rollout_without_requests_is_held_and_cannot_say_for_how_long() -> None:
    ride = Ride()
    ride.ticks(120)

    assert held(ride) is Hold.INSUFFICIENT_DATA
    assert ride.report.eta_s is None
    assert ride.report.need_more == 305


def test_what_is_neither_good_nor_bad_is_held_as_inconclusive() -> None:
    ride = Ride()
    for tick in range(130):
        ride.tick(counted(50, 1 if tick % 4 else 0), counted(50, 1 if tick % 4 else 0))

    assert held(ride) is Hold.INCONCLUSIVE
    assert ride.report.literal == "neither"
    assert ride.report.need_more is None
    assert ride.report.eta_s is None
    assert "Neither good enough" in ride.rollout.reason


def test_few_requests_that_are_not_good_enough_are_too_few() -> None:
    ride = Ride()
    ride.tick(counted(100, 2))
    ride.ticks(119, counted(1))

    assert held(ride) is Hold.INSUFFICIENT_DATA
    assert ride.report.need_more is None or ride.report.need_more > 0


def test_a_literal_promise_alone_promotes_nothing() -> None:
    ride = Ride(Plan(bake_s=60.0))
    ride.ticks(12, counted(2), FINE)

    assert ride.report.literal == "promote"
    assert held(ride) is Hold.INSUFFICIENT_DATA


def test_nothing_is_promoted_while_failures_are_on_the_rise() -> None:
    ride = Ride()
    ride.ticks(119, FINE, FINE)
    verdict = ride.tick(counted(50, 5), counted(50, 1))

    assert (verdict.report.literal, verdict.report.need_more) == ("promote", 0)
    assert 4.5 <= verdict.report.metrics["error"].alarm < 9
    assert held(ride) is Hold.INCONCLUSIVE


def test_failures_that_control_does_not_have_roll_back_at_once() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(20, FINE, FINE)
    verdict = ride.tick(BROKEN, FINE)

    assert verdict.transition is not None
    assert (verdict.transition.action, verdict.transition.percentage) == ("roll_back", 0.0)
    assert verdict.report.verdict == "roll_back"
    rollout = verdict.transition.rollout
    assert (rollout.state, rollout.stage, rollout.rollbacks) == (State.ROLLED_BACK, AT_50, 1)
    assert "control is better (control errors 0.00%" in rollout.reason
    assert "errors 100.00% in 50 requests since the rise at 50 %" in rollout.reason


def test_an_alarm_below_the_operators_own_threshold_rolls_nothing_back() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(10, counted(1000, 19), counted(1000))

    assert ride.report.metrics["error"].alarm > 9
    assert held(ride) is Hold.RELATIVE_REGRESSION


def test_completed_but_amiss_rolls_back_as_well() -> None:
    ride = Ride(stage=AT_50)
    ride.tick(counted(50, amiss=40), FINE)

    assert ride.rollout.state is State.ROLLED_BACK
    assert ride.rollout.reason.startswith("without success 80.00%")


def test_late_first_tokens_roll_back_where_control_has_none() -> None:
    ride = Ride(stage=AT_50)
    ride.tick(LATE, FINE)

    assert ride.rollout.state is State.ROLLED_BACK
    assert "control is not late" in ride.rollout.reason


def test_late_first_tokens_wait_until_control_has_spoken() -> None:
    ride = Ride(stage=6)
    ride.tick(LATE, counted(5))
    ride.ticks(2, LATE, counted(5))
    assert ride.steps == []

    ride.tick(LATE, counted(5))

    assert ride.steps == ["roll_back"]


@pytest.mark.parametrize("arm", [BROKEN, counted(50, amiss=50), LATE])
def test_where_there_is_no_control_the_arm_is_judged_by_itself(arm: Counters) -> None:
    ride = Ride(stage=LAST)
    ride.ticks(5, arm)

    assert ride.rollout.state is State.ROLLED_BACK


def test_failures_wait_some_ticks_for_a_control_that_says_nothing() -> None:
    ride = Ride()
    ride.tick(counted(5, 5))
    ride.ticks(3, counted(5, 5))
    assert ride.steps == []

    ride.tick(counted(5, 5))

    assert ride.steps == ["roll_back"]
    assert "for 4 ticks" in ride.rollout.reason
    assert "no control requests" in ride.rollout.reason


def test_an_alarm_that_passes_in_time_is_forgotten() -> None:
    ride = Ride()
    ride.ticks(3, counted(5, 5))
    ride.ticks(3, counted(2000), FINE)

    assert ride.rollout.state is State.RUNNING
    assert ride.evidence is not None
    assert ride.evidence.alarm_ticks == 0


def test_one_user_alone_rolls_nothing_back() -> None:
    ride = Ride(stage=AT_50)
    one = replace(counted(10, 10), failing_users=0)
    for _ in range(10):
        ride.tick(one, FINE)
        ride.on = replace(ride.on, failing_users=1)
    late = Ride(stage=AT_50)
    late.on = replace(late.on, users=1)
    late.ticks(10, counted(10, ttft_s=20.0), FINE)

    assert ride.rollout.state is State.HOLD
    assert late.rollout.state is State.RUNNING


def test_an_incident_of_both_arms_holds_and_rolls_nothing_back() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(10, FINE, FINE)
    ride.ticks(60, BAD, BAD)

    assert held(ride) is Hold.INCIDENT
    assert ride.steps == ["hold"]
    assert "Control suffers as well: control errors" in ride.rollout.reason
    assert ride.report.holds[0] == "incident"


def test_after_an_incident_a_stage_begins_its_evidence_anew() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(10, FINE, FINE)
    ride.ticks(20, BAD, BAD)
    ride.ticks(60, FINE, FINE)

    assert ride.steps == ["hold", "release"]
    assert ride.rollout.state is State.RUNNING
    assert ride.rollout.restarts == 1
    assert "incident is over for 3 ticks" in ride.rollout.reason
    assert ride.report.metrics["error"].estimate == 0
    assert ride.report.bake_left_s == 600.0 - 90 * TICK_S


def test_an_alarm_ends_with_the_incident_however_little_has_come_since() -> None:
    ride = Ride()
    ride.ticks(20, counted(5, 1), BAD)
    assert ride.report.metrics["error"].alarm > 9

    ride.tick(NOTHING_COUNTED, counted(2000))

    assert "incident" not in ride.report.holds
    assert ride.report.metrics["error"].alarm == 0
    assert ride.report.relative.evidence == 0


def test_an_arm_that_is_far_worse_in_an_incident_is_rolled_back() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(3, BAD, BAD)
    assert held(ride) is Hold.INCIDENT

    ride.ticks(10, counted(50, 40), BAD)

    assert ride.rollout.state is State.ROLLED_BACK
    assert "even in an incident" in ride.rollout.reason


@pytest.mark.parametrize("arm", [BAD, LATE])
def test_an_incident_that_does_not_end_is_rolled_back_in_the_end(arm: Counters) -> None:
    ride = Ride(Plan(incident_max_s=120.0), stage=AT_50)
    ride.ticks(24, arm, arm)
    assert held(ride) is Hold.INCIDENT

    ride.ticks(3, arm, arm)

    assert ride.rollout.state is State.ROLLED_BACK
    assert "has lasted 120 s" in ride.rollout.reason


def test_an_incident_of_control_alone_rolls_nothing_back_however_long() -> None:
    ride = Ride(Plan(incident_max_s=60.0), stage=AT_50)
    ride.ticks(60, FINE, BAD)

    assert held(ride) is Hold.INCIDENT


def test_who_wants_the_thresholds_taken_literally_rolls_back_in_an_incident() -> None:
    ride = Ride(Plan(on_shared_incident="rollback"), stage=AT_50)
    ride.tick(BAD, BAD)

    assert ride.rollout.state is State.ROLLED_BACK


def test_a_regression_below_the_thresholds_is_held_and_not_rolled_back() -> None:
    ride = Ride(stage=AT_50)
    for tick in range(400):
        ride.tick(counted(60, 1), counted(60, int(tick % 12 == 0)))
        if ride.rollout.hold is Hold.RELATIVE_REGRESSION:
            break

    assert held(ride) is Hold.RELATIVE_REGRESSION
    assert "Worse than control" in ride.rollout.reason
    assert "roll_back" not in ride.steps

    ride.ticks(400, counted(60), counted(60, 1))

    assert "release" in ride.steps


def test_users_that_come_in_another_share_than_was_dealt_are_held() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(100, counted(50, users=40), counted(50, users=50))

    assert held(ride) is Hold.SRM
    assert ride.report.srm.has_power
    assert "users were dealt the flag" in ride.rollout.reason

    ride.ticks(30, counted(50, users=60), counted(50, users=40))

    assert ride.steps == ["hold", "release"]
    assert ride.rollout.restarts == 1


def test_at_one_per_cent_the_report_says_that_it_cannot_tell_samples_apart() -> None:
    ride = Ride()
    ride.ticks(20, counted(1), counted(99))

    assert not ride.report.srm.has_power


@pytest.mark.parametrize("age_s", [None, 31.0])
def test_old_figures_neither_promote_nor_roll_back(age_s: float | None) -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(30, BROKEN, FINE, oldest_flush_s=age_s)

    assert held(ride) is Hold.STALE_METRICS
    assert ride.steps == ["hold"]

    ride.tick(BROKEN, FINE)

    assert ride.rollout.state is State.ROLLED_BACK


def test_workers_that_disagree_hold_only_if_it_lasts() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(SKEW_TICKS - 1, FINE, FINE, is_skewed=True)
    assert ride.rollout.state is State.RUNNING

    ride.tick(FINE, FINE, is_skewed=True)
    assert held(ride) is Hold.SKEW
    ride.ticks(CLEAR_TICKS, FINE, FINE)

    assert ride.steps == ["hold", "release"]
    assert ride.rollout.restarts == 0


def test_a_moment_of_disagreement_only_puts_off_a_promotion() -> None:
    ride = Ride()
    ride.ticks(119, FINE, FINE)
    ride.tick(FINE, FINE, is_skewed=True)
    assert ride.steps == []

    ride.tick(FINE, FINE)

    assert ride.steps == ["promote"]


def test_a_stage_that_needs_a_person_waits_for_one() -> None:
    ride = Ride(Plan(approval_at=(1.0, 100.0)))
    ride.bake()
    assert held(ride) is Hold.APPROVAL
    assert ride.rollout.reason.endswith("approve it.")

    ride.rollout = replace(ride.rollout, is_approved=True)
    ride.ticks(CLEAR_TICKS + 1, FINE, FINE)

    assert ride.steps == ["hold", "release", "promote"]
    assert not ride.rollout.is_approved


def test_the_last_stage_can_ask_for_a_person_too() -> None:
    ride = Ride(Plan(approval_at=(100.0,)), stage=LAST)
    ride.bake()

    assert held(ride) is Hold.APPROVAL


def test_the_last_stage_is_held_without_requests_and_goes_on_with_them() -> None:
    ride = Ride(stage=LAST)
    ride.ticks(720)
    assert held(ride) is Hold.INSUFFICIENT_DATA
    assert ride.report.need_more == 1

    ride.ticks(CLEAR_TICKS, FINE)
    assert ride.rollout.state is State.FINAL_BAKE
    ride.tick(FINE)

    assert ride.steps == ["hold", "release", "complete"]


def test_the_last_stage_is_not_completed_while_it_is_not_good() -> None:
    ride = Ride(stage=LAST)
    ride.ticks(720, counted(70, 1))

    assert held(ride) is Hold.INCONCLUSIVE


def test_a_graver_reason_takes_the_place_of_another_after_some_ticks() -> None:
    ride = Ride()
    ride.ticks(120, counted(1))
    assert held(ride) is Hold.INSUFFICIENT_DATA

    ride.ticks(CLEAR_TICKS - 1, oldest_flush_s=60.0)
    assert held(ride) is Hold.INSUFFICIENT_DATA
    ride.tick(oldest_flush_s=60.0)
    assert held(ride) is Hold.STALE_METRICS
    ride.ticks(CLEAR_TICKS)

    assert held(ride) is Hold.INSUFFICIENT_DATA
    assert ride.steps == ["hold", "hold", "hold"]


def test_an_incident_that_leaves_another_reason_behind_restarts_the_evidence() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(110, FINE, FINE)
    ride.ticks(10, BAD, BAD)
    while ride.rollout.hold is Hold.INCIDENT:
        ride.tick(NOTHING_COUNTED, counted(500))
    assert held(ride) is Hold.INCONCLUSIVE
    assert ride.rollout.restarts == 1

    ride.ticks(CLEAR_TICKS)

    assert held(ride) is Hold.INSUFFICIENT_DATA
    assert ride.rollout.restarts == 1


@pytest.mark.parametrize("state", [State.PAUSED, State.ROLLED_BACK, State.COMPLETED])
def test_what_is_not_led_is_only_told_of(state: State) -> None:
    ride = Ride(stage=AT_50)
    ride.rollout = replace(ride.rollout, state=state)
    ride.ticks(200, BROKEN, FINE)

    assert ride.steps == []
    assert ride.report.verdict == "wait"
    assert ride.report.metrics["error"].alarm > 9
    assert (ride.report.holds, ride.report.eta_s, ride.report.bake_left_s) == ((), None, 0.0)
    assert ride.report.is_alert is (state is State.COMPLETED)


def test_what_is_completed_alarms_later() -> None:
    ride = Ride(stage=LAST)
    ride.rollout = replace(ride.rollout, state=State.COMPLETED)
    ride.ticks(10, FINE)
    assert not ride.report.is_alert

    ride.tick(BROKEN)

    assert ride.report.metrics["error"].alarm_at == 12
    assert ride.report.is_alert


@pytest.mark.parametrize("arm", [FINE, BROKEN])
def test_what_is_killed_goes_nowhere(arm: Counters) -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(200, arm, FINE, is_killed=True)

    assert ride.steps == []


@pytest.mark.parametrize("percentage", [0.0, 0.5, 5.0, 50.0])
def test_a_flag_that_deals_something_else_is_not_promoted(percentage: float) -> None:
    ride = Ride()
    ride.percentage = percentage
    ride.ticks(200, FINE, FINE)

    assert "promote" not in ride.steps


def test_a_rollout_may_begin_between_two_stages() -> None:
    ride = Ride()
    ride.percentage = 3.0
    ride.bake()

    assert ride.percentage == 5.0


def test_a_step_that_was_not_written_is_decided_again() -> None:
    ride = Ride()
    ride.ticks(119, FINE, FINE)
    rollout, evidence = ride.rollout, ride.evidence
    first = ride.tick(FINE, FINE)

    ride.rollout, ride.percentage, ride.epoch, ride.evidence = rollout, 1.0, 1, first.evidence
    ride.on, ride.off = first.evidence.last_on, first.evidence.last_off
    second = ride.tick(FINE, FINE)

    assert evidence is not None
    assert first.transition is not None
    assert second.transition is not None
    assert second.transition.action == first.transition.action
