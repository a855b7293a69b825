"""Changing flags: read, change, check, commit; again where somebody else was faster.

Every change is one commit with its audit entries. What was checked is what is written: a commit
holds only at the version of the ruleset that it was checked against.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from flags.changes.commits import Made, commit_of, commit_of_nothing
from flags.changes.merging import merged
from flags.changes.rollouts import dealt_as_led, handed_over, taken
from flags.changes.validation import (
    check_change,
    check_flag,
    check_kept,
    check_percentage,
    check_segment,
)
from flags.codec import (
    Definition,
    decode_flag,
    decode_segment,
    dump,
    encode,
    read_flag,
    read_segment,
    unversioned,
)
from flags.errors import (
    FlagNotFoundError,
    FlagRequiredError,
    FlagsError,
    FlagStoreUnavailableError,
    VersionConflictError,
)
from flags.model import Author, Flag, FlagType, InFlight, Ruleset, Segment
from flags.store.base import Claim, Commit, Fence, FlagStore

MAX_TRIES = 20
"""Writers that may be faster than one change; each of them has changed something."""

Change = Callable[[Ruleset], Ruleset]


@dataclass(frozen=True, slots=True)
class Request:
    """How a change is asked for.

    `if_version` is the version that the caller has seen of what it changes; 0: it must not exist;
    None: whatever it is. `idempotency_key` makes a repetition harmless for 24 hours. `evidence` and
    `fence` are a controller's: what it decided by, and that it still leads.
    """

    author: Author
    if_version: int | None = None
    idempotency_key: str | None = None
    evidence: Mapping[str, object] | None = None
    fence: Fence | None = None


class FlagEditor:
    """Changes the flags of a store. Whoever changes how a flag deals pauses its rollout thereby.

    Every method raises FlagStoreError where the store fails, VersionConflictError where
    `if_version` does not hold, IdempotencyMismatchError, and FlagInvalidError with the place of the
    fault.

    Args:
        store: What is changed.
        required: Flags, by key, that the service asks: they keep their type and are not deleted.
        refill: Gives a store that lost everything what is known (`FlagClient.follow_store`): a
            change must not be the first thing that is in it.
        now: The time of day, for the audit.
    """

    def __init__(
        self,
        store: FlagStore,
        *,
        required: Mapping[str, FlagType] | None = None,
        refill: Callable[[], Awaitable[None]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._required = required or {}
        self._refill = refill
        self._now = now

    async def put_flag(self, key: str, definition: Mapping[str, object], request: Request) -> Flag:
        """Create a flag or replace its definition (`flags.codec.read_flag`).

        A kill and a salt that the definition does not name stay: neither is ended by the way.
        """

        def change(ruleset: Ruleset) -> Ruleset:
            wanted = read_flag(unversioned(definition), key, strict=True)
            wanted = _keeping(ruleset.flags.get(key), wanted, definition)
            _check_version(key, _version_of(ruleset.flags.get(key)), request)
            self._check_required(wanted)
            check_flag(wanted, ruleset)
            return _with_flag(ruleset, wanted, request)

        return await self._change_flag(key, "put", change, request, asked=definition)

    async def set_percentage(self, key: str, percentage: float, request: Request) -> Flag:
        """Give a flag's rollout another percentage; a killed flag stays killed."""

        def change(ruleset: Ruleset) -> Ruleset:
            flag = _flag(ruleset, key)
            check_percentage(percentage, "percentage")
            rollout = replace(flag.rollout, percentage=float(percentage))
            changed = _with_flag(ruleset, replace(flag, rollout=rollout), request)
            # Also where the percentage stays: who says where it is to be has taken the wheel.
            return taken(changed, key, request.author, self._now())

        return await self._change_flag(key, "rollout", change, request, asked=percentage)

    async def kill(self, key: str, request: Request, *, in_flight: InFlight) -> Flag:
        """Give every unit the off variant, above every rule; whatever its definition is worth.

        The percentage becomes 0, so that ending the kill brings back only those whom lists and
        rules name.
        """

        def change(ruleset: Ruleset) -> Ruleset:
            flag = _flag(ruleset, key)
            killed = replace(
                flag, kill=True, in_flight=in_flight, rollout=replace(flag.rollout, percentage=0.0)
            )
            return _with_flag(ruleset, killed, request)

        return await self._change_flag(key, "kill", change, request, asked=in_flight.value)

    async def end_kill(self, key: str, request: Request) -> Flag:
        """Let the flag be evaluated again; its percentage stays where it is."""

        def change(ruleset: Ruleset) -> Ruleset:
            flag = replace(_flag(ruleset, key), kill=False, in_flight=InFlight.DRAIN)
            return _with_flag(ruleset, flag, request)

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
            return _kept(ruleset, replace(ruleset, flags=rest))

        await self._change("delete", change, request, asked=[f"flag:{key}", None])

    async def put_segment(
        self, name: str, definition: Mapping[str, object], request: Request
    ) -> Segment:
        """Create a segment or replace its definition."""

        def change(ruleset: Ruleset) -> Ruleset:
            segment = read_segment(unversioned(definition), name, strict=True)
            check_segment(segment)
            _check_version(name, _version_of(ruleset.segments.get(name)), request)
            return _kept(ruleset, replace(ruleset, segments={**ruleset.segments, name: segment}))

        subject = f"segment:{name}"
        made = await self._change(
            "put", change, request, asked=[subject, definition], about=subject
        )
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
            return _kept(ruleset, replace(ruleset, segments=rest))

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
        A flag that is killed here stays killed.

        Args:
            other: What to take in.
            request: `if_version` does not apply.
            action: The audit's word.
            only_missing: Replace nothing but what is of a version that the store has never had: it
                lost its last writes.
        """

        def change(ruleset: Ruleset) -> Ruleset:
            taken_in = merged(ruleset, other, only_missing=only_missing)
            for flag in taken_in.flags.values():
                self._check_required(flag)
            check_change(ruleset, taken_in)
            before = dealt_as_led(ruleset, other) if only_missing else ruleset
            return handed_over(before, taken_in, request.author, self._now())

        kinds: tuple[Mapping[str, Definition], ...] = (other.flags, other.segments, other.rollouts)
        shown = [encode(each) for kind in kinds for each in kind.values()]
        return await self.change(action, change, request, asked=shown, floor=other.version)

    def _check_required(self, flag: Flag) -> None:
        if self._required.get(flag.key, flag.type) is not flag.type:
            raise FlagRequiredError(flag.key)

    async def _change_flag(
        self, key: str, action: str, change: Change, request: Request, *, asked: object
    ) -> Flag:
        subject = f"flag:{key}"
        made = await self._change(action, change, request, asked=[subject, asked], about=subject)
        return decode_flag(made[subject] or "", key)

    async def _change(
        self,
        action: str,
        change: Change,
        request: Request,
        *,
        asked: object,
        about: str | None = None,
    ) -> Mapping[str, str | None]:
        def with_rollouts(before: Ruleset) -> Ruleset:
            return handed_over(before, change(before), request.author, self._now())

        return await self.change(action, with_rollouts, request, asked=asked, about=about)

    async def change(
        self,
        action: str,
        change: Change,
        request: Request,
        *,
        asked: object,
        about: str | None = None,
        floor: int = 0,
    ) -> Mapping[str, str | None]:
        """Make a change of one's own in one write, audited and safe to repeat.

        Args:
            action: The audit's word.
            change: Returns the ruleset to be, or raises FlagsError; called again with what is
                there then where somebody else was faster. Versions are not its business.
            request: Its `if_version` is for `change` to check.
            asked: What is asked for, as JSON values: with one idempotency key always the same.
            about: `flag:<key>`, `segment:<name>` or `rollout:<key>`, to be in what is returned.
            floor: A version that the write's must be above.

        Returns:
            The JSON of what was written, or of what `about` is where nothing had to be.
        """
        claim = _claim(request, [action, request.if_version, asked])
        for _ in range(MAX_TRIES):
            before = await self._read()
            try:
                after = change(before)
            except FlagsError:
                # The repetition of a change that held cannot hold again, nor need it.
                earlier = await self._earlier(claim)
                if earlier is None:
                    raise
                return earlier
            made = Made(action, request.author, self._now(), floor, request.evidence, request.fence)
            commit = _answering(commit_of(before, after, made), before, about)
            if not commit.audit and claim is None:
                return commit.definitions
            committed = await self._store.commit(replace(commit, claim=claim))
            if committed.earlier is not None:
                return committed.earlier
            if committed.held:
                return commit.definitions
        raise FlagStoreUnavailableError(f"{MAX_TRIES} other writers were faster")

    async def _read(self) -> Ruleset:
        ruleset = await self._store.read()
        if ruleset.flags or self._refill is None:
            return ruleset
        await self._refill()
        return await self._store.read()

    async def _earlier(self, claim: Claim | None) -> Mapping[str, str | None] | None:
        if claim is None:
            return None
        nothing = Commit(_NEVER, _NEVER, {}, (), claim)
        return (await self._store.commit(nothing)).earlier


def _answering(commit: Commit, before: Ruleset, about: str | None) -> Commit:
    """Return a write with what `about` is in it, also where it stays as it is."""
    if about in commit.definitions:
        return commit
    kept = commit_of_nothing(before, about)
    if not commit.definitions:
        return kept
    return replace(commit, definitions={**kept.definitions, **commit.definitions})


_NEVER = -1
"""A version that no ruleset has: such a commit can only find an earlier claim."""


def _flag(ruleset: Ruleset, key: str) -> Flag:
    try:
        return ruleset.flags[key]
    except KeyError:
        raise FlagNotFoundError(key) from None


def _keeping(before: Flag | None, wanted: Flag, definition: Mapping[str, object]) -> Flag:
    if before is None:
        return wanted
    if "kill" not in definition:
        wanted = replace(wanted, kill=before.kill, in_flight=before.in_flight)
    rollout = definition.get("rollout")
    if not isinstance(rollout, Mapping) or "salt" not in rollout:
        wanted = replace(wanted, rollout=replace(wanted.rollout, salt=before.rollout.salt))
    return wanted


def _with_flag(ruleset: Ruleset, flag: Flag, request: Request) -> Ruleset:
    _check_version(flag.key, _version_of(ruleset.flags.get(flag.key)), request)
    return _kept(ruleset, replace(ruleset, flags={**ruleset.flags, flag.key: flag}))


def _kept(before: Ruleset, after: Ruleset) -> Ruleset:
    check_kept(before, after)
    return after


def _version_of(definition: Flag | Segment | None) -> int:
    return definition.version if definition else 0


def _check_version(key: str, version: int, request: Request) -> None:
    if request.if_version is not None and request.if_version != version:
        raise VersionConflictError(key, expected=request.if_version, version=version)


def _claim(request: Request, asked: object) -> Claim | None:
    if request.idempotency_key is None:
        return None
    return Claim(
        key_hash=_hash([request.author.who, request.idempotency_key]), change_hash=_hash(asked)
    )


def _hash(value: object) -> str:
    return hashlib.sha256(dump(value).encode("utf-8", "surrogatepass")).hexdigest()
