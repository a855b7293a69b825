"""What is refused while a condition is being written: where, and what to do."""

import copy
import math
from datetime import UTC, datetime

import pytest

from flags.conditions import compile_condition
from flags.errors import ConditionError

MAX_LEVELS, MAX_NODES = 32, 1_000


@pytest.mark.parametrize(
    ("condition", "path", "reason"),
    [
        ({"age": {"$above": 18}}, "age.$above", "is no operator; there are $eq"),
        ({"$xor": [{"a": 1}]}, "$xor", "there are $and, $or, $nor, $not, $segment"),
        ({"$savedGroup": {"id": "g"}}, "$savedGroup", "$segment"),
        ({"a": {"$and": [1]}}, "a.$and", "move it outside"),
        ({"$or": {"a": 1}}, "$or", "takes a list of conditions"),
        ({"$or": [{"a": 1}, "b"]}, "$or.1", "takes a condition"),
        ({"$or": [{}, {"age": {"$gt": None}}]}, "$or.1.age.$gt", "takes a number or a string"),
        ({"$or": [{}, {"age": {"$gt": True}}]}, "$or.1.age.$gt", "takes a number or a string"),
        ({"$not": ["a"]}, "$not", "takes a condition"),
        ({"a": {"$in": "NO"}}, "a.$in", "takes a list of values"),
        ({"a": {"$nin": {"x": 1}}}, "a.$nin", "takes a list of values"),
        ({"a": {"$in": ["NO", ["SE"]]}}, "a.$in.1", "can never match"),
        ({"a": {"$eq": ["NO"]}}, "a.$eq", "one plain value"),
        ({"a": {"$eq": math.nan}}, "a.$eq", "one plain value"),
        ({"a": {"$lt": math.inf}}, "a.$lt", "takes a number or a string"),
        ({"a": math.inf}, "a", "is not a JSON value"),
        ({"a": [1, math.nan]}, "a.1", "is not a JSON value"),
        ({"a": datetime(2026, 1, 1, tzinfo=UTC)}, "a", "is not a JSON value"),
        ({"a": (1, 2)}, "a", "is not a JSON value"),
        ({"a": {"b": {"$gt": 1}}}, "a.b", "a.b"),
        ({"a": {"$exists": "yes"}}, "a.$exists", "true or false"),
        ({"a": {"$type": "bool"}}, "a.$type", "boolean, number, string"),
        ({"a": {"$size": -1}}, "a.$size", "takes a number"),
        ({"a": {"$size": 1.5}}, "a.$size", "takes a number"),
        ({"a": {"$size": math.inf}}, "a.$size", "takes a number"),
        ({"a": {"$size": None}}, "a.$size", "takes a number"),
        ({"a": {"$all": {"$gt": 1}}}, "a.$all", "takes a list"),
        ({"a": {"$all": [{"$above": 1}]}}, "a.$all.0.$above", "is no operator"),
        ({"a": {"$elemMatch": ["x"]}}, "a.$elemMatch", "takes a condition"),
        ({"a": {"$veq": ["1"]}}, "a.$veq", "takes a version"),
        ({"a": {"$vgt": False}}, "a.$vgt", "takes a version"),
        ({"a": {"$regex": "a(?=b)"}}, "a.$regex", "RE2"),
        ({"a": {"$regexi": "(a)\\1"}}, "a.$regexi", "RE2"),
        ({"a": {"$regex": "["}}, "a.$regex", "missing ]"),
        ({"a": {"$regex": "\ud800"}}, "a.$regex", "RE2"),
        ({"a": {"$regex": 5}}, "a.$regex", "takes a pattern as a string"),
        ({"a": {"$inGroup": "gone"}}, "a.$inGroup", "create it first"),
        ({"a": {"$notInGroup": ["g"]}}, "a.$notInGroup", "takes the name of a group"),
        ({"$segment": "gone"}, "$segment", "create it first"),
        ({"$segment": ["all", "gone"]}, "$segment.1", "create it first"),
        ({"$segment": []}, "$segment", "at least one"),
        ({"$segment": {"name": "all"}}, "$segment", "takes the name of a segment"),
        ({"a": {"$segment": "all"}}, "a.$segment", "is no operator"),
        ({"a": {"$elemMatch": {"$segment": "all"}}}, "a.$elemMatch.$segment", "not on an element"),
        ({7: 1}, "", "not a string"),
        ({"a": {"b": {7: 1}}}, "a.b", "not a string"),
        (["a"], "", "takes a condition"),
        (None, "", "takes a condition"),
    ],
)
def test_a_fault_is_refused_with_its_place_and_what_to_do(
    condition: object, path: str, reason: str
) -> None:
    segments = {"all": compile_condition({})}

    with pytest.raises(ConditionError) as refused:
        compile_condition(condition, segments=segments, groups={"g": []})  # type: ignore[arg-type]  # faults have any type

    assert refused.value.path == path
    assert reason in refused.value.reason
    assert refused.value.code == "condition_invalid"


