"""Other vendors' own bucketing, called in their installed packages: never a copy of it.

What is called is private to them, so that their next version may move it; the tests that use this
module then fail at once and say which.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from random import Random
from typing import Any

from growthbook.core import gbhash
from ldclient.context import Context
from ldclient.impl.evaluator_common import _bucket_context, _variation_index_for_context
from ldclient.impl.model.feature_flag import FeatureFlag
from posthog.feature_flags import _hash, match_feature_flag_properties

_SURROGATES = range(0xD800, 0xE000)


@dataclass(frozen=True)
class PosthogTable:
    """A flag, and what PostHog publishes for the ids `distinct_id_0`, `distinct_id_1`, ..."""

    flag: dict[str, Any]
    results: list[bool | str]

    @property
    def key(self) -> str:
        """The flag's key."""
        return str(self.flag["key"])

    @property
    def percentage(self) -> float:
        """The share of ids that are given the flag."""
        return float(self.flag["filters"]["groups"][0]["rollout_percentage"])

    @property
    def weights(self) -> dict[str, float]:
        """The variants in their order, and their shares of those who are given the flag."""
        variants = self.flag["filters"]["multivariate"]["variants"]
        return {one["key"]: one["rollout_percentage"] for one in variants}


def posthog_table(test: str) -> PosthogTable:
    """Read the literals of one of PostHog's consistency tests out of its installed package."""
    source = files("posthog").joinpath("test", "test_feature_flags.py").read_text("utf-8")
    methods = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    (method,) = (one for one in methods if one.name == test)
    assigned = {
        ast.unparse(line.targets[0]): ast.literal_eval(line.value)
        for line in method.body
        if isinstance(line, ast.Assign)
    }
    (flag,) = assigned["self.client.feature_flags"]
    return PosthogTable(flag, assigned["results"])


def posthog_value(key: str, unit: str, suffix: str = "") -> float:
    """Return where PostHog's hash puts the id, 0 to 1."""
    return _hash(key, unit, salt=suffix)


def posthog_decides(
    key: str, unit: str, percentage: float, weights: Sequence[float] = ()
) -> bool | str:
    """Return what PostHog answers for the id: in or out, or the position of its variant."""
    variants = [{"key": str(at), "rollout_percentage": each} for at, each in enumerate(weights)]
    groups = [{"properties": [], "rollout_percentage": percentage}]
    filters = {"groups": groups, "multivariate": {"variants": variants}}
    answer = match_feature_flag_properties(
        {"key": key, "filters": filters}, unit, {}, bucketing_value=unit
    )
    assert isinstance(answer, bool | str)
    return answer


def launchdarkly_value(key: str, salt: str, unit: str, seed: int | None = None) -> float:
    """Return where LaunchDarkly's hash puts the id (not empty), 0 to 1."""
    return _bucket_context(seed, Context.create(unit), None, key, salt, None)


def launchdarkly_includes(step: int, key: str, salt: str, unit: str) -> bool:
    """Say whether LaunchDarkly gives the first of two variations, of `step` weights of 100000."""
    weighted = [{"variation": 0, "weight": step}, {"variation": 1, "weight": 100_000 - step}]
    flag = FeatureFlag(
        {
            "key": key,
            "salt": salt,
            "version": 1,
            "variations": [True, False],
            "fallthrough": {"rollout": {"variations": weighted}},
        }
    )
    index, _ = _variation_index_for_context(flag, flag.fallthrough, Context.create(unit))
    assert index in {0, 1}
    return index == 0


def growthbook_v1_value(key: str, unit: str) -> float:
    """Return where GrowthBook's first hash puts the id, 0 to 1: known not to keep flags apart."""
    value = gbhash(key, unit, 1)
    assert value is not None
    return value


def hashable_text(dice: Random) -> str:
    """Return a string that the vendors can hash too: any characters but lone surrogates."""
    top = dice.choice((0x7F, 0x7FF, 0xFFFF, 0x10FFFF))
    codes = (dice.randint(0, top) for _ in range(dice.randint(1, 40)))
    return "".join("." if code in _SURROGATES else chr(code) for code in codes)
