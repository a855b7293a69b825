"""What a rollout's plan must fulfil before it is started. Faults name the place and what to do."""

import math
from collections.abc import Mapping
from typing import cast

import msgspec

from flags.changes.validation import check_percentage
from flags.errors import FlagInvalidError
from flags.rollout.model import TTFT_T_S, Criteria, Plan

MAX_STAGES = 32
MAX_DURATION_S = 30 * 86_400.0
MAX_BETA = 0.5
MIN_ALARM, MAX_ALARM = 2.0, 50.0

_DURATIONS = ("bake_s", "final_bake_s", "cooldown_s", "incident_max_s")


def read_plan(document: Mapping[str, object], base: Plan) -> Plan:
    """Return a plan that a person described; what it leaves out is as in another one.

    Args:
        document: Fields of `Plan`, as JSON values.
        base: Has what is left out, also within `promote` and `roll_back`.

    Raises:
        FlagInvalidError: with the place of the first fault.
    """
    whole = _merged(msgspec.to_builtins(base), document, ())
    try:
        plan = msgspec.convert(whole, Plan)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        path = place.rstrip("`").lstrip(".").replace("[", ".").replace("]", "")
        raise FlagInvalidError(path, f"{reason[:1].lower()}{reason[1:]}") from None
    check_plan(plan)
    return plan


def check_plan(plan: Plan) -> None:
    """Refuse a plan that means nothing.

    Raises:
        FlagInvalidError: with the place of the first fault.
    """
    _check_stages(plan.stages)
    for index, stage in enumerate(plan.approval_at):
        if stage not in plan.stages:
            raise FlagInvalidError(f"approval_at.{index}", "must be one of the stages")
    for name in _DURATIONS:
        _check_within(getattr(plan, name), 0.0, MAX_DURATION_S, name)
    _check_above_0(plan.beta, MAX_BETA, "beta")
    _check_within(plan.alarm, MIN_ALARM, MAX_ALARM, "alarm")
    _check_above_0(plan.max_ttft_s, TTFT_T_S, "max_ttft_s")
    _check_criteria(plan)


def _check_stages(stages: tuple[float, ...]) -> None:
    if not 0 < len(stages) <= MAX_STAGES:
        raise FlagInvalidError("stages", f"takes 1 to {MAX_STAGES}")
    for index, stage in enumerate(stages):
        check_percentage(stage, f"stages.{index}")
        if stage <= (stages[index - 1] if index else 0):
            raise FlagInvalidError(f"stages.{index}", "must be above 0 and the stage before it")


def _check_criteria(plan: Plan) -> None:
    for name in ("promote", "roll_back"):
        criteria: Criteria = getattr(plan, name)
        for share in ("error_rate", "success_rate"):
            if not 0 < getattr(criteria, share) < 1:
                raise FlagInvalidError(f"{name}.{share}", "must be between 0 and 1")
        _check_above_0(criteria.ttft_s, TTFT_T_S, f"{name}.ttft_s")
    promote, roll_back = plan.promote, plan.roll_back
    if not promote.error_rate < roll_back.error_rate:
        raise FlagInvalidError("promote.error_rate", "must be below that of roll_back")
    if not promote.success_rate > roll_back.success_rate:
        raise FlagInvalidError("promote.success_rate", "must be above that of roll_back")
    if not promote.ttft_s < roll_back.ttft_s < plan.max_ttft_s:
        raise FlagInvalidError(
            "promote.ttft_s", "must be below that of roll_back, and that below max_ttft_s"
        )


def _check_within(number: float, low: float, high: float, path: str) -> None:
    if not (math.isfinite(number) and low <= number <= high):
        raise FlagInvalidError(path, f"must be from {low:g} to {high:g}")


def _check_above_0(number: float, high: float, path: str) -> None:
    if not 0 < number <= high:
        raise FlagInvalidError(path, f"must be above 0 and at most {high:g}")


def _merged(
    base: Mapping[str, object], document: Mapping[str, object], path: tuple[str, ...]
) -> dict[str, object]:
    whole = dict(base)
    for name, value in document.items():
        if name not in base:
            raise FlagInvalidError(".".join((*path, name[:100])), "is not a known field")
        inner = base[name]
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            value = _merged(inner, cast("Mapping[str, object]", value), (*path, name))  # noqa: PLW2901
        whole[name] = value
    return whole
