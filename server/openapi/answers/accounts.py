"""Accounts, as their users see them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from accounts.model import Scope
from server.openapi.answer import Maybe, Told


class OwnAccount(Told):
    """An account; of a guest only `user_id` and `role` are told."""

    user_id: str
    role: Literal["guest", "user", "admin"]
    email: str | Maybe = None
    name: str | Maybe = None
    created_at: datetime | Maybe = None
    has_password: bool | Maybe = None


class Me(Told):
    """Who one is."""

    user: OwnAccount


class SignedIn(Told):
    """Who has signed in; a browser is told no tokens, they are in its cookies."""

    user: OwnAccount
    expires_in: int = Field(description="Seconds that the access token is good.")
    access_token: str | Maybe = None
    token_type: Literal["Bearer"] | Maybe = None
    refresh_token: str | Maybe = None


class Provider(Told):
    """An OpenID Connect provider."""

    name: str
    url: str


class SignInOptions(Told):
    """In which ways one can sign in."""

    guests: bool
    registration: bool
    oidc: Provider | None


class OwnSession(Told):
    """A sign-in on one device."""

    session_id: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    client: str = Field(description="The `User-Agent` that signed in.")
    address: str
    is_this: bool


class OwnSessions(Told):
    """One's sign-ins."""

    sessions: list[OwnSession]


class OwnApiKey(Told):
    """An API key; the key itself is told once."""

    key_id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="At most a minute or so behind.")
    revoked_at: datetime | None


class NewApiKeyTold(OwnApiKey):
    """A new key."""

    key: str


class OwnApiKeys(Told):
    """One's keys."""

    api_keys: list[OwnApiKey]
