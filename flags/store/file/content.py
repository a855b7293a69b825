"""What the file holds, and what a write makes of it. Pure."""

from dataclasses import dataclass, field, replace

import msgspec

from flags.codec import encode_audit
from flags.errors import FencedError, IdempotencyMismatchError
from flags.store.base import IDEMPOTENCY_TTL, Claim, Commit, Committed, Fence

MAX_ENTRIES = 1_000
"""Changes that are kept, of all flags together: every write writes all of them again."""

MAX_CLAIMS = 1_000
"""Idempotency claims that are kept, for the same reason; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An audit entry as JSON, and what it is found by."""

    subject: str
    version: int
    entry: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim that was made, and what its write was; `expires_at` in seconds of the epoch."""

    key_hash: str
    change_hash: str
    expires_at: float
    version: int
    definitions: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Content:
    """Everything at one version. Audit and claims are in the order of their writes.

    `fences` are the highest tokens that were written behind, by the fence's name.
    """

    version: int = 0
    definitions: dict[str, str] = field(default_factory=dict)
    audit: tuple[Kept, ...] = ()
    claims: tuple[Claimed, ...] = ()
    fences: dict[str, int] = field(default_factory=dict)

    def plain(self) -> dict[str, object]:
        """Return it as JSON values."""
        plain: dict[str, object] = msgspec.to_builtins(self)
        return plain


def committed(content: Content, commit: Commit, *, now: float) -> tuple[Committed, Content | None]:
    """Return what becomes of a write, and what to keep instead; None where nothing changes.

    Args:
        content: What is kept.
        commit: The write.
        now: Seconds of the epoch.

    Raises:
        IdempotencyMismatchError: the claim's key came with another change before.
        FencedError: somebody has written behind the fence with a higher token.
    """
    if commit.claim and (earlier := _earlier(content, commit.claim, now)):
        return Committed(held=True, version=earlier.version, earlier=earlier.definitions), None
    if commit.fence and commit.fence.token < (highest := _highest(content, commit.fence)):
        raise FencedError(f"another leads by now, with the token {highest}")
    if content.version != commit.expected_version:
        return Committed(held=False, version=content.version), None
    return Committed(held=True, version=commit.version), _written(content, commit, now)


def _highest(content: Content, fence: Fence) -> int:
    return content.fences.get(fence.name, 0)


def _earlier(content: Content, claim: Claim, now: float) -> Claimed | None:
    for made in content.claims:
        if made.key_hash == claim.key_hash and made.expires_at > now:
            if made.change_hash != claim.change_hash:
                raise IdempotencyMismatchError
            return made
    return None


def _written(content: Content, commit: Commit, now: float) -> Content:
    merged = {**content.definitions, **commit.definitions}
    entries = [Kept(entry.subject, entry.version, encode_audit(entry)) for entry in commit.audit]
    claims = [made for made in content.claims if made.expires_at > now]
    if commit.claim:
        claims.append(
            Claimed(
                commit.claim.key_hash,
                commit.claim.change_hash,
                now + IDEMPOTENCY_TTL.total_seconds(),
                commit.version,
                dict(commit.definitions),
            )
        )
    return replace(
        content,
        version=commit.version,
        definitions={name: json for name, json in merged.items() if json is not None},
        audit=(*content.audit, *entries)[-MAX_ENTRIES:],
        claims=tuple(claims[-MAX_CLAIMS:]),
        fences=content.fences | ({commit.fence.name: commit.fence.token} if commit.fence else {}),
    )
