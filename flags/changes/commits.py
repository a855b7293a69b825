"""From the rules before and after a change to the one write that makes it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from flags.codec import Definition, definition_json, dump, encode, flag_json
from flags.model import AuditEntry, Author, Flag, InFlight, Ruleset
from flags.rollout.model import GuardedRollout
from flags.store.base import Commit, Fence


@dataclass(frozen=True, slots=True)
class Made:
    """What the audit says of a change, and the version that its own must be above.

    `evidence` and `fence` are a controller's: what it decided by, and that it still leads.
    """

    action: str
    author: Author
    at: datetime
    floor: int = 0
    evidence: Mapping[str, object] | None = None
    fence: Fence | None = None


def commit_of(before: Ruleset, after: Ruleset, made: Made) -> Commit:
    """Return the write that leads from one ruleset to another, audited; empty where they are alike.

    Each definition that changes gets the ruleset's next version; a flag that deals otherwise than
    before gets a new epoch. What `after` says of versions and epochs is not asked.
    """
    version = max(before.version, made.floor) + 1
    old, new = _definitions(before), _definitions(after)
    definitions: dict[str, str | None] = {}
    audit: list[AuditEntry] = []
    for subject in sorted(old.keys() | new.keys()):
        was, will = old.get(subject), _as_kept(old.get(subject), new.get(subject))
        if _is_same(was, will):
            continue
        if will is not None:
            will = _written(was, will, version=version, at=made.at)
        definitions[subject] = None if will is None else encode(will)
        shown = _shown(was), _shown(will)
        evidence = made.evidence if isinstance(will, GuardedRollout) else None
        audit.append(
            AuditEntry(version, made.at, made.action, subject, made.author, *shown, evidence)
        )
    return Commit(before.version, version, definitions, audit, fence=made.fence)


def commit_of_nothing(ruleset: Ruleset, about: str | None) -> Commit:
    """Return a write that changes nothing, for its claim: what `about` is now is its answer."""
    kept = {name: encode(each) for name, each in _definitions(ruleset).items() if name == about}
    return Commit(ruleset.version, ruleset.version, kept, ())


def is_dealt_alike(was: Flag, will: Flag) -> bool:
    """Say whether every unit gets of both what it gets of the other."""
    return _dealing(was) == _dealing(will)


def _definitions(ruleset: Ruleset) -> dict[str, Definition]:
    return {
        **{f"flag:{key}": flag for key, flag in ruleset.flags.items()},
        **{f"segment:{name}": each for name, each in ruleset.segments.items()},
        **{f"rollout:{key}": each for key, each in ruleset.rollouts.items()},
    }


def _as_kept(was: Definition | None, will: Definition | None) -> Definition | None:
    """Return a definition with what the store gave it."""
    if will is None or will is was:
        return will
    if not isinstance(will, Flag):
        kept = (was.version, was.updated_at) if was else (0, None)
        return replace(will, version=kept[0], updated_at=kept[1])
    if not isinstance(was, Flag):
        return replace(will, version=0, epoch=0, updated_at=None)
    return replace(will, version=was.version, epoch=was.epoch, updated_at=was.updated_at)


def _is_same(was: Definition | None, will: Definition | None) -> bool:
    if was is None or will is None:
        return was is will
    # By their text: to Python's equality 1 and true are one value.
    return was is will or encode(was) == encode(will)


def _written(was: Definition | None, will: Definition, *, version: int, at: datetime) -> Definition:
    """Return a definition as it is stored at a version; other dealings open another epoch."""
    if not isinstance(will, Flag):
        return replace(will, version=version, updated_at=at)
    is_alike = isinstance(was, Flag) and is_dealt_alike(was, will)
    epoch = will.epoch if is_alike else version
    return replace(will, version=version, epoch=epoch, updated_at=at)


def _dealing(flag: Flag) -> str:
    dealt = replace(
        flag, description="", in_flight=InFlight.DRAIN, version=0, epoch=0, updated_at=None
    )
    return dump(flag_json(dealt))


def _shown(definition: Definition | None) -> Mapping[str, object] | None:
    return None if definition is None else definition_json(definition)
