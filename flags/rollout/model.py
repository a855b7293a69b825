"""The values of a guarded rollout: its plan, and where it stands. Pure.

A rollout takes one flag's percentage through its stages. Where it stands is part of the ruleset, so
that a step and the percentage that it sets are one write; what was counted is kept beside it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

TTFT_T_S = 30.0
"""T: the longest first-token time that is told apart; a request without a token until then failed.

Only the default of a plan: a smaller one needs fewer samples.
"""

FAILING_USERS_KEPT = 4
"""Users with failures are told apart up to this many: a rollback asks for three."""

FAILURES_PER_USER = 3
"""Failed requests of one user that count in one epoch and arm; further ones are left out whole."""


class State(StrEnum):
    """Where a rollout stands. A flag without a rollout is idle; a kill lies above all of them."""

    RUNNING = "running"
    HOLD = "hold"
    FINAL_BAKE = "final_bake"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    PAUSED = "paused"


ACTIVE = frozenset({State.RUNNING, State.HOLD, State.FINAL_BAKE})
"""States in which the controller decides; in COMPLETED its detectors go on as alerts only."""


class Hold(StrEnum):
    """Why a rollout waits."""

    INSUFFICIENT_DATA = "insufficient_data"
    INCONCLUSIVE = "inconclusive"
    APPROVAL = "approval"
    SRM = "srm"
    INCIDENT = "incident"
    STALE_METRICS = "stale_metrics"
    SKEW = "skew"
    RELATIVE_REGRESSION = "relative_regression"


@dataclass(frozen=True, slots=True)
class Criteria:
    """Thresholds of shares (0 to 1) and of the mean time to first token in seconds."""

    error_rate: float
    success_rate: float
    ttft_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How one rollout is led. Durations in seconds, stages in per cent, ascending.

    To be promoted a stage must be better than `promote`; what is worse than `roll_back` may be
    rolled back. `beta` is the chance that a stage ever passes while a metric is as bad as
    `roll_back`; `alarm` is the logarithm that a detector must reach to roll back. At the end of the
    stages in `approval_at` a person has to approve.
    """

    stages: tuple[float, ...] = (1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 100.0)
    bake_s: float = 600.0
    final_bake_s: float = 3600.0
    cooldown_s: float = 1800.0
    approval_at: tuple[float, ...] = ()
    promote: Criteria = Criteria(error_rate=0.01, success_rate=0.95, ttft_s=1.0)
    roll_back: Criteria = Criteria(error_rate=0.02, success_rate=0.90, ttft_s=2.0)
    beta: float = 0.01
    alarm: float = 9.0
    max_ttft_s: float = TTFT_T_S
    incident_max_s: float = 900.0
    on_shared_incident: Literal["hold", "rollback"] = "hold"


@dataclass(frozen=True, slots=True)
class GuardedRollout:
    """One flag's rollout, as the ruleset keeps it.

    `stage` is an index into the plan's stages. `since` is when this state began, `stage_since` when
    the stage did. `last_good` is the highest stage that was passed, None before the first.
    `restarts` grows whenever what was counted so far counts no more. `reason` says in words why it
    stands where it stands.
    """

    key: str
    plan: Plan = Plan()
    state: State = State.RUNNING
    stage: int = 0
    hold: Hold | None = None
    reason: str = ""
    since: datetime | None = None
    stage_since: datetime | None = None
    last_good: int | None = None
    rollbacks: int = 0
    is_approved: bool = False
    restarts: int = 0
    version: int = 0
    updated_at: datetime | None = None

    @property
    def percentage(self) -> float:
        """What its stage asks for."""
        return self.plan.stages[self.stage]
