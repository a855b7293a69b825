"""A rollout under traffic, led by the real decision: a controller without its stores."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from flags.rollout.counters import NOTHING_COUNTED, Observation
from flags.rollout.decision.evidence import Evidence
from flags.rollout.decision.machine import Transition, decide, state_at
from flags.rollout.decision.report import Report
from flags.rollout.model import GuardedRollout, Plan, State
from tests.rollout_simulation.traffic import Traffic, added

OVER = frozenset({State.ROLLED_BACK, State.COMPLETED})


@dataclass
class Led:
    """A rollout that is led; `exposed` and `failed` are requests of its arm so far."""

    traffic: Traffic
    plan: Plan = field(default_factory=Plan)
    stage: int = 0
    exposed: int = 0
    failed: int = 0
    highest: int = 0

    def __post_init__(self) -> None:
        start = datetime.fromtimestamp(self.traffic.now, UTC)
        self.rollout = GuardedRollout(
            "streaming",
            self.plan,
            state=state_at(self.plan, self.stage),
            stage=self.stage,
            since=start,
            stage_since=start,
        )
        self.percentage = self.rollout.percentage
        self.highest = self.stage
        self.report: Report | None = None
        self._evidence: Evidence | None = None
        self._epoch = 1
        self._on = self._off = NOTHING_COUNTED

    @property
    def is_over(self) -> bool:
        """Whether nothing more can become of it."""
        return self.rollout.state in OVER

    def tick(self) -> Transition | None:
        """Let one tick's requests come, and decide."""
        self.arrive()
        return self.look()

    def arrive(self) -> None:
        """Let one tick's requests come."""
        came = self.traffic.tick(self.percentage)
        self._on, self._off = added(self._on, came.on), added(self._off, came.off)
        self.exposed += came.on.n
        self.failed += came.on.errors

    def seen(self) -> Observation:
        """Return what there is to be seen."""
        return Observation(self.traffic.now, self._epoch, self.percentage, self._on, self._off)

    def look(self, seen: Observation | None = None) -> Transition | None:
        """Decide on what is to be seen, or was a moment ago."""
        verdict = decide(self.rollout, self._evidence, self.seen() if seen is None else seen)
        self._evidence, self.report = verdict.evidence, verdict.report
        step = verdict.transition
        if step is not None:
            self.rollout = step.rollout
            self.highest = max(self.highest, step.rollout.stage)
            if step.percentage is not None:
                self.percentage = step.percentage
                self._epoch += 1
                self._on = self._off = NOTHING_COUNTED
        return step

    def run(self, until_s: float) -> State:
        """Lead until it is over, or for so long; return where it stands then."""
        while not self.is_over and self.traffic.now < until_s:
            self.tick()
        return self.rollout.state
