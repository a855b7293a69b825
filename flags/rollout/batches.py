"""What a worker has counted of one flag and hands to the store at once. Pure values.

Failures travel one by one, for it is the store that sees how many a user has had at all workers
together; all else is sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from flags.rollout.counters import NOTHING_COUNTED, Counters

MAX_USERS_COUNTED = 131_072
"""Users of both arms of an epoch that are counted exactly; then neither arm counts further ones."""

_HASH_BYTES = 8
_US = 1_000_000


class Arm(StrEnum):
    """What a unit was dealt: the flag's value, or its off variant."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was no success; `user` is hashed, `ttft_us` are microseconds."""

    user: str
    is_error: bool
    ttft_us: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of one arm in one epoch.

    `plain` are the sums of all requests but the failures; `users` those that were dealt this arm,
    hashed.
    """

    plain: Counters = NOTHING_COUNTED
    failures: tuple[Failure, ...] = ()
    users: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker has counted since its last batch.

    With the same `worker` and `number` it is the same batch: however often a store gets it, it
    counts once. A worker's numbers grow from 1.
    """

    worker: str
    number: int
    counted: Mapping[tuple[int, Arm], Counted]
    """By epoch and arm."""


def hashed(unit: str) -> str:
    """Return what a unit is counted as: 8 bytes in hexadecimal digits, never its id."""
    return blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).hexdigest()


def microseconds(seconds: float) -> int:
    """Return a time as it is summed: sums of whole numbers do not depend on their order."""
    return round(seconds * _US)


def seconds(microseconds: int) -> float:
    """Return a time as it is measured."""
    return microseconds / _US
