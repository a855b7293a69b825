"""The contract of every flag store.

A store holds one ruleset. Writes are compare-and-set against the ruleset's version, so that two
processes can never both win; a write, its audit entries, its idempotency claim and its
announcement hold together or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from flags.model import AuditEntry, Ruleset

IDEMPOTENCY_TTL = timedelta(hours=24)
MAX_AUDIT_ENTRIES = 10_000
"""Changes that are kept of one flag or segment."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key, hashed with its author, and the hash of what it asks for."""

    key_hash: str
    change_hash: str


@dataclass(frozen=True, slots=True)
class Fence:
    """Whoever writes still leads: a store refuses a token below the highest that it knows of.

    It knows of those that it was written behind, and of those that whoever gives them out has told
    it in the same place (`{flags}:fence:<name>` in Redis).
    """

    name: str
    token: int


@dataclass(frozen=True, slots=True)
class Commit:
    """One write.

    `definitions` maps `flag:<key>`, `segment:<name>` and `rollout:<key>` to their new JSON
    (`flags.codec`), or None where it is deleted; one that stays as it is may be there as an answer
    to its claim. `audit` has one entry for each that changes, all at `version`, which is above
    `expected_version`: one above, or more where a ruleset that was lost is restored.
    A negative `expected_version` never holds: such a commit only looks for what its claim did
    before. A commit without audit may stay at its version: it keeps a claim for a change that
    nothing needed, and its definitions, which are those that are kept already, as the claim's
    answer. Behind a `fence` that no longer holds nothing is written.

    Raises:
        ValueError: the version does not grow with the audit, or two audit entries tell of the same
            subject.
    """

    expected_version: int
    version: int
    definitions: Mapping[str, str | None]
    audit: Sequence[AuditEntry]
    claim: Claim | None = None
    fence: Fence | None = None

    def __post_init__(self) -> None:
        is_allowed = self.version == self.expected_version and not self.audit
        if 0 <= self.expected_version >= self.version and not is_allowed:
            raise ValueError(f"version {self.version} is not above {self.expected_version}")
        if len({entry.subject for entry in self.audit}) != len(self.audit):
            raise ValueError("a subject has two audit entries")


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a write.

    `held` is false where the ruleset was not at the expected version: nothing was written, and
    `version` is where it is. A claim made before gives `earlier`: it held then, with these
    definitions at `version`, and nothing was written now.
    """

    held: bool
    version: int
    earlier: Mapping[str, str | None] | None = None


class FlagStore(Protocol):
    """Keeps flags, segments and who changed them."""

    kind: str

    async def read(self) -> Ruleset:
        """Return everything at one version; an empty ruleset at version 0 where nothing is kept.

        A definition that cannot be read (damaged, or of a newer release's kind) is left out and
        logged; the others hold.

        Raises:
            FlagStoreError: the store cannot be reached in time, or is damaged as a whole.
        """
        ...

    async def commit(self, commit: Commit) -> Committed:
        """Write, audit, claim and announce in one step, if the ruleset is at `expected_version`.

        Raises:
            IdempotencyMismatchError: the claim's key came with another change before.
            FlagStoreUnavailableError: the store cannot be reached; the write may have held.
            FlagStoreDamagedError: what is stored cannot be read; nothing was written.
            FencedError: another leads by now; nothing was written.
        """
        ...

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        """Return the ruleset's version as soon as it is not `seen`, at the latest after a while.

        It returns early when a change is announced, and asks the store itself when `timeout_s` are
        over: a lost announcement costs that long. A version lower than `seen` tells that the store
        lost its data. One caller at a time.

        Raises:
            FlagStoreError: the version cannot be confirmed; ask again in a while.
        """
        ...

    async def history(
        self, subject: str, *, limit: int, before: int | None = None
    ) -> Sequence[AuditEntry]:
        """Return the changes of `flag:<key>`, `segment:<name>` or `rollout:<key>`, newest first.

        Args:
            subject: Also of what has been deleted since.
            limit: Entries at most.
            before: Only changes of versions below this one.

        Raises:
            FlagStoreError: as `read`.
        """
        ...

    async def close(self) -> None:
        """Give back connections and descriptors; idempotent."""
        ...
