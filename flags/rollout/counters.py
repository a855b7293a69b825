"""What is counted of one arm in one epoch: sums, so that any two of them add up. Pure."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from operator import add, sub

from flags.rollout.model import TTFT_T_S

_BINS = 40
_FIRST_S = 0.05

TTFT_EDGES_S = (
    0.0,
    *(round(_FIRST_S * (TTFT_T_S / _FIRST_S) ** (step / (_BINS - 1)), 6) for step in range(_BINS)),
)
"""Edges of the bins of first-token times: 0, then 50 ms to T evenly on a log scale."""

TTFT_BINS = tuple(pairwise(TTFT_EDGES_S))
"""Lower and upper edge of each bin."""


def ttft_bin(seconds: float) -> int:
    """Return the place of the bin that a first-token time is counted in; what is above T is T."""
    return min(bisect_right(TTFT_EDGES_S, max(0.0, seconds)) - 1, len(TTFT_BINS) - 1)


@dataclass(frozen=True, slots=True)
class Counters:
    """Requests that ended, or had no token by T; cancelled ones are in none of these numbers.

    `non_success` are the errors, and what ended otherwise than it should by our doing. Who never
    gave a token is in the first-token times as T. `ttft_us` is their exact sum in microseconds.
    `failing_users` stops at `FAILING_USERS_KEPT`; `users` are those who were dealt this arm.
    """

    n: int = 0
    errors: int = 0
    non_success: int = 0
    cancelled: int = 0
    ttft: tuple[int, ...] = (0,) * len(TTFT_BINS)
    ttft_us: int = 0
    failing_users: int = 0
    users: int = 0

    def minus(self, earlier: "Counters") -> "Counters":
        """Return what was counted since; who failed before counts as failing since, too."""
        return Counters(
            n=self.n - earlier.n,
            errors=self.errors - earlier.errors,
            non_success=self.non_success - earlier.non_success,
            cancelled=self.cancelled - earlier.cancelled,
            ttft=tuple(map(sub, self.ttft, earlier.ttft)),
            ttft_us=self.ttft_us - earlier.ttft_us,
            failing_users=self.failing_users,
            users=self.users - earlier.users,
        )

    def plus(self, other: "Counters") -> "Counters":
        """Return both together; `other` is of other users."""
        return Counters(
            n=self.n + other.n,
            errors=self.errors + other.errors,
            non_success=self.non_success + other.non_success,
            cancelled=self.cancelled + other.cancelled,
            ttft=tuple(map(add, self.ttft, other.ttft)),
            ttft_us=self.ttft_us + other.ttft_us,
            failing_users=self.failing_users + other.failing_users,
            users=self.users + other.users,
        )


NOTHING_COUNTED = Counters()


@dataclass(frozen=True, slots=True)
class Observation:
    """What the controller sees at one tick.

    `now` is the store's clock, seconds of the epoch. `percentage` and `epoch` are the flag's;
    `on` and `off` were counted in that epoch. `oldest_flush_s` is the age of what the slowest
    live worker told last, None where nobody has told anything; `newest_flush_s` is that of the
    quickest, None where that is not known: then it is taken for the same. `is_skewed`: workers
    serve other versions of the rules than the present one.
    """

    now: float
    epoch: int
    percentage: float
    on: Counters = NOTHING_COUNTED
    off: Counters = NOTHING_COUNTED
    oldest_flush_s: float | None = 0.0
    is_skewed: bool = False
    is_killed: bool = False
    newest_flush_s: float | None = None
