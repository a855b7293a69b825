"""Flags, segments, rollouts: their definitions, how they stand, and what they give to whom."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from flags.model import FlagType, InFlight, Reason
from flags.rollout.model import Hold, State
from server.changes import Why
from server.openapi.answer import Maybe, Told
from server.openapi.answers.rollouts import RolloutPlan

Percentage = float
Variants = Mapping[str, Any]
Condition = Mapping[str, Any]


class DealtShare(Told):
    """A variant, and its weight in per cent."""

    variant: str
    weight: Percentage


Serve = str | list[DealtShare]


class DealtRollout(Told):
    """Which share of all is dealt a variant."""

    percentage: Percentage
    salt: str
    serve: Serve


class TargetingRule(Told):
    """Who meets a condition, or a share of them, is dealt a variant."""

    when: Condition
    serve: Serve
    percentage: Percentage
    name: str


class NeededFlag(Told):
    """Another flag must give one of these variants."""

    flag: str
    variants: list[str]


class Times(Told):
    """When a flag is on."""

    starts_at: datetime | None
    ends_at: datetime | None


class FlagShown(Told):
    """A flag's definition."""

    key: str
    type: FlagType
    variants: Variants
    off_variant: str
    default_variant: str
    rollout: DealtRollout
    enabled: bool
    kill: bool
    in_flight: InFlight
    allow: list[str]
    deny: list[str]
    rules: list[TargetingRule]
    prerequisites: list[NeededFlag]
    schedule: Times
    description: str
    version: int
    epoch: int
    updated_at: datetime | None
    stale: Literal[True] | Maybe = Field(None, description="The store is lost: what was known.")


class FlagsShown(Told):
    """A page of flags, by key."""

    flags: list[FlagShown]
    next: str | None
    stale: Literal[True] | Maybe = Field(None, description="The store is lost: what was known.")


class SegmentShown(Told):
    """Named users."""

    name: str
    include: list[str]
    exclude: list[str]
    when: Condition | None
    description: str
    version: int
    updated_at: datetime | None
    stale: Literal[True] | Maybe = Field(None, description="The store is lost: what was known.")


class SegmentsShown(Told):
    """A page of segments, by name."""

    segments: list[SegmentShown]
    next: str | None
    stale: Literal[True] | Maybe = Field(None, description="The store is lost: what was known.")


class FlagChange(Told):
    """Who changed something, when, why and how."""

    version: int
    at: datetime
    action: str
    who: str
    why: str
    request_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    evidence: dict[str, Any] | Maybe = Field(
        None, description="Of the controller's decisions: all that they were made from."
    )


class FlagHistory(Told):
    """A page of changes, newest first."""

    history: list[FlagChange]
    next: int | None = Field(description="The `before` of the page below.")


class DecisionStep(Told):
    """What was looked at, and whether it decided."""

    step: str
    decided: bool
    detail: str


class FlagExplanation(Told):
    """Why somebody gets what they get."""

    key: str
    user_id: str
    value: Any
    variant: str | None
    reason: Reason
    version: int
    epoch: int
    salt: str | None
    bucket: int | None
    percentage: Percentage | None
    included_from: Percentage | None
    steps: list[DecisionStep]
    error: str | Maybe = None
    stale: Literal[True] | Maybe = Field(None, description="The store is lost: what was known.")


class GuardedRollout(Told):
    """A rollout that the controller leads; `stage` is an index into the plan's stages."""

    key: str
    plan: RolloutPlan
    state: State
    stage: int
    hold: Hold | None
    reason: str
    since: datetime | None
    stage_since: datetime | None
    last_good: int | None
    rollbacks: int
    is_approved: bool
    restarts: int
    version: int
    updated_at: datetime | None


class LedRollout(Told):
    """How far a flag is, and the rollout that leads it."""

    feature: str
    percentage: Percentage
    version: int
    epoch: int
    rollout: GuardedRollout


class SetPercentage(Told):
    """How far a flag is now."""

    feature: str
    percentage: Percentage
    kill: bool
    version: int
    epoch: int


class FlagDefinition(BaseModel):
    """A flag's definition; what is left out has its default.

    Only a flag that is no bool needs `type`, `variants` and `off_variant`. What was read may be
    sent back: `key` as in the address; `version`, `epoch` and `updated_at` do not count.
    """

    key: str | None = None
    type: FlagType = FlagType.BOOL
    variants: Variants = Field(default_factory=dict)
    off_variant: str = "off"
    default_variant: str = ""
    rollout: dict[str, Any] = Field(default_factory=dict)
    enabled: bool = True
    kill: bool = False
    in_flight: InFlight = InFlight.DRAIN
    allow: list[str] = Field(default_factory=list)
    deny: list[str] = Field(default_factory=list)
    rules: list[dict[str, Any]] = Field(default_factory=list)
    prerequisites: list[dict[str, Any]] = Field(default_factory=list)
    schedule: dict[str, Any] = Field(default_factory=dict)
    description: str = ""
    reason: Why = Field("", description="Why, for its history.")


class SegmentDefinition(BaseModel):
    """A segment's definition; what is left out has its default."""

    name: str | None = None
    include: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)
    when: Condition | None = None
    description: str = ""
    reason: Why = Field("", description="Why, for its history.")
