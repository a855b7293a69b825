"""One decision of the controller as the audit keeps it: its inputs, and the same decision again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from flags.codec import rollout_json
from flags.errors import FlagInvalidError
from flags.model import AuditEntry
from flags.rollout.counters import Observation
from flags.rollout.decision.evidence import Evidence
from flags.rollout.decision.machine import Transition, Verdict, decide
from flags.rollout.model import GuardedRollout

CONTROLLER = "rollout_controller"
"""Who the controller is in the audit."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a decision is a function of."""

    rollout: GuardedRollout
    evidence: Evidence | None
    seen: Observation

    def verdict(self) -> Verdict:
        """Return what is decided by it."""
        return decide(self.rollout, self.evidence, self.seen)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A decision of the audit, and what is decided of the same inputs now.

    `fault` tells that the inputs cannot be read; then nothing is decided.
    """

    entry: AuditEntry
    transition: Transition | None = None
    fault: str = ""

    @property
    def is_same(self) -> bool:
        """Whether action and rollout are as they were written."""
        if self.transition is None or self.entry.after is None:
            return False
        again = _undated(rollout_json(self.transition.rollout))
        return self.transition.action == self.entry.action and again == _undated(self.entry.after)


def audited(inputs: Inputs) -> Mapping[str, object]:
    """Return the inputs of a decision for the audit."""
    plain: dict[str, object] = msgspec.json.decode(msgspec.json.encode(inputs))
    return plain


def is_decision(entry: AuditEntry) -> bool:
    """Say whether a change was decided by the controller."""
    return entry.evidence is not None


def replayed(entry: AuditEntry) -> Replayed:
    """Decide once more by the inputs that the audit has kept."""
    try:
        inputs = msgspec.convert(entry.evidence, Inputs)
    except (msgspec.ValidationError, FlagInvalidError) as error:
        return Replayed(entry, fault=str(error))
    return Replayed(entry, inputs.verdict().transition)


def stepped(rollout: GuardedRollout, before: GuardedRollout) -> GuardedRollout:
    """Return a rollout as it is kept already, for comparing: versions are the store's."""
    return replace(rollout, version=before.version, updated_at=before.updated_at)


def _undated(shown: Mapping[str, object]) -> dict[str, object]:
    return {name: each for name, each in shown.items() if name not in {"version", "updated_at"}}
