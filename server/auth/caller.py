"""Who sends a request: whose conversations they see, and whether they operate the service."""

from dataclasses import dataclass
from typing import Literal

from accounts.model import Role, Scope

FaultKind = Literal[
    "session_ended", "token_expired", "proves_nothing", "too_many_tries", "accounts_unavailable"
]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose conversations a request may see and change.

    `session_id` is None for guests and for API keys: they have not signed in.
    """

    owner_id: str
    role: Role = "guest"
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why credentials that were sent do not count.

    Args:
        kind: What is wrong with them.
        by_bearer: They came in `Authorization`: whoever sends that must not become a guest.
        wait_s: Seconds until they may be tried again.
    """

    kind: FaultKind
    by_bearer: bool = False
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request's credentials prove; nothing at all is a caller, too.

    Args:
        owner: Whose conversations; None: nobody's, or an API key that is not for chats.
        operator: By which proof they operate the service, for the audit; None: they do not.
        scopes: What an API key is for.
        fault: Why credentials of theirs do not count; the others may.
    """

    owner: Owner | None = None
    operator: str | None = None
    scopes: frozenset[Scope] = frozenset()
    fault: Fault | None = None
