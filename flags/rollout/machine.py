"""What becomes of a rollout at one tick: promoted, held, released, rolled back, completed or left.

Pure: the same rollout, evidence and observation give the same verdict on every machine, so that any
leader may go on where another one stopped, and what was decided can be replayed.
"""

from dataclasses import dataclass
from typing import Literal

from flags.rollout.evidence import Evidence
from flags.rollout.model import GuardedRollout
from flags.rollout.report import Report

Action = Literal["promote", "roll_back", "hold", "release", "complete"]


@dataclass(frozen=True, slots=True)
class Transition:
    """A step of a rollout, and the percentage that is set in the same write; None: as it is.

    Its `version` and `updated_at` are those of before.
    """

    action: Action
    rollout: GuardedRollout
    percentage: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a tick: the evidence to keep, the step to write if any, and what to show."""

    evidence: Evidence
    transition: Transition | None
    report: Report
