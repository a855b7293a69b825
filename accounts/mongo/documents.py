"""Documents and indexes of accounts, and how they become values."""

from hashlib import sha256
from typing import TypedDict

from accounts import codec
from accounts.model import ApiKey, AuditEntry, EndReason, Identity, Role, Scope, Session, User
from storage.mongo import Index

RECORD_VERSION = 1

INDEXES = (
    Index("users", (("email", 1),), unique=True),
    Index("users", (("role", 1),)),
    Index("sessions", (("user_id", 1), ("created_at", -1))),
    Index("sessions", (("expires_at", 1),)),
    Index("api_keys", (("user_id", 1), ("created_at", -1))),
    Index("api_keys", (("slot", 1),), unique=True),
    Index("audit_log", (("entry_id", -1),)),
    Index("audit_log", (("subject", 1), ("entry_id", -1))),
    Index("audit_log", (("who", 1), ("entry_id", -1))),
)


class IdentityDoc(TypedDict):
    """How a provider names a user."""

    issuer: str
    subject: str


class UserDoc(TypedDict):
    """A user."""

    _id: str
    email: str
    name: str
    role: Role
    password_hash: str | None
    identities: list[IdentityDoc]
    is_disabled: bool
    created_at: int
    version: int
    v: int


class ClaimDoc(TypedDict):
    """Whose an identity is, if their document says so, too; `_id` is `identity_key`."""

    _id: str
    user_id: str
    at: int


class DemotionDoc(TypedDict):
    """The one demotion of an admin that is under way; `token` is empty where none is."""

    _id: str
    token: str
    user_id: str
    version: int
    at: int


class SessionDoc(TypedDict):
    """A session."""

    _id: str
    user_id: str
    nonce: str
    generation: int
    created_at: int
    rotated_at: int
    expires_at: int
    client: str
    address: str
    ended_at: int | None
    end_reason: EndReason | None
    v: int


class ApiKeyDoc(TypedDict):
    """An API key. Slots are unique, and there are no more of a user than keys are allowed."""

    _id: str
    user_id: str
    slot: str
    name: str
    key_hash: str
    scopes: list[Scope]
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None
    v: int


class AuditDoc(TypedDict):
    """An audit entry; details are JSON, for their keys may be any text.

    Its id stands there twice: nx-27017 has no index of `_id` and another field.
    """

    _id: str
    entry_id: str
    at: int
    who: str
    action: str
    subject: str
    why: str
    address: str
    request_id: str
    details: str
    v: int


def identity_key(identity: Identity) -> str:
    """Return the id of an identity's claim; short whatever the provider says."""
    return sha256(f"{identity.issuer}\n{identity.subject}".encode()).hexdigest()


def user_doc(user: User) -> UserDoc:
    """Return the document of a new user."""
    return {
        "_id": user.user_id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "password_hash": user.password_hash,
        "identities": [
            {"issuer": identity.issuer, "subject": identity.subject} for identity in user.identities
        ],
        "is_disabled": user.is_disabled,
        "created_at": codec.to_ms(user.created_at),
        "version": 1,
        "v": RECORD_VERSION,
    }


def user_of(doc: UserDoc) -> User:
    """Return the user of a document."""
    return User(
        user_id=doc["_id"],
        email=doc["email"],
        name=doc["name"],
        role=doc["role"],
        password_hash=doc["password_hash"],
        created_at=codec.from_ms(doc["created_at"]),
        identities=tuple(
            Identity(identity["issuer"], identity["subject"]) for identity in doc["identities"]
        ),
        is_disabled=doc["is_disabled"],
        version=doc["version"],
    )


def session_doc(session: Session) -> SessionDoc:
    """Return the document of a session."""
    return {
        "_id": session.session_id,
        "user_id": session.user_id,
        "nonce": session.nonce,
        "generation": session.generation,
        "created_at": codec.to_ms(session.created_at),
        "rotated_at": codec.to_ms(session.rotated_at),
        "expires_at": codec.to_ms(session.expires_at),
        "client": session.client,
        "address": session.address,
        "ended_at": codec.to_optional_ms(session.ended_at),
        "end_reason": session.end_reason,
        "v": RECORD_VERSION,
    }


def session_of(doc: SessionDoc) -> Session:
    """Return the session of a document."""
    return Session(
        session_id=doc["_id"],
        user_id=doc["user_id"],
        nonce=doc["nonce"],
        generation=doc["generation"],
        created_at=codec.from_ms(doc["created_at"]),
        rotated_at=codec.from_ms(doc["rotated_at"]),
        expires_at=codec.from_ms(doc["expires_at"]),
        client=doc["client"],
        address=doc["address"],
        ended_at=codec.from_optional_ms(doc["ended_at"]),
        end_reason=doc["end_reason"],
    )


def api_key_doc(key: ApiKey, slot: str) -> ApiKeyDoc:
    """Return the document of an API key."""
    return {
        "_id": key.key_id,
        "user_id": key.user_id,
        "slot": slot,
        "name": key.name,
        "key_hash": key.key_hash,
        "scopes": sorted(key.scopes),
        "created_at": codec.to_ms(key.created_at),
        "expires_at": codec.to_optional_ms(key.expires_at),
        "last_used_at": codec.to_optional_ms(key.last_used_at),
        "revoked_at": codec.to_optional_ms(key.revoked_at),
        "v": RECORD_VERSION,
    }


def api_key_of(doc: ApiKeyDoc) -> ApiKey:
    """Return the API key of a document."""
    return ApiKey(
        key_id=doc["_id"],
        user_id=doc["user_id"],
        name=doc["name"],
        key_hash=doc["key_hash"],
        scopes=frozenset(doc["scopes"]),
        created_at=codec.from_ms(doc["created_at"]),
        expires_at=codec.from_optional_ms(doc["expires_at"]),
        last_used_at=codec.from_optional_ms(doc["last_used_at"]),
        revoked_at=codec.from_optional_ms(doc["revoked_at"]),
    )


def entry_doc(entry: AuditEntry) -> AuditDoc:
    """Return the document of an audit entry."""
    return {
        "_id": entry.entry_id,
        "entry_id": entry.entry_id,
        "at": codec.to_ms(entry.at),
        "who": entry.who,
        "action": entry.action,
        "subject": entry.subject,
        "why": entry.why,
        "address": entry.address,
        "request_id": entry.request_id,
        "details": codec.dump_details(entry.details),
        "v": RECORD_VERSION,
    }


def entry_of(doc: AuditDoc) -> AuditEntry:
    """Return the audit entry of a document."""
    return AuditEntry(
        entry_id=doc["_id"],
        at=codec.from_ms(doc["at"]),
        who=doc["who"],
        action=doc["action"],
        subject=doc["subject"],
        why=doc["why"],
        address=doc["address"],
        request_id=doc["request_id"],
        details=codec.load_details(doc["details"]),
    )
