"""Simpler rules that are in use elsewhere, under the same traffic."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from flags.rollout.counters import NOTHING_COUNTED, Counters
from flags.rollout.model import Criteria, Plan, State
from tests.rollout_simulation.traffic import Traffic, added

_US = 1e6
_PLAN = Plan()

Step = Literal["up", "down"]


class Rule(Protocol):
    """A way to lead one stage."""

    def step(self, came: Counters, tick_s: float) -> Step | None:
        """Return what becomes of the stage after a tick."""


@dataclass
class Cumulative:
    """The operator's thresholds on what was counted in the stage, at every tick."""

    least: int = 1
    _so_far: Counters = NOTHING_COUNTED
    _for_s: float = 0.0

    def step(self, came: Counters, tick_s: float) -> Step | None:
        self._so_far = added(self._so_far, came)
        self._for_s += tick_s
        if self._so_far.n < self.least:
            return None
        if _is_worse(self._so_far, _PLAN.roll_back):
            return "down"
        is_good = self._for_s >= _PLAN.bake_s and not _is_worse(self._so_far, _PLAN.promote)
        return "up" if is_good else None


@dataclass
class Interval:
    """The thresholds on each minute alone: back at the fifth bad one, on after ten good ones."""

    every_s: float = 60.0
    most_bad: int = 5
    enough_good: int = 10
    _window: Counters = NOTHING_COUNTED
    _for_s: float = 0.0
    _bad: int = 0
    _good: int = 0

    def step(self, came: Counters, tick_s: float) -> Step | None:
        self._window = added(self._window, came)
        self._for_s += tick_s
        if self._for_s < self.every_s:
            return None
        if self._window.n:
            is_bad = _is_worse(self._window, _PLAN.roll_back)
            self._bad, self._good = self._bad + is_bad, self._good + (not is_bad)
        self._window, self._for_s = NOTHING_COUNTED, 0.0
        if self._bad >= self.most_bad:
            return "down"
        return "up" if self._good >= self.enough_good else None


@dataclass
class Ruled:
    """A rollout that a simple rule leads; the last stage lasts an hour."""

    traffic: Traffic
    rule: type[Interval] | type[Cumulative]
    least: int = 1
    stage: int = 0
    exposed: int = 0
    failed: int = 0
    state: State = field(default=State.RUNNING, init=False)

    def run(self, until_s: float) -> State:
        """Lead until it is over, or for so long; return where it stands then."""
        while self.state is State.RUNNING and self.traffic.now < until_s:
            self.lead_stage(until_s)
        return self.state

    def lead_stage(self, until_s: float) -> None:
        """Lead until the stage is over, or until then."""
        rule: Rule = Cumulative(self.least) if self.rule is Cumulative else Interval()
        is_last = self.stage == len(_PLAN.stages) - 1
        ends = min(until_s, self.traffic.now + _PLAN.final_bake_s) if is_last else until_s
        while self.traffic.now < ends:
            came = self.traffic.tick(_PLAN.stages[self.stage]).on
            self.exposed += came.n
            self.failed += came.errors
            step = rule.step(came, self.traffic.tick_s)
            if step == "down":
                self.state = State.ROLLED_BACK
                return
            if step == "up" and not is_last:
                self.stage += 1
                return
        if is_last:
            self.state = State.COMPLETED


def _is_worse(counted: Counters, criteria: Criteria) -> bool:
    if not counted.n:
        return False
    return (
        counted.errors / counted.n > criteria.error_rate
        or 1 - counted.non_success / counted.n < criteria.success_rate
        or counted.ttft_us / _US / max(1, sum(counted.ttft)) > criteria.ttft_s
    )