def nested(levels: int) -> dict[str, object]:
    """Return a condition that is so many levels deep."""
    condition: dict[str, object] = {"a": 1}
    for _ in range(levels - 1):
        condition = {"$not": condition}
    return condition


def test_thirty_two_levels_are_taken_and_one_more_is_not() -> None:
    meets = compile_condition(nested(MAX_LEVELS))

    assert meets({"a": 2})  # one level is the attribute's: an odd number of negations is left
    assert not meets({"a": 1})
    with pytest.raises(ConditionError, match="more than 32 levels"):
        compile_condition(nested(MAX_LEVELS + 1))


@pytest.mark.parametrize("levels", [33, 34, 500, 900])
def test_what_is_too_deep_holds_for_nobody_when_loaded(levels: int) -> None:
    for attributes in ({"a": 1}, {"a": 2}, {}):
        assert not compile_condition(nested(levels), strict=False)(attributes)


def test_a_literal_that_is_too_deep_is_refused_and_equal_to_nothing() -> None:
    literal: list[object] = []
    for _ in range(40):
        literal = [literal]

    with pytest.raises(ConditionError, match="more than 32 levels"):
        compile_condition({"a": literal})
    assert not compile_condition({"a": literal}, strict=False)({"a": copy.deepcopy(literal)})
    assert not compile_condition({"a": {"$not": literal}}, strict=False)({"a": 1})


def test_a_thousand_names_and_members_are_taken_and_one_more_is_not() -> None:
    attributes = {f"a{n}": n for n in range(MAX_NODES)}

    assert compile_condition(attributes)(attributes)

    with pytest.raises(ConditionError, match="1000 names and members"):
        compile_condition(attributes | {"one": "more"})


@pytest.mark.parametrize(
    "condition",
    [
        {"$or": [{"a": n} for n in range(MAX_NODES)]},
        {"a": {"$all": list(range(MAX_NODES))}},
        {"a": list(range(MAX_NODES))},
    ],
)
def test_members_count_as_well(condition: dict[str, object]) -> None:
    with pytest.raises(ConditionError, match="1000 names and members"):
        compile_condition(condition)


def test_what_is_too_much_holds_for_nobody_when_loaded() -> None:
    condition = {"$not": {f"a{n}": n for n in range(MAX_NODES + 5)}}

    meets = compile_condition(condition, strict=False)

    assert not meets({f"a{n}": n for n in range(MAX_NODES)})


def test_a_list_of_plain_values_may_be_long() -> None:
    meets = compile_condition({"id": {"$in": [f"u{n}" for n in range(20_000)]}})

    assert meets({"id": "u19999"})


def test_a_place_is_shown_no_longer_than_a_line_or_two() -> None:
    with pytest.raises(ConditionError) as refused:
        compile_condition({"n" * 100_000: {"$above": 1}})

    assert len(str(refused.value)) < 1_000
