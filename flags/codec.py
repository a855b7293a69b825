"""Definitions as JSON, on the wire and in every store, and back.

Reading what a person wrote is strict: an unknown field is a fault. Reading a store is not: what a
later release adds is ignored, so that going back is safe.
"""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar, cast

import msgspec

from flags.errors import FlagInvalidError
from flags.model import AuditEntry, Flag, FlagType, Segment
from flags.rollout.model import GuardedRollout

Json = dict[str, object]
Definition = Flag | Segment | GuardedRollout

_T = TypeVar("_T")

WHOLE_WEIGHT = 100.0
MAX_LEVELS = 64
"""Of a definition: conditions are followed less deep, and so few levels never exhaust a stack."""
BOOL_VARIANTS: Mapping[str, object] = {"on": True, "off": False}

_KEPT_BY_US = frozenset({"version", "epoch", "updated_at"})
"""Sent back by whoever edits what was read; never taken from there."""


def flag_json(flag: Flag) -> Json:
    """Return a flag as the API shows it."""
    shown = _builtins(flag) | {"allow": sorted(flag.allow), "deny": sorted(flag.deny)}
    rollout = cast("Json", shown["rollout"])
    rollout |= {"percentage": _plain(flag.rollout.percentage), "serve": _serve(rollout["serve"])}
    for shown_rule, rule in zip(cast("list[Json]", shown["rules"]), flag.rules, strict=True):
        shown_rule |= {"percentage": _plain(rule.percentage), "serve": _serve(shown_rule["serve"])}
    return shown


def segment_json(segment: Segment) -> Json:
    """Return a segment as the API shows it."""
    listed = {"include": sorted(segment.include), "exclude": sorted(segment.exclude)}
    return _builtins(segment) | listed


def read_flag(document: Mapping[str, object], key: str, *, strict: bool) -> Flag:
    """Return the flag that a document describes; what it leaves out has its default.

    Args:
        document: As `flag_json` shows it; only `type` and `variants` of a flag that is no bool, and
            `off_variant`, have no default. `serve` may be a variant's name.
        key: The flag's; the document may repeat it.
        strict: Refuse unknown fields, and what JSON text would not give back as it is.

    Raises:
        FlagInvalidError: with the place of the first fault of form. What a definition means is
            checked by `flags.changes.validation`.
    """
    if document.get("key", key) != key:
        raise FlagInvalidError("key", f"must be {key!r}, as in the address; or leave it out")
    return _read(_completed(document, key), Flag, strict=strict)


def read_segment(document: Mapping[str, object], name: str, *, strict: bool) -> Segment:
    """Return the segment that a document describes.

    Raises:
        FlagInvalidError: with the place of the first fault of form.
    """
    if document.get("name", name) != name:
        raise FlagInvalidError("name", f"must be {name!r}, as in the address; or leave it out")
    return _read({**document, "name": name}, Segment, strict=strict)


def rollout_json(rollout: GuardedRollout) -> Json:
    """Return a rollout as the API shows it."""
    return _builtins(rollout)


def definition_json(definition: Definition) -> Json:
    """Return a definition as the API shows it."""
    match definition:
        case Flag():
            return flag_json(definition)
        case Segment():
            return segment_json(definition)
        case GuardedRollout():
            return rollout_json(definition)


def unversioned(definition: Mapping[str, object]) -> Json:
    """Return a definition without what the store gives it."""
    return {name: value for name, value in definition.items() if name not in _KEPT_BY_US}


def encode(definition: Definition) -> str:
    """Return a definition as it is stored: names stay in the order in which they were written.

    To a condition the order of a literal's names means something.
    """
    return _text(definition_json(definition))


def decode_flag(stored: str | bytes, key: str) -> Flag:
    """Return a stored flag.

    Raises:
        FlagInvalidError: it cannot be read.
    """
    return read_flag(_object(stored), key, strict=False)


def decode_segment(stored: str | bytes, name: str) -> Segment:
    """Return a stored segment.

    Raises:
        FlagInvalidError: it cannot be read.
    """
    return read_segment(_object(stored), name, strict=False)


def decode_rollout(stored: str | bytes, key: str) -> GuardedRollout:
    """Return a stored rollout.

    Raises:
        FlagInvalidError: it cannot be read.
    """
    return _read({**_object(stored), "key": key}, GuardedRollout, strict=False)


def audit_json(entry: AuditEntry) -> Json:
    """Return an audit entry as the API shows it."""
    return {
        "version": entry.version,
        "at": _instant(entry.at),
        "action": entry.action,
        "who": entry.author.who,
        "why": entry.author.why,
        "request_id": entry.author.request_id,
        "before": entry.before,
        "after": entry.after,
        **({} if entry.evidence is None else {"evidence": entry.evidence}),
    }


