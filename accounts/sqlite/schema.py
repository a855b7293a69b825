"""Tables and indexes of accounts, and how their rows become values."""

import sqlite3

from accounts import codec
from accounts.model import ApiKey, AuditEntry, Identity, Session, User

RECORD_VERSION = 1

INDEXES = (
    "user_identities_by_user",
    "users_enabled_admins",
    "sessions_by_user",
    "sessions_by_expiry",
    "api_keys_by_user",
    "audit_log_by_subject",
    "audit_log_by_who",
)

STEPS = (
    (
        """
        CREATE TABLE users (
            user_id TEXT PRIMARY KEY,
            email TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            role TEXT NOT NULL,
            password_hash TEXT,
            is_disabled INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            version INTEGER NOT NULL,
            v INTEGER NOT NULL
        )
        """,
        """
        CREATE INDEX users_enabled_admins ON users (user_id)
            WHERE role = 'admin' AND is_disabled = 0
        """,
        """
        CREATE TABLE user_identities (
            issuer TEXT NOT NULL,
            subject TEXT NOT NULL,
            user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
            place INTEGER NOT NULL,
            PRIMARY KEY (issuer, subject)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX user_identities_by_user ON user_identities (user_id, place)",
        """
        CREATE TABLE sessions (
            session_id TEXT PRIMARY KEY,
            user_id TEXT NOT NULL,
            nonce TEXT NOT NULL,
            generation INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            rotated_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            client TEXT NOT NULL,
            address TEXT NOT NULL,
            ended_at INTEGER,
            end_reason TEXT,
            v INTEGER NOT NULL
        )
        """,
        "CREATE INDEX sessions_by_user ON sessions (user_id, created_at DESC, session_id DESC)",
        "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
        """
        CREATE TABLE api_keys (
            key_id TEXT PRIMARY KEY,
            user_id TEXT NOT NULL,
            name TEXT NOT NULL,
            key_hash TEXT NOT NULL,
            scopes TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            expires_at INTEGER,
            last_used_at INTEGER,
            revoked_at INTEGER,
            v INTEGER NOT NULL
        )
        """,
        "CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at DESC, key_id DESC)",
        """
        CREATE TABLE audit_log (
            entry_id TEXT PRIMARY KEY,
            at INTEGER NOT NULL,
            who TEXT NOT NULL,
            action TEXT NOT NULL,
            subject TEXT NOT NULL,
            why TEXT NOT NULL,
            address TEXT NOT NULL,
            request_id TEXT NOT NULL,
            details TEXT NOT NULL,
            v INTEGER NOT NULL
        )
        """,
        "CREATE INDEX audit_log_by_subject ON audit_log (subject, entry_id)",
        "CREATE INDEX audit_log_by_who ON audit_log (who, entry_id)",
    ),
)
"""One entry per release of the schema. Steps only add, and none is changed once released."""


def user_of(row: sqlite3.Row, identities: tuple[Identity, ...]) -> User:
    """Return the user of a row."""
    return User(
        user_id=row["user_id"],
        email=row["email"],
        name=row["name"],
        role=row["role"],
        password_hash=row["password_hash"],
        created_at=codec.from_ms(row["created_at"]),
        identities=identities,
        is_disabled=bool(row["is_disabled"]),
        version=row["version"],
    )


def session_of(row: sqlite3.Row) -> Session:
    """Return the session of a row."""
    return Session(
        session_id=row["session_id"],
        user_id=row["user_id"],
        nonce=row["nonce"],
        generation=row["generation"],
        created_at=codec.from_ms(row["created_at"]),
        rotated_at=codec.from_ms(row["rotated_at"]),
        expires_at=codec.from_ms(row["expires_at"]),
        client=row["client"],
        address=row["address"],
        ended_at=codec.from_optional_ms(row["ended_at"]),
        end_reason=row["end_reason"],
    )


def api_key_of(row: sqlite3.Row) -> ApiKey:
    """Return the API key of a row."""
    return ApiKey(
        key_id=row["key_id"],
        user_id=row["user_id"],
        name=row["name"],
        key_hash=row["key_hash"],
        scopes=frozenset(row["scopes"].split()),
        created_at=codec.from_ms(row["created_at"]),
        expires_at=codec.from_optional_ms(row["expires_at"]),
        last_used_at=codec.from_optional_ms(row["last_used_at"]),
        revoked_at=codec.from_optional_ms(row["revoked_at"]),
    )


def entry_of(row: sqlite3.Row) -> AuditEntry:
    """Return the audit entry of a row."""
    return AuditEntry(
        entry_id=row["entry_id"],
        at=codec.from_ms(row["at"]),
        who=row["who"],
        action=row["action"],
        subject=row["subject"],
        why=row["why"],
        address=row["address"],
        request_id=row["request_id"],
        details=codec.load_details(row["details"]),
    )
