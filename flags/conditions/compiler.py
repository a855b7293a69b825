"""From a condition, which is JSON, to a predicate: everything that can be decided is decided here.

Undecided parts would need a third truth value. They get it for free: each counts as what makes the
whole condition false, which only depends on how many negations stand above it (`Place.doubt`).
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeGuard

from flags.conditions.operators import OPERATORS, Builder, equals
from flags.conditions.patterns import MAX_PROGRAM
from flags.conditions.place import (
    Place,
    Predicate,
    Scope,
    Test,
    all_of,
    always,
    any_of,
    negation,
    never,
    part,
)
from flags.conditions.values import fields, is_count, is_plain, reader, same
from flags.errors import ConditionError

_NOTHING: Mapping[str, Predicate] = MappingProxyType({})
_NO_GROUPS: Mapping[str, Collection[object]] = MappingProxyType({})


def compile_condition(
    condition: Mapping[str, object],
    *,
    segments: Mapping[str, Predicate] = _NOTHING,
    groups: Mapping[str, Collection[object]] = _NO_GROUPS,
    strict: bool = True,
) -> Predicate:
    """Return a predicate that says whether attributes meet a condition.

    The predicate never raises, waits or does I/O for attributes of JSON values, as long as the
    segments' predicates do not. Later changes of the condition and the groups have no effect on it.

    Args:
        condition: JSON, as `json.loads` gives it. An empty one holds for everybody.
        segments: What `$segment` names.
        groups: What `$inGroup` and `$notInGroup` name; an absent one is empty.
        strict: Refuse what is not understood or cannot be meant: for conditions that are being
            written. Else what is not understood holds for nobody: for those of a later release.

    Raises:
        ConditionError: strictly only; says where, and what to do.
    """
    scope = Scope(segments, groups, strict=strict, program_left=MAX_PROGRAM)
    try:
        return _condition(condition, Place(scope))
    except ConditionError:
        if strict:
            raise
        return never


def _condition(operand: object, place: Place) -> Predicate:
    if not isinstance(operand, Mapping):
        raise place.fault('takes a condition, as in {"country": "NO"}')
    return all_of([part(_entry, value, place, name) for name, value in operand.items()])


def _entry(operand: object, place: Place) -> Predicate:
    combine = _COMBINERS.get(place.name)
    if combine is not None:
        return combine(operand, place)
    if place.name.startswith("$"):
        return _unknown(operand, place)
    return _attribute(operand, place)


def _attribute(operand: object, place: Place) -> Predicate:
    read, test = reader(place.name), _value(operand, place)
    return always if test is always else lambda attributes: test(read(attributes))


def _unknown(operand: object, place: Place) -> Predicate:
    known = ", ".join(_COMBINERS)
    place.expect(False, f"is no operator around conditions; there are {known}")
    # Divergence 4: an attribute's name, or a later release's operator.
    holds, first, doubt = _attribute(operand, place), place.name.partition(".")[0], place.doubt
    return lambda attributes: holds(attributes) if first in attributes else doubt


def _members(operand: object, place: Place) -> list[Predicate]:
    if not isinstance(operand, list):
        raise place.fault('takes a list of conditions, as in [{"country": "NO"}, {"age": 7}]')
    return [part(_condition, member, place, str(n)) for n, member in enumerate(operand)]


def _and(operand: object, place: Place) -> Predicate:
    return all_of(_members(operand, place))


def _or(operand: object, place: Place) -> Predicate:
    members = _members(operand, place)
    return any_of(members) if members else always


def _nor(operand: object, place: Place) -> Predicate:
    return negation(_or(operand, place.negated()))


def _not(operand: object, place: Place) -> Predicate:
    return negation(_condition(operand, place.negated()))


def _segments(operand: object, place: Place) -> Predicate:
    if "$elemMatch" in place.path:
        raise place.fault("works on the unit's attributes, not on an element's")
    if isinstance(operand, str):
        return _segment(operand, place)
    if not isinstance(operand, list) or not operand:
        raise place.fault("takes the name of a segment, or a list of at least one")
    return any_of([part(_segment, name, place, str(n)) for n, name in enumerate(operand)])


def _segment(operand: object, place: Place) -> Predicate:
    segment = place.scope.segments.get(operand) if isinstance(operand, str) else None
    if segment is None:
        raise place.fault("names a segment that does not exist; create it first")
    return segment


_COMBINERS: Mapping[str, Callable[[object, Place], Predicate]] = {
    "$and": _and,
    "$or": _or,
    "$nor": _nor,
    "$not": _not,
    "$segment": _segments,
}


def _value(operand: object, place: Place) -> Test:
    if _has_operators_only(operand):
        return all_of([part(_operator, value, place, name) for name, value in operand.items()])
    return _literal(operand, place)


def _has_operators_only(operand: object) -> TypeGuard[dict[str, object]]:
    # An empty object has no operator that could fail: it holds for every value.
    return isinstance(operand, dict) and all(str(name).startswith("$") for name in operand)


def _literal(operand: object, place: Place) -> Test:
    expected = _copied(operand, place)
    if isinstance(expected, dict | list):
        return lambda value: same(expected, value)
    return equals(expected)


def _copied(operand: object, place: Place) -> object:
    if isinstance(operand, dict):
        is_literal = not any(str(name).startswith("$") for name in operand)
        place.expect(
            is_literal, "mixes operators into a literal; write a.b: {...} for what is inside"
        )
        return {name: _copied(value, place.step(name)) for name, value in operand.items()}
    if isinstance(operand, list):
        return [_copied(value, place.step(str(n))) for n, value in enumerate(operand)]
    place.expect(is_plain(operand), "is not a JSON value")
    return operand


def _operator(operand: object, place: Place) -> Test:
    build = OPERATORS.get(place.name) or _NESTED.get(place.name)
    if build is not None:
        return build(operand, place)
    if place.name in _AROUND_CONDITIONS:
        place.expect(False, "stands around conditions, not behind an attribute; move it outside")
        return never
    raise place.fault(f"is no operator; there are {', '.join((*OPERATORS, *_NESTED))}")


def _not_value(operand: object, place: Place) -> Test:
    return negation(_value(operand, place.negated()))


def _elements(operand: object, place: Place) -> Test:
    test = _element(operand, place)

    def match(value: object) -> bool:
        if not isinstance(value, list):
            return False
        return any(element is not None and test(element) for element in value)

    return match


def _element(operand: object, place: Place) -> Test:
    if _has_operators_only(operand) and _AROUND_ELEMENTS.isdisjoint(operand):
        return _value(operand, place)
    meets = _condition(operand, place)
    return lambda element: meets(fields(element))


def _size(operand: object, place: Place) -> Test:
    is_size = is_count(operand)
    place.expect(is_size or _has_operators_only(operand), "takes a number, or operators on one")
    test = _value(operand, place)
    return lambda value: isinstance(value, list) and test(len(value))


def _all(operand: object, place: Place, *, ignore_case: bool = False) -> Test:
    if not isinstance(operand, list):
        place.expect(False, "takes a list of what the array must contain")
        return never
    build = _folded_value if ignore_case else _value
    tests = [part(build, member, place, str(n)) for n, member in enumerate(operand)]
    return lambda value: isinstance(value, list) and all(any(map(t, value)) for t in tests)


def _folded_value(operand: object, place: Place) -> Test:
    if not isinstance(operand, str):
        return _value(operand, place)
    folded = operand.lower()
    return lambda value: isinstance(value, str) and value.lower() == folded


_NESTED: Mapping[str, Builder] = {
    "$not": _not_value,
    "$elemMatch": _elements,
    "$size": _size,
    "$all": _all,
    "$alli": partial(_all, ignore_case=True),
}

_AROUND_CONDITIONS = frozenset({"$and", "$or", "$nor", "$savedGroup"})
"""Known to GrowthBook, but never fulfilled behind an attribute."""

_AROUND_ELEMENTS = _AROUND_CONDITIONS | {"$segment"}
