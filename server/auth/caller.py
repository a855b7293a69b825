"""Who sends a request: whose conversations they see, and whether they operate the service."""

from dataclasses import dataclass

from accounts.model import Role, Scope


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose conversations a request may see and change.

    `session_id` is None for guests and for API keys: they have not signed in.
    """

    owner_id: str
    role: Role = "guest"
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request's credentials prove; nothing at all is a caller, too.

    Args:
        owner: Whose conversations; None: nobody's, or an API key that is not for chats.
        operator: By which proof they operate the service, for the audit; None: they do not.
        scopes: What an API key is for.
        has_ended: They are who they say, but their session is over.
    """

    owner: Owner | None = None
    operator: str | None = None
    scopes: frozenset[Scope] = frozenset()
    has_ended: bool = False
