"""Everything that can go wrong with accounts.

AccountsError
├── UserNotFoundError          no such user
├── EmailTakenError            another user has this address, or this provider's identity
├── UserChangedError           somebody else changed the user since it was read
├── LastAdminError             nobody would be left to administer
├── SessionNotFoundError       no such session
├── SessionEndedError          the session is over
├── RefreshReusedError         a used refresh token came again: its session is over now
├── ApiKeyNotFoundError        no such API key
├── TooManyApiKeysError        the user has as many as one may have
├── PasswordsBusyError         too many passwords wait to be checked
└── AccountsUnavailableError   the store did not answer in time
"""

from typing import ClassVar

from accounts.model import EndReason


class AccountsError(Exception):
    """Base of the package's errors; `code` is stable and goes on the wire."""

    code: ClassVar[str] = "accounts_error"
    retryable: ClassVar[bool] = False


class UserNotFoundError(AccountsError):
    """No such user."""

    code = "user_not_found"


class EmailTakenError(AccountsError):
    """Another user has the address, the provider's identity or the id."""

    code = "email_taken"


class UserChangedError(AccountsError):
    """A user is not at the version that the caller has seen."""

    code = "version_conflict"

    def __init__(self, user_id: str, version: int) -> None:
        super().__init__(user_id)
        self.version = version


class LastAdminError(AccountsError):
    """The only admin that may sign in would be none any more."""

    code = "last_admin"


class SessionNotFoundError(AccountsError):
    """No such session, or another user's."""

    code = "session_not_found"


class SessionEndedError(AccountsError):
    """The session is over; sign in again."""

    code = "session_ended"

    def __init__(self, session_id: str, reason: EndReason) -> None:
        super().__init__(session_id)
        self.reason = reason


class RefreshReusedError(SessionEndedError):
    """A refresh token that had been used came again: somebody has a copy. The session is over."""

    code = "refresh_reused"

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id, "reused")


class ApiKeyNotFoundError(AccountsError):
    """No such API key, or another user's."""

    code = "api_key_not_found"


class TooManyApiKeysError(AccountsError):
    """The user has `MAX_API_KEYS` that are not revoked."""

    code = "too_many_api_keys"


class PasswordsBusyError(AccountsError):
    """Too many passwords wait to be hashed or checked; nothing was done."""

    code = "passwords_busy"
    retryable = True

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class AccountsUnavailableError(AccountsError):
    """The store did not answer within its deadline."""

    code = "accounts_unavailable"
    retryable = True
