"""Values for tests of accounts: all valid, each named field free to choose."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from accounts.model import ApiKey, AuditEntry, Identity, Session, User

NOW = datetime(2096, 5, 4, 12, 30, 15, 123000, tzinfo=UTC)
"""In the future: lists leave out what has expired by the store's own clock."""
GRACE = timedelta(seconds=10)

_numbers = count(1)


def later(seconds: float) -> datetime:
    """Return an instant after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def a_user(user_id: str | None = None, **fields: Any) -> User:
    """Return a user of nobody else's address."""
    number = next(_numbers)
    plain = User(
        user_id=user_id or f"user-{number:06}",
        email=f"ann{number:06}@example.com",
        name="Ann 🦉",
        role="user",
        password_hash="$argon2id$v=19$…",  # noqa: S106  # no password's
        created_at=NOW,
    )
    return replace(plain, **fields)


def an_admin(**fields: Any) -> User:
    """Return an admin of nobody else's address."""
    return a_user(role="admin", **fields)


def an_identity(subject: str | None = None) -> Identity:
    """Return an identity of nobody else's."""
    return Identity("https://id.example.com", subject or f"subject-{next(_numbers)}")


def a_session(session_id: str | None = None, **fields: Any) -> Session:
    """Return a new session of a fortnight."""
    plain = Session(
        session_id=session_id or f"session-{next(_numbers):06}",
        user_id="user-1",
        nonce="0f" * 16,
        generation=1,
        created_at=NOW,
        rotated_at=NOW,
        expires_at=NOW + timedelta(days=14),
        client="A browser",
        address="192.0.2.7",
    )
    return replace(plain, **fields)


def an_api_key(key_id: str | None = None, **fields: Any) -> ApiKey:
    """Return a new key."""
    plain = ApiKey(
        key_id=key_id or f"key-{next(_numbers):06}",
        user_id="user-1",
        name="Nightly job",
        key_hash="ab" * 32,
        scopes=frozenset({"chat", "metrics"}),
        created_at=NOW,
    )
    return replace(plain, **fields)


def an_entry(entry_id: str | None = None, **fields: Any) -> AuditEntry:
    """Return an entry, later than those before it."""
    plain = AuditEntry(
        entry_id=entry_id or f"audit-{next(_numbers):06}",
        at=NOW,
        who="admin_token",
        action="user.changed",
        subject="user-1",
        why="They asked for it 🦉",
        address="192.0.2.7",
        request_id="req-1",
        details={"role": {"before": "user", "after": "admin"}, "a.b": "$c \ud800"},
    )
    return replace(plain, **fields)
