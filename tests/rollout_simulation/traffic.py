"""Requests of two arms as they might come: Poisson arrivals, errors, log-normal first tokens.

Requests are independent of each other, and every one is of another user.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from flags.rollout.counters import NOTHING_COUNTED, TTFT_BINS, Counters
from flags.rollout.model import FAILING_USERS_KEPT, TTFT_T_S

_AHEAD = 64
_US = 1e6

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """What becomes of a request of one arm.

    `amiss` are completed, but not as they should be. `ttft_s` is the mean of what comes at all, as
    it is counted: what is above T is T. Of the errors `tokenless` never gave a token.
    """

    error: float = 0.005
    amiss: float = 0.0
    ttft_s: float = 0.6
    sigma: float = 0.8
    cancelled: float = 0.01
    tokenless: float = 0.0


@dataclass(frozen=True)
class Tick:
    """What came in one tick of each arm."""

    on: Counters
    off: Counters


Laws = Callable[[float], tuple[Law, Law]]
"""What holds for the arm that is rolled out, and for control, at a time in seconds."""


def always(on: Law, off: Law | None = None) -> Laws:
    """Return laws that never change; control's is that of a healthy service where not given."""
    both = on, off if off is not None else Law()
    return lambda _now: both


class Traffic:
    """A service's requests, tick after tick.

    Args:
        rng: Where chance comes from.
        rate: Requests of both arms together, in a second.
        laws: What becomes of them.
        tick_s: Seconds of a tick.
        dealt: Of the users that should have the flag, the share that is counted at all.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        rate: float,
        laws: Laws,
        tick_s: float = 5.0,
        dealt: float = 1.0,
    ) -> None:
        self.now = 0.0
        self.tick_s = tick_s
        self._rng = rng
        self._rate = rate
        self._laws = laws
        self._dealt = dealt
        self._drawn: list[Tick] = []
        self._drawn_for: tuple[float, tuple[Law, Law]] | None = None

    def tick(self, percentage: float) -> Tick:
        """Return what comes in the next tick."""
        wanted = percentage, self._laws(self.now)
        if wanted != self._drawn_for or not self._drawn:
            self._drawn_for = wanted
            self._drawn = self._draw(percentage / 100, *wanted[1])
        self.now += self.tick_s
        return self._drawn.pop()

    def _draw(self, share: float, on: Law, off: Law) -> list[Tick]:
        arms = (
            self._arm(self._rate * share * self._dealt, on),
            self._arm(self._rate * (1 - share), off),
        )
        return [Tick(one, two) for one, two in zip(*arms, strict=True)]

    def _arm(self, rate: float, law: Law) -> list[Counters]:
        if rate <= 0:
            return [NOTHING_COUNTED] * _AHEAD
        rng = self._rng
        begun = rng.poisson(rate * self.tick_s, _AHEAD)
        cancelled = rng.binomial(begun, law.cancelled)
        n = begun - cancelled
        errors = rng.binomial(n, law.error)
        amiss = rng.binomial(n - errors, law.amiss)
        tokenless = rng.binomial(errors, law.tokenless)
        shares, means_us = _bins(law.ttft_s, law.sigma)
        ttft = rng.multinomial(n - tokenless, shares)
        ttft_us = (ttft @ means_us).astype(np.int64) + tokenless * round(TTFT_T_S * _US)
        ttft[:, -1] += tokenless
        columns = zip(
            n.tolist(),
            errors.tolist(),
            amiss.tolist(),
            cancelled.tolist(),
            map(tuple, ttft.tolist()),
            ttft_us.tolist(),
            begun.tolist(),
            strict=True,
        )
        return [
            Counters(n, e, e + a, c, bins, us, min(e + a, FAILING_USERS_KEPT), users)
            for n, e, a, c, bins, us, users in columns
        ]


def added(so_far: Counters, more: Counters) -> Counters:
    """Return both together: as `plus`, and failing users are told apart as far as they are kept."""
    both = so_far.plus(more)
    return Counters(
        both.n,
        both.errors,
        both.non_success,
        both.cancelled,
        both.ttft,
        both.ttft_us,
        min(both.failing_users, FAILING_USERS_KEPT),
        both.users,
    )


@lru_cache(maxsize=64)
def _bins(mean_s: float, sigma: float) -> tuple[Floats, Floats]:
    """Return the chance of each bin, and the mean of what falls in it, in microseconds."""
    low, high = -10.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        shares, means = _log_normal(middle, sigma)
        low, high = (middle, high) if float(shares @ means) < mean_s else (low, middle)
    shares, means = _log_normal(high, sigma)
    return shares, means * _US


def _log_normal(mu: float, sigma: float) -> tuple[Floats, Floats]:
    """Return the same for a log-normal law of these parameters, in seconds."""
    below = np.array([_phi(edge, mu, sigma) for edge, _ in TTFT_BINS] + [1.0])
    part = np.array([_phi(edge, mu + sigma**2, sigma) for edge, _ in TTFT_BINS])
    whole = math.exp(mu + sigma**2 / 2)
    top = TTFT_BINS[-1][1]
    in_bins = np.append(np.diff(part), _phi(top, mu + sigma**2, sigma) - part[-1]) * whole
    in_bins[-1] += top * (1 - _phi(top, mu, sigma))
    shares = np.diff(below)
    return shares / shares.sum(), np.divide(in_bins, shares, where=shares > 0, out=in_bins * 0)


def _phi(edge: float, mu: float, sigma: float) -> float:
    if edge <= 0:
        return 0.0
    return (1 + math.erf((math.log(edge) - mu) / (sigma * math.sqrt(2)))) / 2
