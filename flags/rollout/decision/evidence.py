"""What the leader remembers from one tick to the next, and how a tick adds to it. Pure.

It belongs to one epoch and one number of restarts of a rollout. What does not match is begun anew,
so losing it loses time and never makes a rollout hastier.
"""

from dataclasses import dataclass, replace

import msgspec

from flags.rollout.counters import NOTHING_COUNTED, TTFT_BINS, Counters, Observation
from flags.rollout.decision.detectors import Walk, at_rest, walk_on
from flags.rollout.decision.statistics import (
    RATE_RATIOS,
    ShareWeights,
    Weights,
    relative_step,
    share_logs,
    ttft_logs,
    weights_of,
)
from flags.rollout.model import GuardedRollout, State

ABOVE_ALARM = 3.0
"""Scores are capped this much above their alarm; what is completed alarms this much later."""

OVER = 1.0
"""What has begun with an alarm is over below this."""

_RATE_OVER_S = 300.0


@dataclass(frozen=True, slots=True)
class Walks:
    """The detectors: of the arm that is rolled out, of control, and of one against the other."""

    error: Walk
    non_success: Walk
    ttft: Walk
    control_error: Walk
    control_ttft: Walk
    relative_error: Walk
    relative_non_success: Walk

    @property
    def control_alarm(self) -> float:
        """What speaks for an incident of both arms."""
        return max(self.control_error.alarm, self.control_ttft.alarm)

    @property
    def relative_alarm(self) -> float:
        """What speaks for more failures than in the control arm."""
        return max(self.relative_error.alarm, self.relative_non_success.alarm)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is remembered; times are the store's clock in seconds.

    `base_on` and `base_off` are the counters when the stage's evidence began (`begun_at`),
    `last_on` and `last_off` those of the last tick. `clock_from` is when the stage's clock began to
    run, None while workers do not agree yet. `incident_since` and `is_regressing` last until what
    began them is over, not only until it is less. Ticks count in a row: `alarm_ticks` with an alarm
    that the control arm may explain by its `alarm_control_n` requests in them, `skew_ticks` without
    agreement (since `skew_since`), `clear_ticks` without any reason to hold, `other_ticks` with
    another one than the rollout's.
    `rate_per_s` is of the requests of the arm that is rolled out.
    """

    epoch: int
    restarts: int
    at: float
    begun_at: float
    base_on: Counters
    base_off: Counters
    last_on: Counters
    last_off: Counters
    walks: Walks
    clock_from: float | None = None
    incident_since: float | None = None
    is_regressing: bool = False
    alarm_ticks: int = 0
    alarm_control_n: int = 0
    skew_ticks: int = 0
    skew_since: float | None = None
    clear_ticks: int = 0
    other_ticks: int = 0
    rate_per_s: float | None = None


def observe(evidence: Evidence | None, rollout: GuardedRollout, seen: Observation) -> Evidence:
    """Return the evidence after a tick, of what is kept and what is seen.

    What is kept of another epoch leaves this epoch's counters whole; what is kept of this epoch
    with other restarts, or nothing at all, begins at the counters as they are now.
    """
    weights = weights_of(rollout.plan)
    kept = None if evidence is None else _by_clock(evidence, seen.now)
    before = _begun(kept, rollout, seen, weights)
    walks = _walked(before, seen, weights, alarm_at(rollout) + ABOVE_ALARM)
    incident_since = _incident_since(before, walks, rollout.plan.alarm, seen.now)
    if before.incident_since is not None and incident_since is None:
        walks = _without_incident(walks)
    return Evidence(
        epoch=before.epoch,
        restarts=before.restarts,
        at=seen.now,
        begun_at=before.begun_at,
        base_on=before.base_on,
        base_off=before.base_off,
        last_on=seen.on,
        last_off=seen.off,
        walks=walks,
        clock_from=_clock_from(before, seen),
        incident_since=incident_since,
        is_regressing=_is_regressing(before, walks, rollout.plan.alarm),
        alarm_ticks=before.alarm_ticks,
        alarm_control_n=before.alarm_control_n + seen.off.n - before.last_off.n,
        skew_ticks=before.skew_ticks + 1 if seen.is_skewed else 0,
        skew_since=_skew_since(before, seen),
        clear_ticks=before.clear_ticks,
        other_ticks=before.other_ticks,
        rate_per_s=_rate(before, seen),
    )


def alarm_at(rollout: GuardedRollout) -> float:
    """Return the logarithm at which this rollout's detectors alarm."""
    later = ABOVE_ALARM if rollout.state is State.COMPLETED else 0.0
    return rollout.plan.alarm + later


