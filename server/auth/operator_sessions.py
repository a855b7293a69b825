"""Operators' sign-in without an account: the operators' token in exchange for a signed cookie.

Nothing is stored. A cookie is good for eight hours, on every worker that has the same session
secret and the same token; with another token none of the old ones is.
"""

import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from itsdangerous import BadSignature, TimestampSigner

COOKIE = "chat_operator"
MAX_AGE_S = 8 * 3600
"""A working day: a browser that was left open is nobody's key the next morning."""

_SUBJECT = b"operator"


class OperatorSessions:
    """Signs and reads operators' cookies. Forged, damaged or old ones are as good as none.

    Args:
        secret: The session secret.
        token: The operators' token.
        now: Seconds since 1970.
    """

    def __init__(self, secret: str, token: str, *, now: Callable[[], float] = time.time) -> None:
        self._signer = _Signer(hmac.digest(secret.encode(), token.encode(), "sha256"), now)
        self._token = token.encode()

    def is_token(self, given: bytes) -> bool:
        """Say whether it is the operators' token; how long that takes tells nothing of it."""
        return hmac.compare_digest(given, self._token)

    def make(self) -> tuple[str, datetime]:
        """Return a new cookie and when it ends."""
        cookie = self._signer.sign(_SUBJECT).decode("ascii")
        return cookie, self._signer.signed_at(cookie) + timedelta(seconds=MAX_AGE_S)

    def ends_at(self, cookie: str) -> datetime | None:
        """Return when a cookie ends; None for one that is not good."""
        try:
            return self._signer.signed_at(cookie) + timedelta(seconds=MAX_AGE_S)
        except BadSignature:
            return None


class _Signer(TimestampSigner):
    """Knows the time from a clock that it is given."""

    def __init__(self, key: bytes, now: Callable[[], float]) -> None:
        super().__init__(key, salt="chat-operator")
        self._now = now

    def get_timestamp(self) -> int:
        return int(self._now())

    def signed_at(self, cookie: str) -> datetime:
        """Return when a cookie was made.

        Raises:
            BadSignature: it is not ours, or too old.
        """
        _, at = self.unsign(cookie, max_age=MAX_AGE_S, return_timestamp=True)
        return at.astimezone(UTC)
