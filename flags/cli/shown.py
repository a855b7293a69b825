"""Flags, segments and changes as people read them. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeGuard

from flags.cli.output import cut, pairs, table
from flags.codec import dump, flag_json, segment_json, unversioned
from flags.model import AuditEntry, Flag, Ruleset, Schedule, Segment, Serve

_DESCRIPTION_CHARS, _VALUE_CHARS, _LISTED = 60, 60, 5

_NOTHING: Mapping[str, object] = {}


def flags_table(ruleset: Ruleset) -> str:
    """Return all flags, a line each."""
    return table(
        ("FLAG", "STATE", "ROLLOUT", "TYPE", "VERSION", "CHANGED", "DESCRIPTION"),
        [
            (
                flag.key,
                state(flag),
                per_cent(flag.rollout.percentage),
                flag.type.value,
                str(flag.version),
                instant(flag.updated_at),
                cut(flag.description, _DESCRIPTION_CHARS),
            )
            for flag in sorted(ruleset.flags.values(), key=lambda flag: flag.key)
        ],
    )


def flag_page(flag: Flag) -> str:
    """Return all of one flag."""
    rollout = f"{per_cent(flag.rollout.percentage)} get {_dealt(flag.rollout.serve)}"
    rows = [
        ("flag", flag.key),
        ("description", flag.description),
        ("state", state(flag)),
        ("rollout", rollout),
        ("salt", flag.rollout.salt),
        ("else", flag.default_variant),
        ("off", flag.off_variant),
        *(("variant", f"{name} = {dump(value)}") for name, value in flag.variants.items()),
        *(
            ("needs", f"{needed.flag} = {'|'.join(needed.variants)}")
            for needed in flag.prerequisites
        ),
        *(("deny", each) for each in _listed(flag.deny)),
        *(("allow", each) for each in _listed(flag.allow)),
        *(("rule", each) for each in _rules(flag)),
        *(("schedule", each) for each in _schedule(flag)),
        ("version", f"{flag.version} (epoch {flag.epoch})"),
        ("changed", instant(flag.updated_at)),
    ]
    return pairs([row for row in rows if row[1]])


def segments_table(ruleset: Ruleset) -> str:
    """Return all segments, a line each."""
    return table(
        ("SEGMENT", "INCLUDED", "EXCLUDED", "CONDITION", "VERSION", "CHANGED", "DESCRIPTION"),
        [
            (
                each.name,
                str(len(each.include)),
                str(len(each.exclude)),
                "no" if each.when is None else "yes",
                str(each.version),
                instant(each.updated_at),
                cut(each.description, _DESCRIPTION_CHARS),
            )
            for each in sorted(ruleset.segments.values(), key=lambda segment: segment.name)
        ],
    )


def segment_page(segment: Segment) -> str:
    """Return all of one segment."""
    rows = [
        ("segment", segment.name),
        ("description", segment.description),
        *(("include", each) for each in _listed(segment.include)),
        *(("exclude", each) for each in _listed(segment.exclude)),
        ("when", "" if segment.when is None else dump(segment.when)),
        ("version", str(segment.version)),
        ("changed", instant(segment.updated_at)),
    ]
    return pairs([row for row in rows if row[1]])


def document(ruleset: Ruleset) -> dict[str, object]:
    """Return everything as a document that can be taken in elsewhere, in a stable order."""
    flags, segments = sorted(ruleset.flags.items()), sorted(ruleset.segments.items())
    return {
        "flags": {key: unversioned(flag_json(flag)) for key, flag in flags},
        "segments": {name: unversioned(segment_json(segment)) for name, segment in segments},
    }


def state(flag: Flag) -> str:
    """Return whether a flag is evaluated, in a word."""
    if flag.kill:
        return "killed"
    if not flag.enabled:
        return "disabled"
    return "on" if flag.schedule == Schedule() else "scheduled"


def per_cent(percentage: float) -> str:
    """Return a share: `12.5 %`."""
    return f"{percentage:.3f}".rstrip("0").rstrip(".") + " %"


def number(percentage: float) -> float:
    """Return 5 for 5.0, as definitions show it."""
    return int(percentage) if percentage == int(percentage) else percentage


def instant(at: datetime | None) -> str:
    """Return an instant to the second, in UTC."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def change(entry: AuditEntry) -> str:
    """Return what a change changed."""
    if entry.after is None:
        return "deleted"
    differences = list(
        _differences(unversioned(entry.before or _NOTHING), unversioned(entry.after), "")
    )
    if entry.before is None:
        rollout = entry.after.get("rollout")
        share = rollout.get("percentage") if isinstance(rollout, Mapping) else None
        return "created" if share is None else f"created at {share} %"
    return "; ".join(differences) or "nothing"


def _differences(before: object, after: object, path: str) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            inner = f"{path}.{name}" if path else name
            yield from _differences(before.get(name), after.get(name), inner)
    elif _is_listing(before) and _is_listing(after):
        signed = [f"+{each}" for each in after if each not in before]
        signed += [f"-{each}" for each in before if each not in after]
        yield cut(f"{path} {' '.join(signed)}", _VALUE_CHARS)
    else:
        yield f"{path} {_value(before)} → {_value(after)}"


def _is_listing(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _value(value: object) -> str:
    return "none" if value is None else cut(dump(value), _VALUE_CHARS)


def _dealt(serve: Serve) -> str:
    if len(serve) == 1:
        return serve[0].variant
    return ", ".join(f"{share.variant} ({per_cent(share.weight)})" for share in serve)


def _listed(units: frozenset[str]) -> Iterator[str]:
    yield from sorted(units)[:_LISTED]
    if len(units) > _LISTED:
        yield f"and {len(units) - _LISTED} more"


def _rules(flag: Flag) -> Iterator[str]:
    for rule in flag.rules:
        name = f"{rule.name}: " if rule.name else ""
        share = "" if rule.percentage >= 100 else f"{per_cent(rule.percentage)} of "  # noqa: PLR2004
        yield f"{name}{share}{cut(dump(rule.when), _VALUE_CHARS)} get {_dealt(rule.serve)}"


def _schedule(flag: Flag) -> Iterator[str]:
    if flag.schedule.starts_at is not None:
        yield f"from {instant(flag.schedule.starts_at)}"
    if flag.schedule.ends_at is not None:
        yield f"until {instant(flag.schedule.ends_at)}"
