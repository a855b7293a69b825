"""What a flag must fulfil before it is stored. Faults name the place and what to do."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from flags.conditions import compile_condition
from flags.conditions.place import never
from flags.errors import ConditionError, FlagInvalidError
from flags.evaluate import MAX_ASKED, MAX_PREREQUISITE_DEPTH, answerable
from flags.model import Flag, FlagType, Rule, Ruleset, Segment, Serve

MAX_FLAGS = 1000
MAX_SEGMENTS = 1000
MAX_LISTED = 10_000
"""Units in an allow list, a deny list or a segment: more are a condition's work."""
MAX_DESCRIPTION_CHARS = 1000

_MAX_VARIANTS, _MAX_RULES, _MAX_UNIT_CHARS, _DECIMALS = 100, 100, 256, 3
_KEY = re.compile(r"[a-z0-9_-]{1,100}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_WHOLE = Decimal(100)
_SEGMENT_OPERATORS = frozenset({"$segment", "$inGroup", "$notInGroup"})
_OBJECTS: Mapping[FlagType, tuple[type, ...]] = {
    FlagType.BOOL: (bool,),
    FlagType.STRING: (str,),
    FlagType.NUMBER: (int, float),
    FlagType.OBJECT: (dict,),
}


def check_key(key: str) -> None:
    """Refuse a key that could not be told from its neighbours in a hash or an address.

    Raises:
        FlagInvalidError: not of `[a-z0-9_-]`, or too long.
    """
    if _KEY.fullmatch(key) is None:
        raise FlagInvalidError("key", "takes 1 to 100 characters of a-z, 0-9, _ and -")


def check_percentage(percentage: float, path: str) -> None:
    """Refuse what is no share of the units.

    Raises:
        FlagInvalidError: a bool, not finite, not within 0 and 100, or finer than 0.001.
    """
    if isinstance(percentage, bool) or not isinstance(percentage, int | float):
        raise FlagInvalidError(path, "must be a number")
    if not 0 <= percentage <= _WHOLE:
        raise FlagInvalidError(path, "must be from 0 to 100")
    if _exact(percentage) != round(_exact(percentage), _DECIMALS):
        raise FlagInvalidError(path, "takes at most 3 decimals")


def check_flag(flag: Flag, ruleset: Ruleset) -> None:
    """Refuse a flag that means nothing, within the ruleset that it is to join.

    Raises:
        FlagInvalidError: with the place of the first fault.
    """
    check_key(flag.key)
    _check_description(flag.description)
    _check_variants(flag)
    for path in ("off_variant", "default_variant"):
        _check_variant(getattr(flag, path), flag, path)
    if _NAME.fullmatch(flag.rollout.salt) is None:
        raise FlagInvalidError("rollout.salt", "takes 1 to 100 of A-Z, a-z, 0-9, _ and -")
    check_percentage(flag.rollout.percentage, "rollout.percentage")
    _check_serve(flag.rollout.serve, flag, "rollout.serve")
    _check_units(flag.allow, "allow")
    _check_units(flag.deny, "deny")
    _check_bound(flag.rules, _MAX_RULES, "rules")
    for index, rule in enumerate(flag.rules):
        _check_rule(rule, flag, ruleset, f"rules.{index}")
    _check_times(flag.schedule.starts_at, flag.schedule.ends_at)
    _check_prerequisites(flag, ruleset)


def check_kept(before: Ruleset, after: Ruleset) -> None:
    """Refuse a change that breaks what it leaves as it is, or that makes too many.

    What was at fault before the change is left alone: a later release may know what to make of it.

    Raises:
        FlagInvalidError: with the place in the flag that would break.
    """
    _check_number(before.flags, after.flags, MAX_FLAGS, "flags")
    _check_number(before.segments, after.segments, MAX_SEGMENTS, "segments")
    gone = before.segments.keys() - after.segments.keys()
    broken = set(answerable(before.flags)) - set(answerable(after.flags))
    for key, flag in after.flags.items():
        if flag is not before.flags.get(key):
            continue
        with _Within(f"flags.{key}"):
            _check_needs(flag, before, after)
            _check_unreferred(flag, gone)
            if key in broken:
                raise _unanswerable(flag, after.flags)


def check_segment(segment: Segment) -> None:
    """Refuse a segment that means nothing. Segments do not refer to each other.

    Raises:
        FlagInvalidError: with the place of the first fault.
    """
    if _KEY.fullmatch(segment.name) is None:
        raise FlagInvalidError("name", "takes 1 to 100 characters of a-z, 0-9, _ and -")
    _check_description(segment.description)
    _check_units(segment.include, "include")
    _check_units(segment.exclude, "exclude")
    if segment.when is not None:
        _check_condition(segment.when, Ruleset(), "when")


def check_change(before: Ruleset, after: Ruleset) -> None:
    """Refuse a change of many definitions if one that it brings means nothing, or breaks others.

    Raises:
        FlagInvalidError: its path begins with `flags.<key>` or `segments.<name>`.
    """
    for name, segment in after.segments.items():
        if segment is not before.segments.get(name):
            with _Within(f"segments.{name}"):
                check_segment(segment)
    for key, flag in after.flags.items():
        if flag is not before.flags.get(key):
            with _Within(f"flags.{key}"):
                check_flag(flag, after)
    check_kept(before, after)


class _Within:
    """Puts a place before the places of faults."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, FlagInvalidError):
            path = f"{self._path}.{error.path}".rstrip(".")
            raise type(error)(path, error.reason) from None


def _check_description(description: str) -> None:
    if len(description) > MAX_DESCRIPTION_CHARS:
        raise FlagInvalidError("description", f"takes at most {MAX_DESCRIPTION_CHARS} characters")


def _check_variants(flag: Flag) -> None:
    if not flag.variants:
        raise FlagInvalidError("variants", "must name at least one")
    _check_bound(flag.variants, _MAX_VARIANTS, "variants")
    kinds = _OBJECTS[flag.type]
    for name, value in flag.variants.items():
        if _NAME.fullmatch(name) is None:
            path = f"variants.{name[:100]}"
            raise FlagInvalidError(path, "needs a name of A-Z, a-z, 0-9, _ and -")
        is_kind = isinstance(value, kinds) and (flag.type == "bool" or not isinstance(value, bool))
        if not is_kind:
            raise FlagInvalidError(f"variants.{name}", f"must be a {flag.type.value}")


def _check_variant(variant: str, flag: Flag, path: str) -> None:
    if variant not in flag.variants:
        known = ", ".join(list(flag.variants)[:10])
        raise FlagInvalidError(path, f"must be one of the flag's variants ({known})")


def _check_serve(serve: Serve, flag: Flag, path: str) -> None:
    if not serve:
        raise FlagInvalidError(path, "must name at least one variant")
    for index, share in enumerate(serve):
        _check_variant(share.variant, flag, f"{path}.{index}.variant")
        check_percentage(share.weight, f"{path}.{index}.weight")
    if len({share.variant for share in serve}) < len(serve):
        raise FlagInvalidError(path, "names a variant twice")
    if sum(_exact(share.weight) for share in serve) != _WHOLE:
        raise FlagInvalidError(path, "has weights that do not add up to 100")


def _check_rule(rule: Rule, flag: Flag, ruleset: Ruleset, path: str) -> None:
    if len(rule.name) > MAX_DESCRIPTION_CHARS:
        raise FlagInvalidError(f"{path}.name", f"takes at most {MAX_DESCRIPTION_CHARS} characters")
    check_percentage(rule.percentage, f"{path}.percentage")
    _check_serve(rule.serve, flag, f"{path}.serve")
    _check_condition(rule.when, ruleset, f"{path}.when")


def _check_condition(when: Mapping[str, object], ruleset: Ruleset, path: str) -> None:
    try:
        compile_condition(
            when,
            segments=dict.fromkeys(ruleset.segments, never),
            groups=dict.fromkeys(ruleset.segments, frozenset()),
        )
    except ConditionError as error:
        raise ConditionError(f"{path}.{error.path}".rstrip("."), error.reason) from None


def _check_units(units: frozenset[str], path: str) -> None:
    _check_bound(units, MAX_LISTED, path)
    if any(not 0 < len(unit) <= _MAX_UNIT_CHARS for unit in units):
        raise FlagInvalidError(path, f"takes ids of 1 to {_MAX_UNIT_CHARS} characters")


def _check_bound(items: Iterable[object], bound: int, path: str) -> None:
    if sum(1 for _ in items) > bound:
        raise FlagInvalidError(path, f"takes at most {bound}")


def _check_times(starts_at: datetime | None, ends_at: datetime | None) -> None:
    for path, at in (("schedule.starts_at", starts_at), ("schedule.ends_at", ends_at)):
        if at is not None and at.tzinfo is None:
            raise FlagInvalidError(path, "needs a time zone, as in 2027-01-31T12:00:00Z")
    if starts_at and ends_at and starts_at >= ends_at:
        raise FlagInvalidError("schedule.ends_at", "must be after starts_at")


def _check_number(
    before: Mapping[str, object], after: Mapping[str, object], bound: int, path: str
) -> None:
    if len(after) > max(bound, len(before)):
        raise FlagInvalidError("", f"would be one too many: {bound} {path} are kept")


def _check_prerequisites(flag: Flag, ruleset: Ruleset) -> None:
    flags = {**ruleset.flags, flag.key: flag}
    for index, prerequisite in enumerate(flag.prerequisites):
        path = f"prerequisites.{index}"
        needed = flags.get(prerequisite.flag)
        if needed is None:
            raise FlagInvalidError(f"{path}.flag", "is not a flag that exists; create it first")
        if not prerequisite.variants:
            raise FlagInvalidError(f"{path}.variants", "must name at least one")
        for variant in prerequisite.variants:
            _check_variant(variant, needed, f"{path}.variants")
    if flag.key not in answerable(flags):
        raise _unanswerable(flag, flags)


def _check_needs(flag: Flag, before: Ruleset, after: Ruleset) -> None:
    """Refuse a change that takes from a flag another one, or a variant of it, that it asks for."""
    for index, prerequisite in enumerate(flag.prerequisites):
        path = f"prerequisites.{index}"
        was, needed = (each.flags.get(prerequisite.flag) for each in (before, after))
        if was is None or was is needed:
            continue
        if needed is None:
            raise FlagInvalidError(f"{path}.flag", "is this flag; remove the prerequisite first")
        for variant in prerequisite.variants:
            if variant in was.variants:
                _check_variant(variant, needed, f"{path}.variants")


def _check_unreferred(flag: Flag, gone: Collection[str]) -> None:
    for index, rule in enumerate(flag.rules):
        for name in sorted(set(gone).intersection(_segments_of(rule.when))):
            path = f"rules.{index}.when"
            raise FlagInvalidError(path, f"refers to the segment {name}; remove that first")


def _segments_of(condition: object) -> Iterator[str]:
    """Return what a condition names as segments; also where a later release would understand it."""
    left = [condition]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, Mapping):
            left += part.values()
            for name in _SEGMENT_OPERATORS & part.keys():
                named = part[name]
                yield from (each for each in _listed(named) if isinstance(each, str))


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _unanswerable(flag: Flag, flags: Mapping[str, Flag]) -> FlagInvalidError:
    circle = _circle(flag.key, flags)
    if circle:
        return FlagInvalidError("prerequisites", f"go in a circle: {' > '.join(circle)}")
    limits = f"{MAX_PREREQUISITE_DEPTH} flags, or ask more than {MAX_ASKED} in all"
    return FlagInvalidError("prerequisites", f"go deeper than {limits}")


def _circle(key: str, flags: Mapping[str, Flag]) -> tuple[str, ...]:
    """Return a way from a flag back to one that it led over; empty where there is none."""
    ways: list[tuple[str, ...]] = [(key,)]
    seen = {key}
    for way in ways:  # grows meanwhile: what is found later leads further
        needed = flags[way[-1]].prerequisites if way[-1] in flags else ()
        for prerequisite in needed:
            if prerequisite.flag == key:
                return (*way, key)
            if prerequisite.flag not in seen:
                seen.add(prerequisite.flag)
                ways.append((*way, prerequisite.flag))
    return ()


def _exact(number: float) -> Decimal:
    """Return the number that was written, 0.1 for 0.1."""
    return Decimal(repr(number))
