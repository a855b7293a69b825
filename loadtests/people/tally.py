"""Times and counts of a run, second by second, in a form that adds up over processes.

Locust's own table rounds a time to two digits, to milliseconds at best. Here a time falls into one
of many narrow buckets (2 % wide): quantiles of merged tallies are those of all times together,
within 1 %.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

_PER_E = 50  # buckets for each factor of e: each is 2 % wider than the one before
_LEAST_MS = 0.01

Buckets = Counter[int]


def bucket_of(seconds: float) -> int:
    """Return the bucket that a time falls into."""
    return math.floor(math.log(max(1e3 * seconds, _LEAST_MS)) * _PER_E)


def quantile_ms(buckets: Buckets, percent: float) -> float:
    """Return a quantile in milliseconds, within 1 %; 0 where there are no times."""
    wanted, seen = math.ceil(buckets.total() * percent / 100), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return math.exp((bucket + 0.5) / _PER_E)
    return 0.0


class Second:
    """What happened within one second of the wall clock."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.times: dict[str, Buckets] = {}

    def add(self, other: "Second") -> None:
        """Add what another process, or another second, has seen."""
        self.counts.update(other.counts)
        self.errors.update(other.errors)
        for what, buckets in other.times.items():
            self.times.setdefault(what, Counter()).update(buckets)

    @classmethod
    def together(cls, seconds: Iterable["Second"]) -> "Second":
        """Return many seconds as one."""
        whole = cls()
        for each in seconds:
            whole.add(each)
        return whole


class Tally:
    """Counts what is noted, by the second that it is noted in; grows by the second.

    Args:
        clock: The wall clock; all machines of a run must agree on it to a second.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.seconds: dict[int, Second] = {}
        self._clock = clock

    def took(self, what: str, seconds: float) -> None:
        """Note a time."""
        self._now().times.setdefault(what, Counter())[bucket_of(seconds)] += 1

    def counted(self, what: str, number: int = 1) -> None:
        """Note that something happened."""
        self._now().counts[what] += number

    def erred(self, code: str, number: int = 1) -> None:
        """Note what went wrong."""
        self._now().errors[code] += number

    def whole(self) -> Second:
        """Return all seconds as one."""
        return Second.together(self.seconds.values())

    def taken(self) -> dict[str, Any]:
        """Return all that was noted as plain data, and forget it."""
        seconds, self.seconds = self.seconds, {}
        return {
            str(at): {
                "counts": dict(each.counts),
                "errors": dict(each.errors),
                "times": {
                    what: {str(bucket): number for bucket, number in buckets.items()}
                    for what, buckets in each.times.items()
                },
            }
            for at, each in seconds.items()
        }

    def add(self, taken: dict[str, Any]) -> None:
        """Add what another tally gave away."""
        for at, told in taken.items():
            second = Second()
            second.counts.update(told["counts"])
            second.errors.update(told["errors"])
            second.times = {
                what: Counter({int(bucket): number for bucket, number in buckets.items()})
                for what, buckets in told["times"].items()
            }
            self.seconds.setdefault(int(at), Second()).add(second)

    def _now(self) -> Second:
        return self.seconds.setdefault(int(self._clock()), Second())