def encode_audit(entry: AuditEntry) -> str:
    """Return an audit entry as it is stored."""
    return _text(_builtins(entry))


def decode_audit(stored: str | bytes) -> AuditEntry:
    """Return a stored audit entry.

    Raises:
        FlagInvalidError: it cannot be read.
    """
    return _read(_object(stored), AuditEntry, strict=False)


def dump(value: object) -> str:
    """Return compact JSON, the same for the same value."""
    return _text(value, sort_keys=True)


def _text(value: object, *, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)


def _completed(document: Mapping[str, object], key: str) -> Json:
    flag: Json = {"type": FlagType.BOOL.value, **document, "key": key}
    if flag["type"] == FlagType.BOOL:
        flag = {"variants": dict(BOOL_VARIANTS), "off_variant": "off", **flag}
    if "off_variant" in flag:
        flag = {"default_variant": flag["off_variant"], **flag}
    rollout = flag.get("rollout", {})
    if isinstance(rollout, Mapping):
        flag["rollout"] = _with_shares(
            {"percentage": 0, "salt": key, "serve": _first_on(flag), **rollout}
        )
    rules = flag.get("rules", [])
    if isinstance(rules, list):
        flag["rules"] = [
            _with_shares({"serve": _first_on(flag), **rule}) if isinstance(rule, Mapping) else rule
            for rule in rules
        ]
    return flag


def _first_on(flag: Json) -> object:
    """Return what is dealt where nothing is named: the first variant that is not the off one."""
    variants = flag.get("variants")
    names = list(variants) if isinstance(variants, Mapping) else []
    return next((name for name in names if name != flag.get("off_variant")), "")


def _with_shares(dealt: Json) -> Json:
    serve = dealt["serve"]
    if isinstance(serve, str):
        dealt["serve"] = [{"variant": serve, "weight": WHOLE_WEIGHT}]
    return dealt


def _serve(shares: object) -> object:
    listed = cast("list[Json]", shares)
    if len(listed) == 1 and listed[0]["weight"] == WHOLE_WEIGHT:
        return listed[0]["variant"]
    return [{**share, "weight": _plain(cast("float", share["weight"]))} for share in listed]


def _plain(number: float) -> float:
    """Return 5 for 5.0: operators' scripts compare the text."""
    return int(number) if number == int(number) else number


def _read(document: Mapping[str, object], kind: type[_T], *, strict: bool) -> _T:
    if strict:
        _refuse_lossy(document, ())
    try:
        made = msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        path = place.rstrip("`").lstrip(".").replace("[", ".").replace("]", "")
        raise FlagInvalidError(path, f"{reason[:1].lower()}{reason[1:]}") from None
    if strict:
        _refuse_unknown(document, _builtins(made), ())
    return made


def _refuse_lossy(value: object, path: tuple[str, ...]) -> None:
    """Refuse what would be stored as something else, or could not be stored."""
    fault = _loss(value, len(path))
    if fault is not None:
        raise FlagInvalidError(".".join(path), fault)
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _refuse_lossy(name, path)
            _refuse_lossy(inner, (*path, str(name)[:100]))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_lossy(inner, (*path, str(index)))


def _loss(value: object, level: int) -> str | None:
    try:
        if level > MAX_LEVELS:
            return f"goes deeper than {MAX_LEVELS} levels"
        if isinstance(value, str):
            value.encode()
        elif isinstance(value, int | float) and not math.isfinite(value):
            return "must be a finite number"
    except UnicodeEncodeError:
        return "has text that is not valid Unicode"
    except OverflowError:
        return "is a number too large"
    return None


def _refuse_unknown(given: object, known: object, path: tuple[str, ...]) -> None:
    if isinstance(given, Mapping) and isinstance(known, Mapping):
        for name, value in given.items():
            if name not in known:
                raise FlagInvalidError(".".join((*path, str(name)[:100])), "is not a known field")
            _refuse_unknown(value, known[name], (*path, str(name)))
    elif isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        for index, (value, counterpart) in enumerate(zip(given, known, strict=True)):
            _refuse_unknown(value, counterpart, (*path, str(index)))


def _builtins(value: object) -> Json:
    # Through JSON: lists instead of tuples, and instants as text, as whoever reads it sees them.
    plain: Json = msgspec.json.decode(msgspec.json.encode(value))
    return plain


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _object(stored: str | bytes) -> Json:
    try:
        value = msgspec.json.decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FlagInvalidError("", f"is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise FlagInvalidError("", "is not a JSON object")
    return value