def encode_evidence(evidence: Evidence) -> bytes:
    """Return evidence as JSON."""
    return msgspec.json.encode(evidence)


def decode_evidence(kept: bytes | str | None) -> Evidence | None:
    """Return what was kept, or None if that cannot be read: then evidence begins anew."""
    if not kept:
        return None
    try:
        evidence = msgspec.json.decode(kept, type=Evidence)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    counted = (evidence.base_on, evidence.base_off, evidence.last_on, evidence.last_off)
    is_whole = all(len(each.ttft) == len(TTFT_BINS) for each in counted)
    return evidence if is_whole else None


def _by_clock(evidence: Evidence, now: float) -> Evidence:
    """Return evidence by a clock that was set back: as if no time had passed meanwhile.

    Else nothing would go on until the clock has come to where it was.
    """
    ahead_s = evidence.at - now
    if ahead_s <= 0:
        return evidence

    def moved(at: float | None) -> float | None:
        return None if at is None else at - ahead_s

    return replace(
        evidence,
        at=now,
        begun_at=evidence.begun_at - ahead_s,
        clock_from=moved(evidence.clock_from),
        incident_since=moved(evidence.incident_since),
        skew_since=moved(evidence.skew_since),
    )


def _begun(
    evidence: Evidence | None, rollout: GuardedRollout, seen: Observation, weights: Weights
) -> Evidence:
    is_of_epoch = evidence is not None and evidence.epoch == seen.epoch
    if evidence is not None and is_of_epoch and _goes_on(evidence, rollout, seen, weights):
        return evidence
    counts_all = evidence is not None and not is_of_epoch
    on, off = (NOTHING_COUNTED, NOTHING_COUNTED) if counts_all else (seen.on, seen.off)
    return Evidence(
        epoch=seen.epoch,
        restarts=rollout.restarts,
        at=seen.now,
        begun_at=seen.now,
        base_on=on,
        base_off=off,
        last_on=on,
        last_off=off,
        walks=_rested(weights),
        clock_from=_kept_clock(evidence, rollout) if is_of_epoch else None,
    )


def _goes_on(
    evidence: Evidence, rollout: GuardedRollout, seen: Observation, weights: Weights
) -> bool:
    """Whether evidence of this epoch is of this rollout as it is, and counters only grew since."""
    walks = evidence.walks
    return (
        evidence.restarts == rollout.restarts
        and seen.on.n >= evidence.last_on.n
        and seen.off.n >= evidence.last_off.n
        and len(walks.error.scores) == len(weights.error.alarm)
        and len(walks.non_success.scores) == len(weights.non_success.alarm)
    )


def _kept_clock(evidence: Evidence | None, rollout: GuardedRollout) -> float | None:
    """Return since when the stage's clock runs: a restart of the evidence does not stop it."""
    if evidence is None or evidence.clock_from is None or rollout.stage_since is None:
        return None
    is_of_stage = rollout.stage_since.timestamp() <= evidence.clock_from
    return evidence.clock_from if is_of_stage else None


def _incident_since(before: Evidence, walks: Walks, alarm: float, now: float) -> float | None:
    is_over = walks.control_alarm < OVER
    if before.incident_since is not None:
        return None if is_over else before.incident_since
    return now if walks.control_alarm >= alarm / 2 else None


