"""The seam: who may sign in. MongoDB and SQLite both keep these promises.

Every method answers within the adapter's own deadline or raises `AccountsUnavailableError`; every
write is one step that a crash leaves whole or undone, and may be repeated with the same arguments
without a second effect.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from accounts.model import ApiKey, AuditEntry, EndReason, Identity, Page, Session, User

MAX_API_KEYS = 20
"""Of one user, revoked ones not counted."""

MAX_SESSIONS_LISTED = 100
MAX_KEYS_LISTED = 100
"""Of those that are good, and of those that are revoked."""


class Users(Protocol):
    """Who has an account."""

    async def create(self, user: User) -> User:
        """Store a new user.

        Raises:
            EmailTakenError: the address, one of the identities or the id is another user's.
        """
        ...

    async def get(self, user_id: str) -> User:
        """Return one user, disabled or not.

        Raises:
            UserNotFoundError: there is none.
        """
        ...

    async def find(self, *, email: str = "", identity: Identity | None = None) -> User:
        """Return the user of a normalised address, or of a provider's identity.

        Raises:
            UserNotFoundError: there is none.
        """
        ...

    async def list(
        self, *, limit: int, cursor: str | None = None, email_contains: str = ""
    ) -> Page[User]:
        """Return a page of users by address. The text is found as it stands: it is no pattern.

        Raises:
            ValueError: the cursor is not one of ours.
        """
        ...

    async def put(self, user: User, *, if_version: int) -> User:
        """Replace the user of this id; its version grows by one.

        Raises:
            UserNotFoundError: there is none.
            UserChangedError: another version is stored; nothing was written.
            EmailTakenError: the address or an identity is another user's.
            LastAdminError: it is the only enabled admin, and would be one no more.
        """
        ...


class Sessions(Protocol):
    """Sign-ins."""

    async def begin(self, session: Session) -> None:
        """Store a new session."""
        ...

    async def get(self, session_id: str) -> Session:
        """Return a session, ended or not, until a day after it expired.

        Raises:
            SessionNotFoundError: there is none.
        """
        ...

    async def rotate(
        self, session_id: str, *, generation: int, now: datetime, grace: timedelta
    ) -> Session:
        """Use up the refresh token of a generation; return the session with the next one.

        The token used last is taken again for `grace` after its use, and gives the same next
        token: parallel refreshes and lost answers do not part a family. Anything older ends it.

        Raises:
            SessionNotFoundError: there is none.
            SessionEndedError: it is over, or expired.
            RefreshReusedError: the token had been used; the session is over now.
        """
        ...

    async def end(
        self,
        *,
        user_id: str,
        session_id: str | None = None,
        but: str | None = None,
        reason: EndReason,
        now: datetime,
    ) -> int:
        """End one session of a user, or all (but one); return how many were not over yet."""
        ...

    async def list(self, user_id: str) -> Sequence[Session]:
        """Return a user's sessions that are not over, newest first, at most 100."""
        ...

    async def ended(self, session_ids: Collection[str], *, now: datetime) -> frozenset[str]:
        """Return which of these (at most 1,000) are over, expired or not there."""
        ...


class ApiKeys(Protocol):
    """Keys of server-to-server callers."""

    async def create(self, key: ApiKey) -> None:
        """Store a new key.

        Raises:
            TooManyApiKeysError: its user has `MAX_API_KEYS`.
        """
        ...

    async def get(self, key_id: str) -> ApiKey:
        """Return a key, revoked or not.

        Raises:
            ApiKeyNotFoundError: there is none.
        """
        ...

    async def list(self, user_id: str) -> Sequence[ApiKey]:
        """Return a user's keys, newest first; revoked ones for 30 days, the newest 100."""
        ...

    async def revoke(self, user_id: str, key_id: str, *, now: datetime) -> None:
        """Make a key worthless; again is nothing new.

        Raises:
            ApiKeyNotFoundError: there is none, or it is another user's.
        """
        ...

    async def used(self, key_id: str, *, at: datetime) -> None:
        """Note a use; callers do so at most once a minute."""
        ...


class Audit(Protocol):
    """What was done about accounts: entries are added, nothing else."""

    async def add(self, entry: AuditEntry) -> None:
        """Write an entry down; the same `entry_id` again is nothing new."""
        ...

    async def list(
        self, *, limit: int, cursor: str | None = None, subject: str = "", who: str = ""
    ) -> Page[AuditEntry]:
        """Return a page, newest first; of one subject, or of one actor, where given.

        Raises:
            ValueError: the cursor is not one of ours.
        """
        ...


class Accounts(Protocol):
    """The whole seam: one store, opened before and closed after use."""

    @property
    def users(self) -> Users: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def api_keys(self) -> ApiKeys: ...
    @property
    def audit(self) -> Audit: ...

    async def open(self) -> None:
        """Create tables or indexes."""
        ...

    async def sweep(self, now: datetime) -> None:
        """Remove sessions a day after their end, and keys 30 days after theirs."""
        ...

    async def verify_indexes(self) -> Sequence[str]:
        """Return the names of indexes that queries need and that are missing."""
        ...
