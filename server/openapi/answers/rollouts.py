"""How flags stand, as operators' scripts ask for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from flags.model import FlagType
from flags.rollout.model import Hold, State
from server.openapi.answer import Told, ToldInCamelCase


class RolloutThresholds(Told):
    """Shares of 1, and seconds."""

    error_rate: float
    success_rate: float
    ttft_s: float


class RolloutPlan(Told):
    """How a rollout is led; names are those of its settings."""

    stages: list[float]
    bake_s: float
    final_bake_s: float
    cooldown_s: float
    approval_at: list[float]
    promote: RolloutThresholds
    roll_back: RolloutThresholds
    beta: float
    alarm: float
    max_ttft_s: float
    incident_max_s: float
    on_shared_incident: Literal["hold", "rollback"]


class RolloutStanding(ToldInCamelCase):
    """Where a guarded rollout stands."""

    state: State
    stage: int
    stages: list[float]
    percentage: float
    hold: Hold | None
    reason: str
    since: datetime | None
    stage_since: datetime | None
    last_good: int | None
    rollbacks: int
    is_approved: bool
    cooldown_left_seconds: float
    plan: RolloutPlan


class FlagStanding(ToldInCamelCase):
    """How a flag stands."""

    type: FlagType
    enabled: bool
    rollout_percentage: float
    kill: bool
    killed_here: bool
    state: str
    salt: str
    variants: Mapping[str, Any]
    version: int
    epoch: int
    updated_at: datetime | None
    since_seconds: float | None
    rollout: RolloutStanding | None
    evidence: dict[str, Any] | None


class FlagStoreStanding(ToldInCamelCase):
    """How well the flags are known."""

    kind: str
    source: str
    version: int
    stale: bool
    age_seconds: float | None
    fault: str | None


class FlagStandings(ToldInCamelCase):
    """Every flag, by key; `streaming` is always there."""

    flags: Mapping[str, FlagStanding]
    store: FlagStoreStanding
