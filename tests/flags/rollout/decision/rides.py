"""A rollout that a test leads tick by tick, as the controller would."""

from dataclasses import replace
from datetime import UTC, datetime

from flags.rollout.counters import NOTHING_COUNTED, TTFT_BINS, Counters, Observation, ttft_bin
from flags.rollout.decision.evidence import Evidence
from flags.rollout.decision.machine import Verdict, decide, state_at
from flags.rollout.decision.report import Report
from flags.rollout.model import FAILING_USERS_KEPT, GuardedRollout, Plan

START = 1_780_315_200.0
TICK_S = 5.0


def counted(
    n: int = 0, errors: int = 0, *, amiss: int = 0, ttft_s: float = 0.5, users: int = 0
) -> Counters:
    """Return so many requests with the same first-token time; each failure is of another user."""
    bins = [0] * len(TTFT_BINS)
    bins[ttft_bin(ttft_s)] = n
    failing = min(errors + amiss, FAILING_USERS_KEPT)
    return Counters(
        n=n,
        errors=errors,
        non_success=errors + amiss,
        ttft=tuple(bins),
        ttft_us=round(n * ttft_s * 1e6),
        failing_users=failing,
        users=users,
    )


def a_rollout(plan: Plan | None = None, stage: int = 0) -> GuardedRollout:
    """Return a rollout that is led in a stage."""
    plan = plan or Plan()
    at = datetime.fromtimestamp(START, UTC)
    return GuardedRollout(
        "streaming", plan, state=state_at(plan, stage), stage=stage, since=at, stage_since=at
    )


class Ride:
    """A rollout under way; what a tick decides is carried out at once.

    Each epoch begins with a few users who were dealt as they should be.
    """

    def __init__(self, plan: Plan | None = None, stage: int = 0) -> None:
        self.rollout = a_rollout(plan, stage)
        self.percentage = self.rollout.percentage
        self.epoch = 1
        self.now = START
        self.on, self.off = _dealt(self.percentage)
        self.evidence: Evidence | None = None
        self.steps: list[str] = []
        self.look()

    def tick(
        self,
        on: Counters = NOTHING_COUNTED,
        off: Counters = NOTHING_COUNTED,
        **seen: float | bool | None,
    ) -> Verdict:
        """Let these requests come, and look 5 s after the last time."""
        self.now += TICK_S
        self.on, self.off = _sum(self.on, on), _sum(self.off, off)
        return self.look(**seen)

    def ticks(
        self,
        count: int,
        on: Counters = NOTHING_COUNTED,
        off: Counters = NOTHING_COUNTED,
        **seen: float | bool | None,
    ) -> Verdict:
        """Let the same come again and again; return what came of the last tick."""
        for _ in range(count - 1):
            self.tick(on, off, **seen)
        return self.tick(on, off, **seen)

    def look(self, **seen: float | bool | None) -> Verdict:
        """Decide on what has come so far."""
        told = Observation(self.now, self.epoch, self.percentage, self.on, self.off)
        verdict = decide(self.rollout, self.evidence, replace(told, **seen))  # type: ignore[arg-type]  # checked by name
        self.evidence = verdict.evidence
        step = verdict.transition
        if step is not None:
            self.steps.append(step.action)
            self.rollout = step.rollout
            if step.percentage is not None and step.percentage != self.percentage:
                self.percentage = step.percentage
                self.epoch += 1
                self.on, self.off = _dealt(self.percentage)
        return verdict

    def bake(self) -> Verdict:
        """Let the stage's time pass in health, up to the tick that decides on it."""
        steps = len(self.steps)
        while True:
            verdict = self.tick(counted(50), counted(50))
            if len(self.steps) > steps or verdict.report.bake_left_s <= 0:
                return verdict

    @property
    def report(self) -> Report:
        """What is to be seen now, without a tick."""
        told = Observation(self.now, self.epoch, self.percentage, self.on, self.off)
        return decide(self.rollout, self.evidence, told).report


def _dealt(percentage: float) -> tuple[Counters, Counters]:
    """Return three users of the arm, and as many of control as go with them."""
    if not percentage:
        return NOTHING_COUNTED, NOTHING_COUNTED
    return counted(users=3), counted(users=round(3 * (100 - percentage) / percentage))


def _sum(so_far: Counters, more: Counters) -> Counters:
    both = so_far.plus(more)
    return replace(both, failing_users=min(both.failing_users, FAILING_USERS_KEPT))
