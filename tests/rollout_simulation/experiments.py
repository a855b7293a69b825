"""What is asked of the simulation: each question is many runs, from one seed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from flags.rollout.counters import NOTHING_COUNTED, Observation
from flags.rollout.decision.evidence import Evidence
from flags.rollout.decision.machine import decide
from flags.rollout.model import GuardedRollout, Hold, Plan, State
from tests.rollout_simulation.figures import Share
from tests.rollout_simulation.leading import Led
from tests.rollout_simulation.peers import Cumulative, Interval, Ruled
from tests.rollout_simulation.traffic import Law, Laws, Traffic, added, always

HEALTHY = Law()
DAY_S = 86_400.0
_STAGES = {share: place for place, share in enumerate(Plan().stages)}

PEERS: dict[str, tuple[type[Cumulative] | type[Interval], int]] = {
    "literal": (Cumulative, 1),
    "literal, n ≥ 100": (Cumulative, 100),
    "literal, n ≥ 300": (Cumulative, 300),
    "every 60 s": (Interval, 1),
}


def seeds(seed: int, runs: int) -> Iterator[np.random.Generator]:
    """Return so many sources of chance that have nothing to do with each other."""
    return (np.random.default_rng(each) for each in np.random.SeedSequence(seed).spawn(runs))


@dataclass(frozen=True)
class Rollouts:
    """What became of whole rollouts; `hours` of those that were completed."""

    rolled_back: Share
    completed: Share
    hours: list[float]


def whole_rollouts(law: Law, rate: float, *, runs: int, seed: int) -> Rollouts:
    """Lead rollouts of a variant that stays as it is, for two days at most."""
    ended, hours = [], []
    for rng in seeds(seed, runs):
        led = Led(Traffic(rng, rate=rate, laws=always(law, law)))
        ended.append(led.run(2 * DAY_S))
        hours += [led.traffic.now / 3600] if ended[-1] is State.COMPLETED else []
    return Rollouts(
        Share(ended.count(State.ROLLED_BACK), runs),
        Share(ended.count(State.COMPLETED), runs),
        hours,
    )


def whole_rollouts_ruled(name: str, law: Law, rate: float, *, runs: int, seed: int) -> Share:
    """Lead the same by a simpler rule; return how many were rolled back."""
    rule, least = PEERS[name]
    ended = [
        Ruled(Traffic(rng, rate=rate, laws=always(law, law)), rule, least).run(2 * DAY_S)
        for rng in seeds(seed, runs)
    ]
    return Share(ended.count(State.ROLLED_BACK), runs)


def passes(law: Law, *, runs: int, seed: int) -> Share:
    """Return how many bad variants pass the first gate, in a day at most."""
    passed = 0
    for rng in seeds(seed, runs):
        led = Led(Traffic(rng, rate=20.0, laws=always(law)))
        while not led.is_over and not led.highest and led.traffic.now < DAY_S:
            led.tick()
        passed += led.highest > 0
    return Share(passed, runs)


def passes_ruled(name: str, law: Law, *, runs: int, seed: int) -> Share:
    """Return how many bad variants pass the first stage under a simpler rule."""
    rule, least = PEERS[name]
    passed = 0
    for rng in seeds(seed, runs):
        ruled = Ruled(Traffic(rng, rate=20.0, laws=always(law)), rule, least)
        ruled.lead_stage(DAY_S)
        passed += ruled.stage > 0
    return Share(passed, runs)


def gate_ever_passed(metric: str, law: Law, *, runs: int, seed: int, ticks: int = 200) -> Share:
    """Return how many gates ever pass in ticks of a hundred requests at the boundary.

    The rollout is paused, so that nothing ends the run; the gate is asked all the same.
    """
    passed = 0
    for rng in seeds(seed, runs):
        led = Led(Traffic(rng, rate=20.0, laws=always(law)), stage=_STAGES[100.0])
        led.rollout = replace(led.rollout, state=State.PAUSED)
        for _ in range(ticks):
            led.tick()
            if _has_passed(led, metric):
                passed += 1
                break
    return Share(passed, runs)


def _has_passed(led: Led, metric: str) -> bool:
    if led.report is None:
        return False
    told = led.report.metrics[metric]
    return told.promote_evidence >= told.promote_needed


def steady(law: Law, alarm: float, *, runs: int, seed: int, ticks: int = 2_000) -> Share:
    """Return how many are rolled back in ticks of a hundred requests at 100 %, without control."""
    plan = Plan(alarm=alarm, final_bake_s=10 * DAY_S)
    ended = []
    for rng in seeds(seed, runs):
        led = Led(Traffic(rng, rate=20.0, laws=always(law)), plan, stage=_STAGES[100.0])
        ended.append(led.run(ticks * led.traffic.tick_s))
    return Share(ended.count(State.ROLLED_BACK), runs)


@dataclass(frozen=True)
class Found:
    """What it took to roll back from the onset on: requests of the arm, seconds, failures."""

    requests: list[float]
    seconds: list[float]
    failed: list[float]
    share: Share


def detection(
    law: Law, percentage: float, *, runs: int, seed: int, healthy_s: float, alarm: float = 9.0
) -> Found:
    """Let a regression of one arm begin in a stage; return what it takes to find it."""
    found = Found([], [], [], Share(0, runs))
    stage = _STAGES[percentage]
    for rng in seeds(seed, runs):
        laws = _from(healthy_s, law, HEALTHY)
        plan = Plan(bake_s=10 * DAY_S, alarm=alarm)
        led = Led(Traffic(rng, rate=20.0, laws=laws), plan=plan, stage=stage)
        led.run(healthy_s)
        exposed, failed = led.exposed, led.failed
        if led.run(DAY_S) is State.ROLLED_BACK:
            found.requests.append(led.exposed - exposed)
            found.seconds.append(led.traffic.now - healthy_s)
            found.failed.append(led.failed - failed)
    return replace(found, share=Share(len(found.seconds), runs))


def detection_ruled(
    name: str, law: Law, percentage: float, *, runs: int, seed: int, healthy_s: float
) -> Found:
    """Return the same under a simpler rule."""
    rule, least = PEERS[name]
    found = Found([], [], [], Share(0, runs))
    for rng in seeds(seed, runs):
        traffic = Traffic(rng, rate=20.0, laws=_from(healthy_s, law, HEALTHY))
        ruled = Ruled(traffic, rule, least, stage=_STAGES[percentage])
        ruled.run(healthy_s)
        exposed, failed = ruled.exposed, ruled.failed
        if ruled.run(healthy_s + 3600) is State.ROLLED_BACK:
            found.requests.append(ruled.exposed - exposed)
            found.seconds.append(traffic.now - healthy_s)
            found.failed.append(ruled.failed - failed)
    return replace(found, share=Share(len(found.seconds), runs))


def total_failure(*, runs: int, seed: int) -> Found:
    """Let every request of the arm fail from any second on, at 50 % and 20 requests a second.

    What the leader sees at its tick of 5 s is a second old, as workers tell their counts.
    """
    found = Found([], [], [], Share(0, runs))
    for rng in seeds(seed, runs):
        onset_s = 300.0 + float(rng.integers(0, 5))
        laws = _from(onset_s, replace(HEALTHY, error=1.0), HEALTHY)
        plan = Plan(bake_s=DAY_S)
        led = Led(Traffic(rng, rate=20.0, laws=laws, tick_s=1.0), plan=plan, stage=_STAGES[50.0])
        failed = 0
        while not led.is_over and led.traffic.now < onset_s + 600:
            told = led.seen()
            if led.traffic.now < onset_s:
                failed = led.failed
            led.arrive()
            if not led.traffic.now % 5:
                led.look(replace(told, now=led.traffic.now))
        found.seconds.append(led.traffic.now - onset_s)
        found.failed.append(led.failed - failed)
        found.requests.append(led.failed - failed)
    return replace(found, share=Share(len(found.seconds), runs))


def incident(
    laws: tuple[Law, Law], percentage: float, *, runs: int, seed: int, plan: Plan | None = None
) -> Found:
    """Let both arms fail for ten minutes in a stage that is well; return what was rolled back."""
    found = Found([], [], [], Share(0, runs))
    plan = replace(plan or Plan(), bake_s=DAY_S)

    def when(now: float) -> tuple[Law, Law]:
        return laws if 300.0 <= now < 900.0 else (HEALTHY, HEALTHY)

    for rng in seeds(seed, runs):
        led = Led(Traffic(rng, rate=20.0, laws=when), plan=plan, stage=_STAGES[percentage])
        if led.run(1800.0) is State.ROLLED_BACK:
            found.seconds.append(led.traffic.now - 300.0)
    return replace(found, share=Share(len(found.seconds), runs))


@dataclass(frozen=True)
class Mismatch:
    """How often a mismatch of samples was told: by us, by a chi-square at every look; and when."""

    ours: Share
    chi_square: Share
    users: list[float]


def mismatch(
    dealt: float, percentage: float, *, runs: int, seed: int, looks: int = 100, users: int = 20_000
) -> Mismatch:
    """Look so often while so many users come, of whom the arm counts only the share `dealt`."""
    ours, chi_square, at = 0, 0, []
    rollout = GuardedRollout("streaming", stage=_STAGES[percentage])
    rate = users / looks / 5.0
    for rng in seeds(seed, runs):
        traffic = Traffic(rng, rate=rate, laws=always(HEALTHY), dealt=dealt)
        on = off = NOTHING_COUNTED
        evidence: Evidence | None = None
        told, is_off = None, False
        for _ in range(looks):
            came = traffic.tick(percentage)
            if evidence is None:
                evidence = decide(rollout, None, Observation(0.0, 1, percentage)).evidence
            on, off = added(on, came.on), added(off, came.off)
            verdict = decide(rollout, evidence, Observation(traffic.now, 1, percentage, on, off))
            evidence = verdict.evidence
            if told is None and Hold.SRM.value in verdict.report.holds:
                told = on.users + off.users
            is_off = is_off or _chi_square_p(on.users, off.users, percentage / 100) < 0.001
        ours, chi_square = ours + (told is not None), chi_square + is_off
        at += [told] if told is not None else []
    return Mismatch(Share(ours, runs), Share(chi_square, runs), [float(each) for each in at])


def _chi_square_p(on: int, off: int, share: float) -> float:
    total = on + off
    if not total:
        return 1.0
    z = (on - total * share) / math.sqrt(total * share * (1 - share))
    return math.erfc(abs(z) / math.sqrt(2))


def _from(onset_s: float, law: Law, before: Law) -> Laws:
    return lambda now: (law, HEALTHY) if now >= onset_s else (before, HEALTHY)
