"""Between OpenFeature's words and ours: contexts in, details out. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import TypeVar, cast
from uuid import UUID

import msgspec
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.flag_evaluation import Reason as TheirReason

from flags.client import FLAG_NOT_FOUND
from flags.evaluate import UNIT_MISSING
from flags.model import NO_ATTRIBUTES, Attributes, Decision, Reason, Value

_T = TypeVar("_T")

Structure = Sequence[FlagValueType] | Mapping[str, FlagValueType]

_REASONS = {ours: TheirReason(ours.value.upper()) for ours in Reason}

_ERRORS = {
    FLAG_NOT_FOUND: (ErrorCode.FLAG_NOT_FOUND, "there is no such flag"),
    UNIT_MISSING: (
        ErrorCode.TARGETING_KEY_MISSING,
        "the flag is dealt to shares of the users: the context needs a targeting key",
    ),
}

_PLAIN = frozenset({str, int, float, bool, type(None)})


def asked(context: EvaluationContext | None) -> tuple[str, Attributes]:
    """Return the unit and the attributes of a context, as JSON values.

    Instants become text in UTC, to the millisecond and ending in Z, as the flags' own API shows
    them; one without a time zone is taken as UTC. What JSON has no form for is left out.
    """
    if context is None:
        return "", NO_ATTRIBUTES
    key = context.targeting_key
    unit = key if type(key) is str else "" if key is None else str(key)
    attributes = context.attributes
    for value in attributes.values():
        if type(value) not in _PLAIN:
            return unit, _object(attributes)
    return unit, attributes


def resolved(decision: Decision, value: _T) -> FlagResolutionDetails[_T]:
    """Return the details of a decision that gives this value."""
    return FlagResolutionDetails(
        value,
        None,
        None,
        _REASONS[decision.reason],
        decision.variant,
        {"version": decision.version, "epoch": decision.epoch},
    )


def refused(decision: Decision, default: _T, wanted: str) -> FlagResolutionDetails[_T]:
    """Return the details of a decision that gives no value of the wanted type: the default."""
    if decision.error is None:
        is_of = type(decision.value).__name__
        return failed(default, ErrorCode.TYPE_MISMATCH, f"the flag gives a {is_of}, no {wanted}")
    code, message = _ERRORS.get(decision.error, (ErrorCode.GENERAL, "the flag cannot be evaluated"))
    return failed(default, code, message)


def failed(default: _T, code: ErrorCode, message: str) -> FlagResolutionDetails[_T]:
    """Return the details of an answer that is only the caller's default."""
    return FlagResolutionDetails(default, code, message, TheirReason.ERROR)


def as_boolean(value: Value) -> bool | None:
    """Return the value if it is a boolean."""
    return value if isinstance(value, bool) else None


def as_string(value: Value) -> str | None:
    """Return the value if it is a string."""
    return value if isinstance(value, str) else None


def as_integer(value: Value) -> int | None:
    """Return the value if it is a whole number, also one that is written as 3.0."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_float(value: Value) -> float | None:
    """Return the value as a float if it is a number that a float can hold."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def as_structure(value: Value) -> Structure | None:
    """Return a copy of the value if it is an object or a list.

    A copy: whoever changes what it was given must not change what others get.
    """
    if not isinstance(value, dict | list):
        return None
    return cast("Structure", msgspec.to_builtins(value))


def _object(attributes: Mapping[str, object]) -> dict[str, object]:
    return {name: _json(value) for name, value in attributes.items() if _is_json(value)}


def _is_json(value: object) -> bool:
    kinds = (str, int, float, type(None), Mapping, list, tuple, set, frozenset, date, time, UUID)
    return isinstance(value, kinds)


def _json(value: object) -> object:
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(member) for member in value if _is_json(member)]
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _instant(at: datetime) -> str:
    try:
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:  # the first or the last day of the calendar, in another zone
        return at.isoformat(timespec="milliseconds")
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
