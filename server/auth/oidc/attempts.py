"""A sign-in under way: what one browser was sent to the provider with.

It is kept in that browser, signed: nothing is stored here, every worker can go on with it, and
nobody else's browser can (RFC 9700 §4.7).
"""

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from itsdangerous import BadSignature, URLSafeTimedSerializer
from itsdangerous.timed import TimestampSigner

MAX_AGE_S = 600
"""To sign in at the provider, a second factor included."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to sign in.

    Args:
        state: Comes back with the code; tells that this browser had asked.
        nonce: Comes back in the ID token; tells that it was made for this try.
        verifier: PKCE: without it the code is worth nothing.
        target: Where to go then: a path of ours.
    """

    state: str
    nonce: str
    verifier: str
    target: str


class Attempts:
    """Makes tries, and the cookies they are kept in. Forged or old ones are as good as none.

    Args:
        secret: The session secret.
        now: Seconds since 1970.
    """

    def __init__(self, secret: str, *, now: Callable[[], float] = time.time) -> None:
        class Signer(TimestampSigner):
            def get_timestamp(self) -> int:
                return int(now())

        self._signer: URLSafeTimedSerializer = URLSafeTimedSerializer(
            secret, salt="chat-oidc", signer=Signer
        )

    def make(self, target: str) -> tuple[Attempt, str]:
        """Return a new try and its cookie."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(state, nonce, verifier, target)
        return attempt, self._signer.dumps(asdict(attempt))

    def read(self, cookie: str, state: str) -> Attempt | None:
        """Return the try that a cookie tells of, if it is the one of the state."""
        try:
            attempt = Attempt(**self._signer.loads(cookie, max_age=MAX_AGE_S))
        except (BadSignature, TypeError):
            return None
        is_same = hmac.compare_digest(attempt.state.encode(), state.encode())
        return attempt if is_same else None
