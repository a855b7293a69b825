"""What conditions mean: the table, ours beside the vendor's, and what is ours alone."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from growthbook.core import evalCondition

from flags.conditions import compile_condition
from flags.errors import ConditionError
from flags.model import Attributes

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "conditions.json").read_text(encoding="utf-8")
)["cases"]

table = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])


def holds(condition: Mapping[str, object], attributes: Attributes) -> bool:
    """Say whether a condition that a later release may have written holds."""
    return compile_condition(condition, strict=False)(attributes)


@table
def test_a_condition_holds_for_whom_the_table_says(case: dict[str, Any]) -> None:
    groups = case.get("groups", {})

    meets = compile_condition(case["condition"], groups=groups, strict=False)

    assert meets(case["attributes"]) is case["expected"]


@table
def test_the_table_says_what_the_vendor_does(case: dict[str, Any]) -> None:
    groups = case.get("groups", {})

    assert evalCondition(case["attributes"], case["condition"], groups) is case["expected"]


@table
def test_a_condition_being_written_is_refused_where_the_table_says(case: dict[str, Any]) -> None:
    groups = case.get("groups", {})

    if "refused" in case:
        with pytest.raises(ConditionError) as refused:
            compile_condition(case["condition"], groups=groups)
        assert refused.value.path == case["refused"]
    else:
        meets = compile_condition(case["condition"], groups=groups)
        assert meets(case["attributes"]) is case["expected"]


def test_the_tables_cases_have_names_of_their_own() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) >= 150


@pytest.mark.parametrize("operator", ["$eq", "$lt", "$lte", "$gt", "$gte", "$in"])
@pytest.mark.parametrize("number", [5, math.nan])
def test_not_a_number_is_equal_to_nothing_and_in_no_order(operator: str, number: float) -> None:
    operand = [math.nan] if operator == "$in" else math.nan

    assert not holds({"n": {operator: operand}}, {"n": number})
    assert not holds({"n": {operator: [5] if operator == "$in" else 5}}, {"n": math.nan})


def test_numbers_that_json_cannot_write_are_null_inside_literals_as_in_javascript() -> None:
    assert holds({"n": [None, {"a": None}]}, {"n": [math.nan, {"a": math.inf}]})


@pytest.mark.parametrize("number", [10**400, -(10**400), math.inf, math.nan])
def test_a_number_beyond_all_doubles_is_a_version_of_its_own(number: float) -> None:
    assert holds({"n": {"$veq": number}}, {"n": number})
    assert not holds({"n": {"$veq": 1}}, {"n": number})


def test_a_name_of_thousands_of_digits_is_no_index() -> None:
    digits = "1" * 5_000

    assert holds({f"n.{digits}": None}, {"n": [1]})
    assert holds({"n": {digits: 1}}, {"n": {digits: 1}})


def test_a_segment_holds_where_its_predicate_does() -> None:
    segments = {"adults": compile_condition({"age": {"$gte": 18}})}

    meets = compile_condition({"$segment": "adults", "country": "NO"}, segments=segments)

    assert meets({"age": 18, "country": "NO"})
    assert not meets({"age": 17, "country": "NO"})
    assert not meets({"age": 18, "country": "SE"})


def test_one_of_several_segments_is_enough() -> None:
    segments = {name: compile_condition({"role": name}) for name in ("staff", "beta")}

    meets = compile_condition({"$segment": ["staff", "beta"]}, segments=segments)

    assert meets({"role": "staff"})
    assert meets({"role": "beta"})
    assert not meets({"role": "other"})


def test_whom_a_segment_leaves_out_its_negation_takes_in() -> None:
    segments = {"staff": compile_condition({"role": "staff"})}

    meets = compile_condition({"$nor": [{"$segment": "staff"}]}, segments=segments)

    assert meets({"role": "other"})
    assert not meets({"role": "staff"})


@pytest.mark.parametrize(
    "unknown",
    [
        {"$segment": "gone"},
        {"$segment": ["gone"]},
        {"$segment": []},
        {"$segment": 7},
        {"roles": {"$segment": "all"}},
        {"roles": {"$elemMatch": {"$segment": "all"}}},
        {"roles": {"$elemMatch": {"$or": [{"$segment": "all"}]}}},
    ],
)
def test_a_segment_that_is_not_understood_holds_for_nobody_even_negated(
    unknown: dict[str, object],
) -> None:
    segments = {"all": compile_condition({})}

    for condition in (unknown, {"$not": unknown}, {"$nor": [unknown]}):
        meets = compile_condition(condition, segments=segments, strict=False)
        assert not meets({"roles": [{"a": 1}]})


def test_a_known_segment_beside_an_unknown_one_still_holds() -> None:
    segments = {"staff": compile_condition({"role": "staff"})}

    meets = compile_condition({"$segment": ["gone", "staff"]}, segments=segments, strict=False)

    assert meets({"role": "staff"})
    assert not meets({"role": "other"})


@pytest.mark.parametrize(
    "part",
    [
        {"$not": 7},
        {"$or": 7},
        {"$or": {"a": 1}},
        {"$and": [7]},
        {"n": {"$elemMatch": 7}},
        {"n": {"$regex": "("}},
        {"n": {"$notRegex": "("}},
        {"n": {"$regexi": 7}},
        {"n": {"$notRegexi": None}},
        {"n": {"$near": [1, 2]}},
        {"$savedGroup": {"id": "g"}},
        {"$savedGroups": []},
        {"$later": {"$exists": False}},
        {"$later.name": None},
        {7: 1},
    ],
)
def test_divergence_2_a_part_that_is_not_understood_holds_for_nobody_even_negated(
    part: dict[str, object],
) -> None:
    attributes: Attributes = {"n": ["x"]}

    assert not holds(part, attributes)
    assert not holds({"$not": part}, attributes)
    assert not holds({"$nor": [part]}, attributes)
    assert not holds({"$not": {"$not": part}}, attributes)
    assert not holds({"$and": [part, {}]}, attributes)
    assert holds({"$or": [part, {}]}, attributes)
    assert holds({"$not": {"$and": [part, {"n": 1}]}}, attributes)


@pytest.mark.parametrize("condition", [None, 7, "a", ["a"], [{}]])
def test_what_is_no_condition_at_all_holds_for_nobody(condition: Any) -> None:
    assert not holds(condition, {})


def test_divergence_4_a_name_with_a_dollar_reads_the_attribute_only_where_there_is_one() -> None:
    condition = {"$not": {"$groups": "a"}}

    assert holds(condition, {"$groups": "b"})
    assert not holds(condition, {"$groups": "a"})
    assert not holds(condition, {})


def test_divergence_5_the_build_of_a_version_may_contain_line_breaks() -> None:
    assert holds({"app": {"$veq": "1.2.3"}}, {"app": "1.2.3+a\nb"})


def test_later_changes_of_a_condition_and_its_groups_have_no_effect() -> None:
    names, group, literal = ["a"], ["u1"], {"x": [1]}
    condition = {"n": {"$in": names}, "id": {"$inGroup": "g"}, "o": literal}
    meets = compile_condition(condition, groups={"g": group})

    names.append("b")
    group.clear()
    literal["x"].append(2)
    condition.clear()

    assert meets({"n": "a", "id": "u1", "o": {"x": [1]}})
    assert not meets({"n": "b", "id": "u1", "o": {"x": [1]}})


def test_a_group_of_ten_thousand_is_not_searched_one_by_one() -> None:
    asked: list[str] = []

    class Id(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            asked.append("eq")
            return super().__eq__(other)

        __hash__ = str.__hash__

    group = frozenset(f"u{n}" for n in range(10_000))
    meets = compile_condition({"id": {"$inGroup": "g"}}, groups={"g": group})

    assert meets({"id": Id("u9999")})
    assert not meets({"id": Id("none")})
    assert len(asked) < 10
