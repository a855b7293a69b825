"""Writes to a flag store, as short as a test wants to say them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from flags.codec import encode, flag_json, read_flag, read_segment
from flags.model import AuditEntry, Author, Flag, Segment
from flags.store.base import Claim, Commit

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def a_flag(key: str, percentage: float = 0, **more: object) -> Flag:
    """Return a bool flag."""
    return read_flag({"rollout": {"percentage": percentage}, **more}, key, strict=True)


def a_segment(name: str, *units: str) -> Segment:
    """Return a segment of listed units."""
    return read_segment({"include": list(units)}, name, strict=True)


def a_commit(
    expected: int,
    *definitions: Flag | Segment | str,
    version: int | None = None,
    claim: Claim | None = None,
    why: str = "",
) -> Commit:
    """Return a write of flags and segments, and of subjects to delete, at the next version."""
    version = expected + 1 if version is None else version
    written: dict[str, str | None] = {}
    audit: list[AuditEntry] = []
    for definition in definitions:
        subject, after = _written(definition, version)
        written[subject] = None if after is None else encode(after)
        shown: Mapping[str, object] | None = flag_json(after) if isinstance(after, Flag) else None
        author = Author("ada", why, f"request-{version}")
        audit.append(AuditEntry(version, AT, "change", subject, author, None, shown))
    return Commit(expected, version, written, audit, claim)


def _written(definition: Flag | Segment | str, version: int) -> tuple[str, Flag | Segment | None]:
    if isinstance(definition, str):
        return definition, None
    subject = (
        f"flag:{definition.key}" if isinstance(definition, Flag) else f"segment:{definition.name}"
    )
    return subject, replace(definition, version=version, updated_at=AT)
