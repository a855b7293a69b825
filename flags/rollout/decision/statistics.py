"""The tests that a rollout is judged by: each is a sum over requests, in natural logarithms. Pure.

A gate is an e-value against the threshold that rolls back: while a metric is that bad, the chance
that it ever reaches 1/beta is at most beta, however often it is looked at (Ville's inequality).
What it says is a function of what was counted, never of how often it was looked at.

Sources: Ramdas et al., «Game-theoretic statistics and safe anytime-valid inference»; Waudby-Smith
and Ramdas, «Estimating means of bounded random variables by betting»; Shin, Ramdas and Rinaldo,
«E-detectors».
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, lgamma, log, log1p
from operator import mul

from flags.rollout.counters import TTFT_BINS
from flags.rollout.model import TTFT_T_S, Criteria, Plan

_GATE_ERRORS = (0.05, 0.25, 0.5, 1.0)
_GATE_NON_SUCCESS = (0.1, 0.4, 0.6, 1.0)
"""Alternatives of the gates as multiples of the threshold that promotes."""

_ALARM_ERRORS = (1.0, 1.5, 2.5, 5.0, 15.0, 45.0)
_ALARM_NON_SUCCESS = (1.0, 2.0, 4.0, 9.0)
"""Alternatives of the detectors as multiples of the threshold that rolls back."""

_GATE_STAKES = (0.25, 0.5, 0.9)
_ALARM_STAKES = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Shares of the wealth that are bet on first-token times; below 1, so that it is never lost."""

RATE_RATIOS = (1.5, 2.0, 4.0, 10.0, 30.0)
"""Alternatives of the relative test: so many times as many failures as in the control arm."""

_LEAST_SHARE = 1e-6

SRM_ALARM = log(1000.0)
"""A mismatch of samples is told at an e-value of 1000: a false alarm in 1000 stages at most."""

_SRM_KAPPA = 1000.0
_SRM_LOSS = 0.1


@dataclass(frozen=True, slots=True)
class ShareWeights:
    """What a failure and a success add to each alternative's logarithm, for shares of requests.

    The gate takes `needs` requests when the share is exactly what promotes, `least` without any
    failure.
    """

    gate: tuple[tuple[float, float], ...]
    alarm: tuple[tuple[float, float], ...]
    needs: int
    least: int


@dataclass(frozen=True, slots=True)
class TtftWeights:
    """What a request in each bin adds to each stake's logarithm.

    The gate takes `needs` requests that are all as late as what promotes, `least` if none takes any
    time.
    """

    gate: tuple[tuple[float, ...], ...]
    alarm: tuple[tuple[float, ...], ...]
    needs: int
    least: int


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one plan. `target` is what a gate's logarithm must reach."""

    error: ShareWeights
    non_success: ShareWeights
    ttft: TtftWeights
    target: float


@lru_cache(maxsize=64)
def weights_of(plan: Plan) -> Weights:
    """Return the weights that follow from the thresholds of a plan."""
    target = -log(plan.beta)
    return Weights(
        error=_share_weights(
            (plan.promote.error_rate, plan.roll_back.error_rate),
            (_GATE_ERRORS, _ALARM_ERRORS),
            target,
        ),
        non_success=_share_weights(
            (non_success(plan.promote), non_success(plan.roll_back)),
            (_GATE_NON_SUCCESS, _ALARM_NON_SUCCESS),
            target,
        ),
        ttft=_ttft_weights(plan, target),
        target=target,
    )


def non_success(criteria: Criteria) -> float:
    """Return the share of requests without success at a threshold of success."""
    return round(1 - criteria.success_rate, 9)


def log_mean_exp(logs: Sequence[float]) -> float:
    """Return the logarithm of the mean of what these are logarithms of."""
    most = max(logs)
    return most + log(sum(map(exp, [each - most for each in logs])) / len(logs))


def share_logs(steps: Iterable[tuple[float, float]], n: int, failures: int) -> list[float]:
    """Return each alternative's logarithm after n requests."""
    return [failures * failed + (n - failures) * passed for failed, passed in steps]


def ttft_logs(steps: Iterable[Sequence[float]], counts: Sequence[int]) -> list[float]:
    """Return each stake's logarithm after what was counted in the bins."""
    return [sum(map(mul, counts, weights)) for weights in steps]


