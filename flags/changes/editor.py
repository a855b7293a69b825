"""Changing flags: read, change, check, commit; again where somebody else was faster.

Every change is one commit with its audit entries. What was checked is what is written: a commit
holds only at the version of the ruleset that it was checked against.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from flags.changes.validation import (
    check_dependents,
    check_flag,
    check_percentage,
    check_ruleset,
    check_segment,
)
from flags.codec import (
    decode_flag,
    decode_segment,
    dump,
    encode,
    flag_json,
    read_flag,
    read_segment,
    segment_json,
    unversioned,
)
from flags.errors import (
    FlagNotFoundError,
    FlagRequiredError,
    FlagsError,
    FlagStoreUnavailableError,
    VersionConflictError,
)
from flags.model import AuditEntry, Author, Flag, FlagType, InFlight, Ruleset, Segment
from flags.store.base import Claim, Commit, FlagStore

MAX_TRIES = 20
"""Writers that may be faster than one change; each of them has changed something."""

Change = Callable[[Ruleset], Ruleset]


@dataclass(frozen=True, slots=True)
class Request:
    """How a change is asked for.

    `if_version` is the version that the caller has seen of what it changes; 0: it must not exist;
    None: whatever it is. `idempotency_key` makes a repetition harmless for 24 hours.
    """

    author: Author
    if_version: int | None = None
    idempotency_key: str | None = None


class FlagEditor:
    """Changes the flags of a store.

    Every method raises FlagStoreError where the store fails, VersionConflictError where
    `if_version` does not hold, IdempotencyMismatchError, and FlagInvalidError with the place of the
    fault.

    Args:
        store: What is changed.
        required: Flags, by key, that the service asks: they keep their type and are not deleted.
        now: The time of day, for the audit.
    """

    def __init__(
        self,
        store: FlagStore,
        *,
        required: Mapping[str, FlagType] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._required = required or {}
        self._now = now

    async def put_flag(self, key: str, definition: Mapping[str, object], request: Request) -> Flag:
        """Create a flag or replace its definition (`flags.codec.read_flag`)."""

        def change(ruleset: Ruleset) -> Ruleset:
            wanted = read_flag(unversioned(definition), key, strict=True)
            return self._with_flag(ruleset, wanted, request)

        return await self._change_flag(key, "put", change, request, asked=definition)

    async def set_percentage(self, key: str, percentage: float, request: Request) -> Flag:
        """Give a flag's rollout another percentage; a killed flag stays killed."""

        def change(ruleset: Ruleset) -> Ruleset:
            flag = _flag(ruleset, key)
            check_percentage(percentage, "percentage")
            rollout = replace(flag.rollout, percentage=float(percentage))
            return self._with_flag(ruleset, replace(flag, rollout=rollout), request)

        return await self._change_flag(key, "rollout", change, request, asked=percentage)

    async def kill(self, key: str, request: Request, *, in_flight: InFlight) -> Flag:
        """Give every unit the off variant, above every rule.

        The percentage becomes 0, so that ending the kill brings nobody back by itself.
        """

        def change(ruleset: Ruleset) -> Ruleset:
            flag = _flag(ruleset, key)
            killed = replace(
                flag, kill=True, in_flight=in_flight, rollout=replace(flag.rollout, percentage=0.0)
            )
            return self._with_flag(ruleset, killed, request)

        return await self._change_flag(key, "kill", change, request, asked=in_flight.value)

    async def end_kill(self, key: str, request: Request) -> Flag:
        """Let the flag be evaluated again; its percentage stays where it is."""

        def change(ruleset: Ruleset) -> Ruleset:
            flag = replace(_flag(ruleset, key), kill=False, in_flight=InFlight.DRAIN)
            return self._with_flag(ruleset, flag, request)

        return await self._change_flag(key, "end_kill", change, request, asked=None)

    async def delete_flag(self, key: str, request: Request) -> None:
        """Delete a flag; its history stays.

        Raises:
            FlagNotFoundError: there is none.
            FlagRequiredError: the service asks it.
            FlagInvalidError: another flag needs it.
        """

        def change(ruleset: Ruleset) -> Ruleset:
            _check_version(key, _flag(ruleset, key).version, request)
            if key in self._required:
                raise FlagRequiredError(key)
            rest = {name: flag for name, flag in ruleset.flags.items() if name != key}
            check_dependents(key, changed := replace(ruleset, flags=rest))
            return changed

        await self._change("delete", change, request, asked=[f"flag:{key}", None])

    async def put_segment(
        self, name: str, definition: Mapping[str, object], request: Request
    ) -> Segment:
        """Create a segment or replace its definition."""

        def change(ruleset: Ruleset) -> Ruleset:
            segment = read_segment(unversioned(definition), name, strict=True)
            check_segment(segment)
            before = ruleset.segments.get(name)
            _check_version(name, before.version if before else 0, request)
            return replace(ruleset, segments={**ruleset.segments, name: segment})

        subject = f"segment:{name}"
        made = await self._change("put", change, request, asked=[subject, definition])
        return decode_segment(made[subject] or "", name)

    async def delete_segment(self, name: str, request: Request) -> None:
        """Delete a segment that no rule refers to.

        Raises:
            FlagNotFoundError: there is none.
            FlagInvalidError: a rule refers to it.
        """

        def change(ruleset: Ruleset) -> Ruleset:
            if name not in ruleset.segments:
                raise FlagNotFoundError(name)
            _check_version(name, ruleset.segments[name].version, request)
            rest = {key: each for key, each in ruleset.segments.items() if key != name}
            return _checked(replace(ruleset, segments=rest))

        await self._change("delete", change, request, asked=[f"segment:{name}", None])

    async def take_in(
        self,
        other: Ruleset,
        request: Request,
        *,
        action: str = "import",
        only_missing: bool = False,
    ) -> Mapping[str, str | None]:
        """Create or replace all that another ruleset has; what it has not stays.

        Its versions stay behind: each definition gets the next one here, above `other.version`.

        Args:
            other: What to take in.
            request: `if_version` does not apply.
            action: The audit's word.
            only_missing: Replace nothing.
        """

        def change(ruleset: Ruleset) -> Ruleset:
            for flag in other.flags.values():
                self._check_required(flag)
            lower, upper = (other, ruleset) if only_missing else (ruleset, other)
            flags = {**lower.flags, **upper.flags}
            segments = {**lower.segments, **upper.segments}
            return _checked(Ruleset(ruleset.version, flags, segments))

        shown = [*map(encode, other.flags.values()), *map(encode, other.segments.values())]
        return await self._change(action, change, request, asked=shown, floor=other.version)

    def _with_flag(self, ruleset: Ruleset, flag: Flag, request: Request) -> Ruleset:
        before = ruleset.flags.get(flag.key)
        _check_version(flag.key, before.version if before else 0, request)
        self._check_required(flag)
        check_flag(flag, ruleset)
        changed = replace(ruleset, flags={**ruleset.flags, flag.key: flag})
        check_dependents(flag.key, changed)
        return changed

    def _check_required(self, flag: Flag) -> None:
        if self._required.get(flag.key, flag.type) is not flag.type:
            raise FlagRequiredError(flag.key)

    async def _change_flag(
        self, key: str, action: str, change: Change, request: Request, *, asked: object
    ) -> Flag:
        subject = f"flag:{key}"
        made = await self._change(action, change, request, asked=[subject, asked])
        return decode_flag(made[subject] or "", key)

    async def _change(
        self, action: str, change: Change, request: Request, *, asked: object, floor: int = 0
    ) -> Mapping[str, str | None]:
        claim = _claim(request, [action, request.if_version, asked])
        for _ in range(MAX_TRIES):
            before = await self._store.read()
            try:
                after = change(before)
            except FlagsError:
                # The repetition of a change that held cannot hold again, nor need it.
                earlier = await self._earlier(claim)
                if earlier is None:
                    raise
                return earlier
            commit = self._commit(action, before, after, request, floor=floor)
            if not commit.definitions:
                return _stored(before)
            committed = await self._store.commit(replace(commit, claim=claim))
            if committed.earlier is not None:
                return committed.earlier
            if committed.held:
                return commit.definitions
        raise FlagStoreUnavailableError(f"{MAX_TRIES} other writers were faster")

    async def _earlier(self, claim: Claim | None) -> Mapping[str, str | None] | None:
        if claim is None:
            return None
        nothing = Commit(_NEVER, _NEVER, {}, (), claim)
        return (await self._store.commit(nothing)).earlier

    def _commit(
        self, action: str, before: Ruleset, after: Ruleset, request: Request, *, floor: int
    ) -> Commit:
        version, at = max(before.version, floor) + 1, self._now()
        old, new = _definitions(before), _definitions(after)
        definitions: dict[str, str | None] = {}
        audit: list[AuditEntry] = []
        for subject in sorted(old.keys() | new.keys()):
            was, will = old.get(subject), _as_kept(old.get(subject), new.get(subject))
            if was == will:
                continue
            if will is not None:
                will = _written(was, will, version=version, at=at)
            definitions[subject] = None if will is None else encode(will)
            audit.append(
                AuditEntry(version, at, action, subject, request.author, _shown(was), _shown(will))
            )
        return Commit(before.version, version, definitions, audit)


