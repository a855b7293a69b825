"""What every store keeps, read back: definitions and audit entries.

One that cannot be read is logged and left out: it must not hide the others.
"""

from collections.abc import Iterable, Sequence

import structlog

from flags.codec import decode_audit, decode_flag, decode_rollout, decode_segment, encode
from flags.errors import FlagInvalidError
from flags.model import AuditEntry, Flag, Ruleset, Segment
from flags.rollout.model import GuardedRollout

log = structlog.get_logger(__name__)

FLAG = "flag"
SEGMENT = "segment"
ROLLOUT = "rollout"

# The second is what JSON raises that is nested beyond what the interpreter follows.
_FAULTS = (FlagInvalidError, RecursionError)


def stored(ruleset: Ruleset) -> dict[str, str]:
    """Return the JSON of each definition under `flag:<key>`, `segment:<name>`, `rollout:<key>`."""
    flags = {f"{FLAG}:{key}": encode(flag) for key, flag in ruleset.flags.items()}
    segments = {f"{SEGMENT}:{name}": encode(one) for name, one in ruleset.segments.items()}
    rollouts = {f"{ROLLOUT}:{key}": encode(one) for key, one in ruleset.rollouts.items()}
    return flags | segments | rollouts


def read_ruleset(version: int, definitions: Iterable[tuple[str, str | bytes]]) -> Ruleset:
    """Return what is stored as a ruleset; what cannot be read is logged and left out."""
    flags: dict[str, Flag] = {}
    segments: dict[str, Segment] = {}
    rollouts: dict[str, GuardedRollout] = {}
    for name, definition in definitions:
        kind, _, key = name.partition(":")
        try:
            if kind == FLAG:
                flags[key] = decode_flag(definition, key)
            elif kind == SEGMENT:
                segments[key] = decode_segment(definition, key)
            elif kind == ROLLOUT:
                rollouts[key] = decode_rollout(definition, key)
            else:
                log.warning("flags.definition_unreadable", key=name, reason="of an unknown kind")
        except _FAULTS as error:
            log.warning("flags.definition_unreadable", key=name, reason=str(error))
    return Ruleset(version, flags, segments, rollouts)


def read_audit(subject: str, entries: Iterable[str | bytes]) -> Sequence[AuditEntry]:
    """Return a subject's stored audit entries."""
    read: list[AuditEntry] = []
    for entry in entries:
        try:
            read.append(decode_audit(entry))
        except _FAULTS as error:
            log.warning("flags.audit_unreadable", key=subject, reason=str(error))
    return read
