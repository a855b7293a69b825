"""Workers that die one after the other, and clocks that are set back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flags.rollout.batches import Batch
from flags.rollout.controller import observation
from flags.rollout.model import Hold, State
from flags.rollout.operations import cooldown_left_s
from flags.rollout.store.base import Beat, Sight
from flags.rollout.store.memory import MemoryRolloutStore
from tests.flags.factories import a_flag
from tests.flags.rollout.decision.rides import TICK_S, Ride, a_rollout, counted

FINE = counted(50)
BROKEN = counted(50, 50)
AT_50 = 4
DAY_S = 86_400.0


def test_an_arm_that_takes_workers_down_with_it_is_rolled_back() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(2, FINE, FINE, oldest_flush_s=40.0, newest_flush_s=0.5)
    assert ride.rollout.hold is Hold.STALE_METRICS

    ride.ticks(2, BROKEN, FINE, oldest_flush_s=40.0, newest_flush_s=0.5)

    assert ride.rollout.state is State.ROLLED_BACK


def test_a_silent_worker_keeps_a_stage_from_passing_whatever_the_others_tell() -> None:
    ride = Ride()
    ride.ticks(300, FINE, FINE, oldest_flush_s=31.0, newest_flush_s=0.5)

    assert ride.rollout.hold is Hold.STALE_METRICS
    assert ride.steps == ["hold"]


def test_where_all_are_silent_nothing_is_decided() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(30, BROKEN, FINE, oldest_flush_s=40.0, newest_flush_s=31.0)

    assert ride.steps == ["hold"]


def test_an_observation_tells_of_the_slowest_and_of_the_quickest_worker() -> None:
    sight = Sight(9.0, workers={"dead": Beat(1, 44.0), "alive": Beat(1, 0.5)})

    seen = observation(a_flag(), sight)

    assert (seen.oldest_flush_s, seen.newest_flush_s) == (44.0, 0.5)
    assert observation(a_flag(), Sight(9.0)).newest_flush_s is None


def test_a_clock_that_is_set_back_costs_a_stage_no_time() -> None:
    ride = Ride()
    ride.ticks(60, FINE, FINE)
    ride.now -= DAY_S

    verdict = ride.tick(FINE, FINE)
    assert verdict.report.bake_left_s == 300.0
    assert verdict.evidence.rate_per_s == 10.0

    ride.ticks(61, FINE, FINE)
    assert ride.steps == ["promote"]


def test_an_incident_lasts_no_longer_for_a_clock_that_is_set_back() -> None:
    ride = Ride(stage=AT_50)
    ride.ticks(3, BROKEN, BROKEN)
    assert ride.rollout.hold is Hold.INCIDENT
    ride.now -= DAY_S

    ticks = round(ride.rollout.plan.incident_max_s / TICK_S)
    ride.ticks(ticks + 3, BROKEN, BROKEN)

    assert ride.rollout.state is State.ROLLED_BACK


def test_a_cooldown_lasts_no_longer_for_a_clock_that_is_set_back() -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    rollout = replace(a_rollout(), state=State.ROLLED_BACK, rollbacks=1, since=at)

    assert cooldown_left_s(rollout, at - timedelta(days=300)) == 0.0
    assert cooldown_left_s(rollout, at - timedelta(seconds=2)) == 1798.0


async def test_a_file_is_written_though_the_clock_is_set_back(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    store = MemoryRolloutStore(tmp_path / "rollout.json", clock=lambda: now)
    await store.add("streaming", Batch("w1", 1, {}), version=1)
    now -= DAY_S

    await store.add("streaming", Batch("w1", 2, {}), version=1)

    assert (tmp_path / "rollout.json").exists()
