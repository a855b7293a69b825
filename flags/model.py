"""The values of this package: what a flag is, what was decided, what was changed. Pure.

Versions: each write gives its flag the next version; an epoch is a time in which a flag deals its
variants in one and the same way, so that figures of different deals are never mixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from flags.rollout.model import GuardedRollout

Value = object
"""What a variant is worth: a bool, a string, a number or a JSON object, by the flag's type."""

Attributes = Mapping[str, object]
"""What is known of a unit, for targeting: JSON values."""

NO_ATTRIBUTES: Attributes = MappingProxyType({})


class FlagType(StrEnum):
    """What a flag's variants are."""

    BOOL = "bool"
    STRING = "string"
    NUMBER = "number"
    OBJECT = "object"


class Reason(StrEnum):
    """Why a unit got its variant: OpenFeature's words."""

    DEFAULT = "default"
    DISABLED = "disabled"
    TARGETING_MATCH = "targeting_match"
    SPLIT = "split"
    STALE = "stale"
    ERROR = "error"


class InFlight(StrEnum):
    """What a kill does to turns that run: let them finish, or stop them."""

    DRAIN = "drain"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Share:
    """A variant and its weight in per cent of those who are dealt one, in steps of 0.001."""

    variant: str
    weight: float


Serve = tuple[Share, ...]
"""Variants that are dealt by weight, in an order that is kept; the weights add up to 100."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Which share of all units is dealt a variant, 0 to 100 in steps of 0.001.

    Who is in at a percentage is in at every higher one. Another salt deals everybody anew.
    """

    percentage: float
    salt: str
    serve: Serve


@dataclass(frozen=True, slots=True)
class Rule:
    """Units that meet a condition, or a share of them, are dealt a variant."""

    when: Mapping[str, object]
    serve: Serve
    percentage: float = 100.0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """Another flag must give the unit one of these variants, else this one is as if disabled."""

    flag: str
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A flag is as if disabled before `starts_at` and from `ends_at` on; None: without bound."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag. Evaluated in the order kill, enabled (and schedule), prerequisites, deny, allow,
    rules, rollout, default.

    `off_variant` is what a unit gets that gets nothing else; `default_variant` what it gets where
    the flag is on and neither list, rule nor rollout says otherwise.
    """  # noqa: D205  # the order is one sentence

    key: str
    type: FlagType
    variants: Mapping[str, Value]
    off_variant: str
    default_variant: str
    rollout: Rollout
    enabled: bool = True
    kill: bool = False
    in_flight: InFlight = InFlight.DRAIN
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()
    prerequisites: tuple[Prerequisite, ...] = ()
    schedule: Schedule = Schedule()
    description: str = ""
    version: int = 0
    epoch: int = 0
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Named units: those listed, and those that meet the condition; excluded ones never."""

    name: str
    include: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()
    when: Mapping[str, object] | None = None
    description: str = ""
    version: int = 0
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All flags, segments and rollouts at one version; a store's versions only grow."""

    version: int = 0
    flags: Mapping[str, Flag] = field(default_factory=dict)
    segments: Mapping[str, Segment] = field(default_factory=dict)
    rollouts: Mapping[str, GuardedRollout] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What one unit gets of one flag, and why.

    `variant` is None where the value is the caller's default. `error` is a stable code where the
    reason is «error».
    """

    key: str
    value: Value
    variant: str | None
    reason: Reason
    version: int = 0
    epoch: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes a flag, why, and with which request: for the audit."""

    who: str
    why: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change of one flag, segment or rollout; never altered.

    `before`, `after`: as on the wire, or None. `version` is the ruleset's after the change.
    `evidence` is what a controller decided by: enough to come to the same decision again.
    """

    version: int
    at: datetime
    action: str
    subject: str
    author: Author
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    evidence: Mapping[str, object] | None = None
