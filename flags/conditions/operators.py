"""Operators that look at one value and hold no further conditions."""

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flags.conditions.patterns import pattern_test
from flags.conditions.place import Place, Test, always, negation, never
from flags.conditions.values import KINDS, container, is_number, is_plain, kind
from flags.conditions.versions import version_key

Builder = Callable[[object, Place], Test]
"""Makes an operator's test from its operand. Where GrowthBook gives a wrong operand a meaning, the
builder gives it too, after `Place.expect` has refused it in conditions that are being written."""

_Order = Callable[[Any, Any], bool]
"""One of the `operator` module's; it only ever meets two numbers, or two texts."""


def equals(operand: object) -> Test:
    """Return what holds for a value of the same type that is equal: never for arrays, objects."""
    if operand is None or isinstance(operand, bool):
        return lambda value: value is operand
    if is_number(operand):
        return lambda value: value == operand and not isinstance(value, bool)
    return partial(operator.eq, operand) if isinstance(operand, str) else never


def _equal(operand: object, place: Place) -> Test:
    place.expect(is_plain(operand), "takes one plain value; write arrays as {name: [...]} or $all")
    return equals(operand)


def _listed(operand: object, place: Place, *, ignore_case: bool = False) -> Test | None:
    if not isinstance(operand, list):
        place.expect(False, 'takes a list of values, as in {"$in": ["a", "b"]}')
        return None
    for index, value in enumerate(operand):
        if not is_plain(value):
            place.step(str(index)).expect(False, "can never match; list plain values only")
    return container(operand, ignore_case=ignore_case)


def _in(operand: object, place: Place, *, ignore_case: bool = False) -> Test:
    return _listed(operand, place, ignore_case=ignore_case) or never


def _not_in(operand: object, place: Place, *, ignore_case: bool = False) -> Test:
    listed = _listed(operand, place, ignore_case=ignore_case)
    return never if listed is None else negation(listed)


def _group(operand: object, place: Place) -> Test | None:
    if not isinstance(operand, str):
        place.expect(False, "takes the name of a group")
        return None
    groups = place.scope.groups
    place.expect(operand in groups, "names a group that does not exist; create it first")
    return container(groups.get(operand, ()))


def _in_group(operand: object, place: Place) -> Test:
    return _group(operand, place) or never


def _not_in_group(operand: object, place: Place) -> Test:
    group = _group(operand, place)
    return never if group is None else negation(group)


def _ordered(operand: object, place: Place, *, order: _Order) -> Test:
    if isinstance(operand, str):
        key = _units(operand)
        return lambda value: isinstance(value, str) and order(_units(value), key)
    place.expect(is_plain(operand) and is_number(operand), "takes a number or a string")
    if not is_number(operand):
        return never
    return lambda value: is_number(value) and order(value, operand)


def _units(text: str) -> bytes:
    # JavaScript orders strings by UTF-16 units: some characters above U+FFFF come before others.
    return text.encode("utf-16-be", "surrogatepass")


def _version(operand: object, place: Place, *, order: _Order) -> Test:
    is_text = isinstance(operand, str)
    place.expect(is_text or (is_plain(operand) and is_number(operand)), 'takes a version: "1.2.3"')
    mismatch = order is operator.ne
    if isinstance(operand, bool) or not isinstance(operand, str | int | float):
        return always if mismatch else never
    key = version_key(operand)

    def test(value: object) -> bool:
        # Booleans are neither; numbers and strings are not each other's versions.
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return mismatch
        return order(version_key(value), key) if isinstance(value, str) is is_text else mismatch

    return test


def _exists(operand: object, place: Place) -> Test:
    place.expect(isinstance(operand, bool), "takes true or false")
    wanted = bool(operand)
    return lambda value: (value is not None) is wanted


def _type(operand: object, place: Place) -> Test:
    place.expect(operand in KINDS, f"takes one of {', '.join(KINDS)}")
    return lambda value: kind(value) == operand


def _not_equal(operand: object, place: Place) -> Test:
    return negation(_equal(operand, place))


OPERATORS: Mapping[str, Builder] = {
    "$eq": _equal,
    "$ne": _not_equal,
    "$in": _in,
    "$nin": _not_in,
    "$ini": partial(_in, ignore_case=True),
    "$nini": partial(_not_in, ignore_case=True),
    "$inGroup": _in_group,
    "$notInGroup": _not_in_group,
    "$lt": partial(_ordered, order=operator.lt),
    "$lte": partial(_ordered, order=operator.le),
    "$gt": partial(_ordered, order=operator.gt),
    "$gte": partial(_ordered, order=operator.ge),
    "$veq": partial(_version, order=operator.eq),
    "$vne": partial(_version, order=operator.ne),
    "$vlt": partial(_version, order=operator.lt),
    "$vlte": partial(_version, order=operator.le),
    "$vgt": partial(_version, order=operator.gt),
    "$vgte": partial(_version, order=operator.ge),
    "$exists": _exists,
    "$type": _type,
    "$regex": partial(pattern_test, wanted=True, ignore_case=False),
    "$regexi": partial(pattern_test, wanted=True, ignore_case=True),
    "$notRegex": partial(pattern_test, wanted=False, ignore_case=False),
    "$notRegexi": partial(pattern_test, wanted=False, ignore_case=True),
}
