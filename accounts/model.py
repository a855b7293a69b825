"""An account's values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

Role = Literal["guest", "user", "admin"]
"""A guest has no account; of the two that have one, admins operate the service."""

Scope = Literal["chat", "metrics", "flags", "ofrep"]
"""What an API key is for: its user's own conversations, reading figures, reading flags, evaluating
flags."""

EndReason = Literal[
    "signed_out", "reused", "expired", "password_changed", "role_changed", "disabled", "revoked"
]
"""Why a session is over; `reused`: a refresh token came a second time, so it has been stolen."""


@dataclass(frozen=True, slots=True)
class Identity:
    """How an OpenID Connect provider names a user: `subject` means something with `issuer` only."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class User:
    """Who may sign in. Their `user_id` owns their conversations.

    Whoever registers as a guest keeps the guest's id: nothing has to be moved, a running answer
    goes on, and flags deal them the same. From then on the guest's cookie is worth nothing.

    Args:
        user_id: Never changes, never used again.
        email: As `accounts.email.normal_email` returns it; unique.
        name: How they want to be called; may be empty.
        role: `user` or `admin`.
        password_hash: In PHC form; None: they sign in with a provider only.
        identities: Providers' names for them; each is unique.
        is_disabled: May not sign in; their sessions and API keys are worth nothing.
        created_at: When.
        version: Grows by one with each change.
    """

    user_id: str
    email: str
    name: str
    role: Role
    password_hash: str | None
    created_at: datetime
    identities: tuple[Identity, ...] = ()
    is_disabled: bool = False
    version: int = 1


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in on one device: a family of refresh tokens, of which only the newest is good.

    Tokens are not stored: `generation` and `nonce` are what `server.auth` makes them of, together
    with a secret of its own.

    Args:
        session_id: Never used again.
        user_id: Whose.
        nonce: Random, hex; without it no token of the family can be made.
        generation: Of the newest refresh token, from 1.
        created_at: Sign-in.
        rotated_at: When the newest token was made.
        expires_at: The end, whatever happens.
        client: `User-Agent` at sign-in, at most 200 characters.
        address: Where they signed in from.
        ended_at: When it was over before it expired.
        end_reason: Why.
    """

    session_id: str
    user_id: str
    nonce: str
    generation: int
    created_at: datetime
    rotated_at: datetime
    expires_at: datetime
    client: str = ""
    address: str = ""
    ended_at: datetime | None = None
    end_reason: EndReason | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """For server-to-server callers. The key itself is shown once; `key_hash` is SHA-256, hex.

    A fast hash suffices: keys are random, 256 bits.

    Args:
        key_id: Public part of the key; names it in lists and logs.
        user_id: Whose; with scope `chat` it sees this user's conversations.
        name: For people.
        key_hash: Of the whole key.
        scopes: What it is for.
        created_at: When.
        expires_at: None: never.
        last_used_at: At most a minute behind.
        revoked_at: When it became worthless.
    """

    key_id: str
    user_id: str
    name: str
    key_hash: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was done to accounts or chatbots; never altered, never deleted by us.

    Args:
        entry_id: Sorts by time; the same entry written twice is one.
        at: When.
        who: A user id, or the proof of an operator without one (`admin_token`, `cli`).
        action: Such as `user.role_changed`; stable.
        subject: What it was done to, such as a user id.
        why: As the operator said; may be empty where none was asked for.
        address: From where.
        request_id: Of the request, to find it in logs.
        details: What changed; never a secret.
    """

    entry_id: str
    at: datetime
    who: str
    action: str
    subject: str
    why: str = ""
    address: str = ""
    request_id: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, and the cursor of the next (None at the end)."""

    items: tuple[T, ...]
    next: str | None
