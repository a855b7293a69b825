"""How often one may call: counted for each tier, told in the headers of every answer."""

import math
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from server.errors import ProblemError
from server.limits.base import Allowance, Rate, Windows
from server.limits.refusals import Refusals
from server.limits.subjects import Census, Subject, scaled
from server.limits.tiers import Tier

HEADERS = (
    "RateLimit",
    "RateLimit-Limit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "RateLimit-Reset",
)
"""The three that are widely read, and the two that replace them in the IETF's draft."""


class RateLimits:
    """Counts calls by tier.

    Args:
        windows: Counts; fails open.
        rates: Of each tier that is counted.
        census: Tells whom a call counts for.
        refusals: Told of refusals.
    """

    def __init__(
        self,
        windows: Windows,
        rates: Mapping[Tier, Rate],
        *,
        census: Census,
        refusals: Refusals,
    ) -> None:
        self._windows = windows
        self._rates = {tier: rate for tier, rate in rates.items() if rate.limit}
        self._census = census
        self._refusals = refusals

    async def admit(self, request: Request, tier: Tier) -> None:
        """Count a call, and put what is left on its answer.

        Raises:
            ProblemError: 429, more than its tier allows.
        """
        refused = await self._counted(request, tier)
        if refused is not None:
            raise _problem(refused[0])

    async def wait_s(self, request: Request, tier: Tier) -> float:
        """Count a call; return 0, or after how many seconds to try again. For event streams."""
        refused = await self._counted(request, tier)
        return 0.0 if refused is None else refused[1]

    async def left(self, request: Request, tier: Tier) -> Allowance | None:
        """Return what a tier leaves to the caller alone; None: any number."""
        rate = self._rates.get(tier)
        subjects = self._subjects(request, tier)
        if rate is None or not subjects:
            return None
        own = subjects[-1]
        return await self._windows.peek(own.key(f"rate:{tier}"), scaled(rate, own))

    def _subjects(self, request: Request, tier: Tier) -> tuple[Subject, ...]:
        census = self._census
        return census.strangers(request) if tier is Tier.AUTH else census.subjects(request)

    async def _counted(self, request: Request, tier: Tier) -> tuple[Allowance, float] | None:
        rate = self._rates.get(tier)
        if rate is None:
            return None
        tightest: Allowance | None = None
        for subject in self._subjects(request, tier):
            allowance = await self._windows.hit(subject.key(f"rate:{tier}"), scaled(rate, subject))
            if not allowance.is_granted:
                _show(request, tier, allowance)
                wait_s = self._refusals.note(tier.value, subject.name)
                return allowance, max(allowance.reset_s, wait_s)
            if tightest is None or allowance.remaining <= tightest.remaining:
                tightest = allowance
        if tightest is not None:
            _show(request, tier, tightest)
        return None


def _show(request: Request, tier: Tier, allowance: Allowance) -> None:
    headers: MutableHeaders = request.state.response_headers
    reset_s, rate = math.ceil(allowance.reset_s), allowance.rate
    headers["RateLimit-Limit"] = str(rate.limit)
    headers["RateLimit-Remaining"] = str(allowance.remaining)
    headers["RateLimit-Reset"] = str(reset_s)
    headers["RateLimit-Policy"] = f'"{tier}";q={rate.limit};w={rate.window_s}'
    headers["RateLimit"] = f'"{tier}";r={allowance.remaining};t={reset_s}'


def _problem(allowance: Allowance) -> ProblemError:
    wait_s, rate = max(1, math.ceil(allowance.reset_s)), allowance.rate
    return ProblemError(
        429,
        "rate_limited",
        f"That was more than {rate.limit} calls in {rate.window_s} s; wait {wait_s} s.",
        headers={"Retry-After": str(wait_s)},
    )
