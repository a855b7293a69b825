"""How flags stand, as operators' scripts ask for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flags.model import FlagType
from flags.rollout.model import Hold, Plan, State
from server.openapi.answer import ToldInCamelCase


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
    plan: Plan


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