def _without_incident(walks: Walks) -> Walks:
    """Return the detectors as they go on when an incident of both arms is over.

    Where control has many more requests its alarm falls sooner: the other arm's is of what is past.
    """
    return replace(
        walks,
        error=at_rest(len(walks.error.scores)),
        non_success=at_rest(len(walks.non_success.scores)),
        ttft=at_rest(len(walks.ttft.scores)),
        relative_error=at_rest(len(RATE_RATIOS)),
        relative_non_success=at_rest(len(RATE_RATIOS)),
    )


def _is_regressing(before: Evidence, walks: Walks, alarm: float) -> bool:
    return walks.relative_alarm >= (OVER if before.is_regressing else alarm)


def _clock_from(before: Evidence, seen: Observation) -> float | None:
    if before.clock_from is None and not seen.is_skewed:
        return seen.now
    return before.clock_from


def _skew_since(before: Evidence, seen: Observation) -> float | None:
    if not seen.is_skewed:
        return None
    return seen.now if before.skew_since is None else before.skew_since


def _rate(before: Evidence, seen: Observation) -> float | None:
    over_s = seen.now - before.at
    if over_s <= 0:
        return before.rate_per_s
    now = (seen.on.n - before.last_on.n) / over_s
    if before.rate_per_s is None:
        return now
    # A plain mean at first, so that the first tick alone does not linger.
    weight = over_s / min(seen.now - before.begun_at, max(over_s, _RATE_OVER_S))
    return before.rate_per_s + weight * (now - before.rate_per_s)


def _rested(weights: Weights) -> Walks:
    errors, amiss = len(weights.error.alarm), len(weights.non_success.alarm)
    times, ratios = len(weights.ttft.alarm), len(RATE_RATIOS)
    return Walks(
        error=at_rest(errors),
        non_success=at_rest(amiss),
        ttft=at_rest(times),
        control_error=at_rest(errors),
        control_ttft=at_rest(times),
        relative_error=at_rest(ratios),
        relative_non_success=at_rest(ratios),
    )


def _walked(before: Evidence, seen: Observation, weights: Weights, cap: float) -> Walks:
    walks = before.walks
    on, off = seen.on.minus(before.last_on), seen.off.minus(before.last_off)
    return Walks(
        error=_share_walk(walks.error, weights.error, (on.n, on.errors), cap),
        non_success=_share_walk(
            walks.non_success, weights.non_success, (on.n, on.non_success), cap
        ),
        ttft=_ttft_walk(walks.ttft, weights, on, cap),
        control_error=_share_walk(walks.control_error, weights.error, (off.n, off.errors), cap),
        control_ttft=_ttft_walk(walks.control_ttft, weights, off, cap),
        relative_error=_relative_walk(
            walks.relative_error, (on.n, on.errors), (off.n, off.errors), cap
        ),
        relative_non_success=_relative_walk(
            walks.relative_non_success, (on.n, on.non_success), (off.n, off.non_success), cap
        ),
    )


def _share_walk(walk: Walk, weights: ShareWeights, seen: tuple[int, int], cap: float) -> Walk:
    if not seen[0]:
        return walk
    return walk_on(walk, share_logs(weights.alarm, *seen), seen, cap)


def _ttft_walk(walk: Walk, weights: Weights, seen: Counters, cap: float) -> Walk:
    if not any(seen.ttft):
        return walk
    counted = sum(seen.ttft), seen.ttft_us
    return walk_on(walk, ttft_logs(weights.ttft.alarm, seen.ttft), counted, cap)


def _relative_walk(walk: Walk, on: tuple[int, int], off: tuple[int, int], cap: float) -> Walk:
    if not on[1] + off[1]:
        return walk
    steps = [relative_step(ratio, on, off) for ratio in RATE_RATIOS]
    return walk_on(walk, steps, (on[0], on[1]), cap)
