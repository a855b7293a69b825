"""What is remembered between ticks, what begins anew, and what no number of ticks can change."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flags.rollout.counters import NOTHING_COUNTED, Counters, Observation
from flags.rollout.decision.evidence import Evidence, decode_evidence, encode_evidence, observe
from flags.rollout.decision.machine import decide
from flags.rollout.decision.report import decode_report, encode_report
from flags.rollout.model import Criteria, Plan, State
from tests.flags.rollout.decision.rides import START, TICK_S, Ride, a_rollout, counted


def seen(on: Counters, off: Counters = NOTHING_COUNTED, *, epoch: int = 1) -> Observation:
    """Return an observation at the start."""
    return Observation(START, epoch, 1.0, on, off)


def evidence_of(on: Counters, *, epoch: int = 1) -> Evidence:
    """Return evidence that began with nothing, and has seen these."""
    begun = observe(None, a_rollout(), seen(NOTHING_COUNTED, epoch=epoch))
    return observe(begun, a_rollout(), seen(on, epoch=epoch))


def test_evidence_is_the_same_after_it_was_kept() -> None:
    ride = Ride()
    ride.ticks(3, counted(7, 2), counted(9, 1, ttft_s=3.0))

    assert ride.evidence is not None
    assert decode_evidence(encode_evidence(ride.evidence)) == ride.evidence
    assert decode_report(encode_report(ride.report)) == ride.report


@pytest.mark.parametrize("kept", [None, b"", b"{", b"{}", b"\xff", b'{"epoch":1}', "[]"])
def test_what_cannot_be_read_is_as_if_nothing_was_kept(kept: bytes | str | None) -> None:
    assert decode_evidence(kept) is None
    assert decode_report(kept) is None


def test_evidence_with_other_bins_is_as_if_nothing_was_kept() -> None:
    evidence = evidence_of(counted(5))
    other = replace(evidence, base_on=replace(evidence.base_on, ttft=(0, 0)))

    assert decode_evidence(encode_evidence(other)) is None


def test_another_epoch_counts_from_its_beginning() -> None:
    before = evidence_of(counted(50, 10), epoch=1)

    evidence = observe(before, a_rollout(), seen(counted(8, 3), epoch=2))

    assert (evidence.epoch, evidence.base_on.n, evidence.base_off.n) == (2, 0, 0)
    assert evidence.walks.error.alarm > 0
    assert evidence.clock_from == START


@pytest.mark.parametrize("is_lost", [False, True])
def test_evidence_that_is_restarted_or_lost_counts_from_now(is_lost: bool) -> None:
    before = evidence_of(counted(50, 10))

    restarted = replace(a_rollout(), restarts=1)
    evidence = observe(None if is_lost else before, restarted, seen(counted(60, 20)))

    assert (evidence.restarts, evidence.base_on.n, evidence.last_on.n) == (1, 60, 60)
    assert evidence.walks.error.alarm == 0


def test_counters_that_shrank_count_from_now() -> None:
    evidence = observe(evidence_of(counted(50)), a_rollout(), seen(counted(3)))

    assert evidence.base_on.n == 3


def test_another_plan_begins_its_own_detectors() -> None:
    short = Plan(roll_back=Criteria(error_rate=0.9, success_rate=0.05, ttft_s=2.0))

    evidence = observe(evidence_of(counted(50)), a_rollout(short), seen(counted(60)))

    assert evidence.base_on.n == 60
    assert len(evidence.walks.error.scores) < 6


def test_a_restart_of_the_evidence_leaves_the_stages_clock_running() -> None:
    before = evidence_of(counted(50))

    restarted = replace(a_rollout(), restarts=1)
    later = replace(seen(counted(50)), now=START + 60)

    assert observe(before, restarted, later).clock_from == START


def test_a_stage_that_is_begun_again_begins_its_clock_again() -> None:
    before = evidence_of(counted(50))
    rollout = a_rollout()
    assert rollout.stage_since is not None
    later = replace(seen(counted(50)), now=START + 60)

    begun = replace(rollout, restarts=1, stage_since=rollout.stage_since.replace(hour=13))
    unknown = replace(rollout, restarts=1, stage_since=None)

    assert observe(before, begun, later).clock_from == START + 60
    assert observe(before, unknown, later).clock_from == START + 60


def test_the_stages_clock_waits_for_workers_that_disagree() -> None:
    ride = Ride()
    ride.epoch += 1

    waiting = ride.ticks(2, is_skewed=True).evidence
    running = ride.tick().evidence

    assert waiting.clock_from is None
    assert running.clock_from == ride.now


def test_the_rate_is_a_mean_that_forgets() -> None:
    ride = Ride()
    ride.ticks(10, counted(50))
    assert ride.evidence is not None
    assert ride.evidence.rate_per_s == pytest.approx(10.0)

    ride.ticks(10)
    assert ride.evidence.rate_per_s == pytest.approx(5.0, rel=0.05)
    ride.ticks(600, counted(5))

    assert ride.evidence.rate_per_s == pytest.approx(1.0, rel=0.02)


def test_a_clock_that_stands_still_or_goes_back_leaves_the_rate() -> None:
    ride = Ride()
    ride.ticks(3, counted(50))
    ride.now -= 60

    ride.look()

    assert ride.evidence is not None
    assert ride.evidence.rate_per_s == pytest.approx(10.0)
    assert ride.report.bake_left_s == ride.rollout.plan.bake_s - 3 * TICK_S


PIECE = st.builds(
    counted, st.integers(0, 400), st.integers(0, 5), ttft_s=st.sampled_from([0.1, 0.7, 1.4, 9.0])
)


@settings(max_examples=60)
@given(st.lists(st.tuples(PIECE, PIECE), min_size=1, max_size=12), st.data())
def test_however_requests_are_split_into_ticks_the_gates_say_the_same(
    pieces: list[tuple[Counters, Counters]], data: st.DataObject
) -> None:
    split, whole = Ride(), Ride()
    for each in (split, whole):
        each.rollout = replace(each.rollout, state=State.PAUSED)
    for on, off in pieces:
        split.tick(on, off)
        if data.draw(st.booleans()):
            split.tick()
    for on, off in pieces:
        whole.on, whole.off = whole.on.plus(on), whole.off.plus(off)
    whole.tick()

    one, other = split.report, whole.report
    for name, metric in one.metrics.items():
        alike = replace(metric, alarm=other.metrics[name].alarm)
        assert alike == other.metrics[name]
    assert (one.srm, one.literal, one.need_more) == (other.srm, other.literal, other.need_more)


def test_a_decision_is_the_same_wherever_it_is_made() -> None:
    ride = Ride()
    ride.ticks(20, counted(30, 1), counted(30, 2))
    assert ride.evidence is not None
    told = Observation(ride.now + TICK_S, 1, 1.0, ride.on, ride.off)

    here = decide(ride.rollout, ride.evidence, told)
    there = decide(ride.rollout, decode_evidence(encode_evidence(ride.evidence)), told)

    assert here == there