def need_more(logs: Sequence[float], growth: Sequence[float], target: float) -> int | None:
    """Return how many more requests take a gate to its target; None: at this growth none do.

    A little too many: each alternative is asked whether it would do alone.
    """
    alone = target + log(len(logs))
    needs = [(alone - at) / each for at, each in zip(logs, growth, strict=True) if each > 0]
    return max(0, ceil(min(needs))) if needs else None


def relative_step(ratio: float, on: tuple[int, int], off: tuple[int, int]) -> float:
    """Return the evidence in one tick that `on` fails `ratio` times as often as `off`.

    Given a failure, which arm is it of? Exact where failures are rare, else on the safe side.

    Args:
        ratio: The alternative; the null hypothesis is 1.
        on: Requests and failures of the arm in question.
        off: The same of the other arm.
    """
    requests = on[0] + off[0]
    if not requests:
        return 0.0
    share = on[0] / requests
    scale = log(share * ratio + 1 - share)
    return on[1] * log(ratio) - (on[1] + off[1]) * scale


def srm_evidence(on: int, off: int, share: float) -> float:
    """Return the logarithm of the evidence that users were not dealt at this share.

    A mixture of beta distributions round the share; 0 at a share of 0 or 1, where nothing is dealt.
    """
    if not 0 < share < 1:
        return 0.0
    on_prior, off_prior = _SRM_KAPPA * share, _SRM_KAPPA * (1 - share)
    mixed = _log_beta(on_prior + on, off_prior + off) - _log_beta(on_prior, off_prior)
    return mixed - on * log(share) - off * log1p(-share)


def srm_has_power(users: int, share: float) -> bool:
    """Whether the loss of a tenth of an arm's users would be told with so many dealt by now."""
    on = users * share
    return srm_evidence(round(on * (1 - _SRM_LOSS)), round(users - on), share) >= SRM_ALARM


def _log_beta(one: float, two: float) -> float:
    return lgamma(one) + lgamma(two) - lgamma(one + two)


def _share_weights(
    thresholds: tuple[float, float],
    multiples: tuple[tuple[float, ...], tuple[float, ...]],
    target: float,
) -> ShareWeights:
    good, bad = (min(max(each, _LEAST_SHARE), 1 - _LEAST_SHARE) for each in thresholds)
    # Alternatives stay below 1, and distinct: 0.9 at the usual thresholds.
    most = 1 - (1 - bad) / 10
    gate = tuple(_ratio(good * each, bad) for each in multiples[0])
    alarm = sorted({min(bad * each, most) for each in multiples[1]})
    growth = [good * failed + (1 - good) * passed for failed, passed in gate]
    return ShareWeights(
        gate=gate,
        alarm=tuple(_ratio(each, good) for each in alarm),
        needs=_from_none(growth, target),
        least=_from_none([passed for _, passed in gate], target),
    )


def _from_none(growth: Sequence[float], target: float) -> int:
    return need_more((0.0,) * len(growth), growth, target) or 0


def _ratio(alternative: float, null: float) -> tuple[float, float]:
    return log(alternative / null), log1p(-alternative) - log1p(-null)


def _ttft_weights(plan: Plan, target: float) -> TtftWeights:
    good, bad = plan.promote.ttft_s, plan.roll_back.ttft_s
    most = min(plan.max_ttft_s, TTFT_T_S)
    edges = [(min(low, most), min(high, most)) for low, high in TTFT_BINS]

    # Each time is taken for the edge of its bin that speaks against the claim.
    def bet(stake: float, at: float) -> float:
        return log1p(stake * (bad - at) / (most - bad))

    gate = tuple(tuple(bet(stake, high) for _, high in edges) for stake in _GATE_STAKES)
    alarm = tuple(
        tuple(log1p(stake * (low - good) / good) for low, _ in edges) for stake in _ALARM_STAKES
    )
    return TtftWeights(
        gate=gate,
        alarm=alarm,
        needs=_from_none([bet(stake, good) for stake in _GATE_STAKES], target),
        least=_from_none([bet(stake, 0.0) for stake in _GATE_STAKES], target),
    )
