"""What callers are told whose credentials do not count."""

import math

from server.auth.caller import Fault
from server.errors import RETRY_AFTER_S, ProblemError

_INVALID = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
"""RFC 6750 3."""


def refused(fault: Fault) -> ProblemError:
    """Return the refusal of credentials that do not count."""
    match fault.kind:
        case "session_ended":
            return ProblemError(
                401, "session_ended", "Your session has ended; sign in again.", headers=_INVALID
            )
        case "token_expired":
            return ProblemError(
                401,
                "token_expired",
                "The access token has expired; make another one: POST /api/v1/auth/refresh.",
                headers=_INVALID,
            )
        case "too_many_tries":
            return ProblemError(
                429,
                "too_many_tries",
                "This address has sent many wrong tokens; check yours, then try again.",
                headers={"Retry-After": str(max(1, math.ceil(fault.wait_s)))},
            )
        case "accounts_unavailable":
            return ProblemError(
                503,
                "accounts_unavailable",
                "The accounts cannot be reached; try again in a moment.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        case "proves_nothing":
            return ProblemError(
                401,
                "unauthenticated",
                "The bearer token proves nothing here; sign in, or send a good one.",
                headers=_INVALID,
            )