_NEVER = -1
"""A version that no ruleset has: such a commit can only find an earlier claim."""

_Definition = Flag | Segment


def _flag(ruleset: Ruleset, key: str) -> Flag:
    try:
        return ruleset.flags[key]
    except KeyError:
        raise FlagNotFoundError(key) from None


def _checked(ruleset: Ruleset) -> Ruleset:
    check_ruleset(ruleset)
    return ruleset


def _check_version(key: str, version: int, request: Request) -> None:
    if request.if_version is not None and request.if_version != version:
        raise VersionConflictError(key, expected=request.if_version, version=version)


def _definitions(ruleset: Ruleset) -> dict[str, _Definition]:
    flags = {f"flag:{key}": flag for key, flag in ruleset.flags.items()}
    return {**flags, **{f"segment:{name}": each for name, each in ruleset.segments.items()}}


def _stored(ruleset: Ruleset) -> dict[str, str | None]:
    return {subject: encode(each) for subject, each in _definitions(ruleset).items()}


def _as_kept(was: _Definition | None, will: _Definition | None) -> _Definition | None:
    """Return a definition with what the store gave it: what a writer says of that is not asked."""
    if isinstance(will, Segment):
        kept = (was.version, was.updated_at) if was else (0, None)
        return replace(will, version=kept[0], updated_at=kept[1])
    if will is None:
        return None
    if not isinstance(was, Flag):
        return replace(will, version=0, epoch=0, updated_at=None)
    return replace(will, version=was.version, epoch=was.epoch, updated_at=was.updated_at)


def _written(
    was: _Definition | None, will: _Definition, *, version: int, at: datetime
) -> _Definition:
    """Return a definition as it is stored at a version; other dealings open another epoch."""
    if isinstance(will, Segment):
        return replace(will, version=version, updated_at=at)
    epoch = will.epoch
    if not isinstance(was, Flag) or _dealing(was) != _dealing(will):
        epoch = version
    return replace(will, version=version, epoch=epoch, updated_at=at)


def _dealing(flag: Flag) -> Flag:
    return replace(
        flag, description="", in_flight=InFlight.DRAIN, version=0, epoch=0, updated_at=None
    )


def _shown(definition: _Definition | None) -> Mapping[str, object] | None:
    if definition is None:
        return None
    return flag_json(definition) if isinstance(definition, Flag) else segment_json(definition)


def _claim(request: Request, asked: object) -> Claim | None:
    if request.idempotency_key is None:
        return None
    return Claim(
        key_hash=_hash([request.author.who, request.idempotency_key]), change_hash=_hash(asked)
    )


def _hash(value: object) -> str:
    return hashlib.sha256(dump(value).encode("utf-8", "surrogatepass")).hexdigest()
