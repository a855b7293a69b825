"""JSON values as GrowthBook compares them: of one type or not at all, and by their JSON text."""

import math
from collections.abc import Callable, Collection, Mapping

_TYPES: Mapping[type | tuple[type, ...], str] = {
    type(None): "null",
    bool: "boolean",  # before the numbers, among which Python counts it
    (int, float): "number",
    str: "string",
    list: "array",
    dict: "object",
}

KINDS = tuple(_TYPES.values())

_MAX_INDEX_DIGITS = 10
_MAX_INDEX = 2**32 - 1


def kind(value: object) -> str:
    """Return the value's type as JSON calls it, one of `KINDS`."""
    return next((name for types, name in _TYPES.items() if isinstance(value, types)), "unknown")


def is_number(value: object) -> bool:
    """Say whether it is a number: Python counts booleans among them, JSON does not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: object) -> bool:
    """Say whether it is a number of things: whole, and not below zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value >= 0 and (isinstance(value, int) or value.is_integer())


def is_plain(value: object) -> bool:
    """Say whether it is one value that JSON can write, not an array nor an object."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def same(a: object, b: object) -> bool:
    """Say whether two values are written alike in JSON, and so are of one type.

    The order of an object's names counts, as in the text that JavaScript would write.
    """
    if isinstance(a, dict):
        return (
            isinstance(b, dict)
            and _names(a) == _names(b)
            and all(same(_written(a[name]), _written(b[name])) for name in a)
        )
    if isinstance(a, list):
        return (
            isinstance(b, list)
            and len(a) == len(b)
            and all(same(_written(x), _written(y)) for x, y in zip(a, b, strict=True))
        )
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _names(value: Mapping[str, object]) -> list[str]:
    # JavaScript puts names that could be indexes first, by number, and keeps the others' order.
    return sorted(value, key=lambda name: int(name) if _is_index(name, _MAX_INDEX) else math.inf)


def _written(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_index(name: str, length: int) -> bool:
    # The length first: int() refuses thousands of digits.
    if len(name) > _MAX_INDEX_DIGITS or not (name.isascii() and name.isdigit()):
        return False
    return (name == "0" or name[0] != "0") and int(name) < length


def reader(path: str) -> Callable[[Mapping[str, object]], object]:
    """Return what reads the value at a dotted path: None where there is none."""
    first, *others = path.split(".")
    if not others:
        return lambda attributes: attributes.get(first)
    steps = tuple(others)

    def read(attributes: Mapping[str, object]) -> object:
        value = attributes.get(first)
        for name in steps:
            value = _inside(value, name)
        return value

    return read


def _inside(value: object, name: str) -> object:
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list):
        if name == "length":
            return len(value)
        if _is_index(name, len(value)):
            return value[int(name)]
    return None


def fields(element: object) -> Mapping[str, object]:
    """Return an array's element as attributes: what a path can reach in it."""
    if isinstance(element, dict):
        return element
    if isinstance(element, list):
        return {"length": len(element)} | {str(n): value for n, value in enumerate(element)}
    return {}


def container(values: Collection[object], *, ignore_case: bool = False) -> Callable[[object], bool]:
    """Return what says whether a value, or any element of an array, is among these.

    Arrays and objects are never among them; booleans and numbers are told apart.
    """
    booleans = frozenset(value for value in values if isinstance(value, bool))
    others = _others(values, ignore_case=ignore_case)

    def has(value: object) -> bool:
        if ignore_case and isinstance(value, str):
            value = value.lower()
        try:
            return value in (booleans if isinstance(value, bool) else others)
        except TypeError:  # an array or an object, which has no hash
            return False

    def contains(value: object) -> bool:
        return any(map(has, value)) if isinstance(value, list) else has(value)

    return contains


def _others(values: Collection[object], *, ignore_case: bool) -> frozenset[object]:
    if ignore_case:
        values = [value.lower() if isinstance(value, str) else value for value in values]
    elif isinstance(values, frozenset) and all(isinstance(value, str) for value in values):
        return values  # groups are large, and many conditions share one
    return frozenset(v for v in values if is_plain(v) and not isinstance(v, bool))
