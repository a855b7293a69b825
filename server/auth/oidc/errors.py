"""Why a sign-in with a provider does not come about."""

from typing import Literal

Code = Literal[
    "expired",
    "refused",
    "provider_unavailable",
    "provider_untrusted",
    "email_missing",
    "email_not_verified",
    "email_in_use",
    "registration_closed",
    "account_disabled",
    "unavailable",
]
"""Stable: the page has a sentence for each, and `docs/oidc.md` says what to do."""


class OidcError(Exception):
    """A sign-in that does not come about.

    Args:
        code: What the browser is told.
        reason: For the log alone; never a token, a code or a secret.
    """

    def __init__(self, code: Code, reason: str = "") -> None:
        super().__init__(code)
        self.code: Code = code
        self.reason = reason
