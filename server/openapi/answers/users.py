"""Users, their sign-ins and API keys, and the audit log, as operators see them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from accounts.model import Scope
from server.openapi.answer import Told


class UserIdentity(Told):
    """How a provider names a user."""

    issuer: str
    subject: str


class User(Told):
    """Who may sign in."""

    user_id: str
    email: str
    name: str
    role: Literal["user", "admin"]
    is_disabled: bool
    has_password: bool = Field(description="Without one they sign in with a provider.")
    identities: list[UserIdentity]
    created_at: datetime
    version: int


class Users(Told):
    """A page of users, by address."""

    users: list[User]
    next: str | None


class SignInSession(Told):
    """A sign-in on one device."""

    session_id: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    client: str = Field(description="The `User-Agent` that signed in.")
    address: str


class SignInSessions(Told):
    """A user's sign-ins that are not over, newest first."""

    sessions: list[SignInSession]
    next: None


class EndedSessions(Told):
    """What was ended."""

    ended: int = Field(description="How many were not over yet.")


class UserApiKey(Told):
    """An API key; the key itself was shown once, to its user."""

    key_id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class UserApiKeys(Told):
    """A user's API keys, newest first; revoked ones for 30 days."""

    api_keys: list[UserApiKey]
    next: None


class AuditEntry(Told):
    """Something that was done; entries are never altered."""

    entry_id: str
    at: datetime
    who: str = Field(description="A user id; `admin_token`, `admin_cookie` or `cli` without one.")
    action: str = Field(description="With `.undone` behind it: it was refused after all.")
    subject: str
    why: str
    address: str
    request_id: str
    details: dict[str, object]


class AuditEntries(Told):
    """A page of the audit log, newest first."""

    entries: list[AuditEntry]
    next: str | None
