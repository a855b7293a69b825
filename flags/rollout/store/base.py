"""The contract of every rollout store.

What workers count is added up here, exactly once. One worker at a time leads: it holds a lease, and
a token that is higher than that of any leader before, by which its writes are told from a former
leader's. All times are of the store's own clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flags.rollout.batches import Batch
from flags.rollout.counters import NOTHING_COUNTED, Counters
from flags.store.base import Fence

FENCE = "rollout"
"""Whose tokens a leader's are, in `flags.store.base.Fence`."""

LEASE_S = 15.0
"""So long a leader leads without renewing; it renews three times in that time."""

BEAT_KEPT_S = 45.0
"""A worker that has told nothing for so long is gone."""

KEPT_S = 7 * 86_400
"""What was counted in an epoch is forgotten so long after the last write to it."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker told last: the version of the rules that it serves, and how long ago."""

    version: int
    age_s: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What a store holds of one flag in one epoch at one moment.

    `now` is seconds of the epoch by the store's clock, `workers` those that have told something
    within `BEAT_KEPT_S`. `evidence` and `report` are what a leader has kept last, None: nothing.
    """

    now: float
    on: Counters = NOTHING_COUNTED
    off: Counters = NOTHING_COUNTED
    workers: Mapping[str, Beat] = field(default_factory=dict)
    evidence: bytes | None = None
    report: bytes | None = None


class RolloutStore(Protocol):
    """Adds up what is counted, keeps what it is judged by, and lets one worker lead.

    Every method raises FlagStoreUnavailableError where the store cannot be reached, and
    FlagStoreDamagedError where what it holds is not ours.
    """

    async def add(self, flag: str, batch: Batch, *, version: int) -> None:
        """Add a worker's batch, once however often it comes, and note that the worker lives.

        Of one user `FAILURES_PER_USER` failed requests count in one epoch and arm; further ones
        are left out whole. Users are counted exactly up to `MAX_USERS_COUNTED` of both arms.

        Args:
            flag: Which flag's rollout was counted for.
            batch: An empty one only tells that the worker lives.
            version: Of the rules that the worker serves.

        Raises:
            FlagStoreUnavailableError: it may have been added; send the same batch again.
        """
        ...

    async def see(self, flag: str, epoch: int) -> Sight:
        """Return what was counted in an epoch, who lives, and what was kept last."""
        ...

    async def lead(self, worker: str) -> Fence | None:
        """Take or renew the lease; return the fence of whoever has it, None: another has it.

        A worker that renews in time keeps its token; every other one gets a higher one than there
        ever was.
        """
        ...

    async def keep(self, flag: str, evidence: bytes, report: bytes, fence: Fence) -> None:
        """Keep both in the place of what was kept before.

        Raises:
            FencedError: another leads by now; nothing was written.
        """
        ...

    async def leave(self, flags: frozenset[str], worker: str) -> None:
        """Tell that a worker ends: it is not missed, and gives its lease back if it has it."""
        ...

    async def close(self) -> None:
        """Give back what is held, write what is only in memory; idempotent."""
        ...
