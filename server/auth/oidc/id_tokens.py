"""ID tokens: whom a provider says that a browser's user is.

Source: OpenID Connect Core 1.0 §3.1.3.7; RFC 8725.
"""

import warnings

from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from server.auth.oidc.attempts import Attempt
from server.auth.oidc.claims import Claims
from server.auth.oidc.discovery import Discovery
from server.auth.oidc.errors import OidcError

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
"""With a key of the provider's own; never `none`, never one whose key could be a public text."""
LEEWAY_S = 60
"""Clocks differ."""
MAX_SUBJECT_CHARS = 255
MAX_TOKEN_CHARS = 65_536

_REGISTRY = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
_FAULTS = (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError)


class IdTokens:
    """Checks ID tokens.

    Args:
        issuer: Who must have made them.
        client_id: For whom they must be: us.
        discovery: Tells the provider's keys.
    """

    def __init__(self, *, issuer: str, client_id: str, discovery: Discovery) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._discovery = discovery

    async def read(self, token: object, *, attempt: Attempt, access_token: str) -> Claims:
        """Return what a token says.

        Raises:
            OidcError: `provider_untrusted`: it proves nothing; `provider_unavailable`: the keys to
                check it with cannot be had.
        """
        if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARS:
            raise OidcError("provider_untrusted", "there is no ID token")
        try:
            header = jws.extract_compact(token.encode(), registry=_REGISTRY).headers()
            signed = _signed(token, await self._discovery.keys_for(header))
            self._check(signed, attempt, access_token)
        except _FAULTS as error:
            raise OidcError("provider_untrusted", _reason(error)) from None
        return claims_of(signed.claims)

    def _check(self, signed: jwt.Token, attempt: Attempt, access_token: str) -> None:
        claims = CodeIDToken(
            signed.claims,
            signed.header,
            options={
                "iss": {"essential": True, "value": self._issuer},
                "aud": {"essential": True, "value": self._client_id},
                "sub": {"essential": True},
            },
            params={
                "nonce": attempt.nonce,
                "client_id": self._client_id,
                "access_token": access_token,
            },
        )
        claims.validate(leeway=LEEWAY_S)


def claims_of(told: dict[str, object]) -> Claims:
    """Return what an ID token, or the userinfo endpoint, says of a user.

    Raises:
        OidcError: `provider_untrusted`: it does not say who it is.
    """
    subject, email, name = (told.get(key) for key in ("sub", "email", "name"))
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARS:
        raise OidcError("provider_untrusted", "its subject cannot be used")
    return Claims(
        subject=subject,
        email=email if isinstance(email, str) else "",
        is_email_verified=told.get("email_verified") in (True, "true"),
        name=name if isinstance(name, str) else "",
    )


def _signed(token: str, keys: KeySet) -> jwt.Token:
    """Return a token whose signature is good."""
    with warnings.catch_warnings():  # of `EdDSA`, which providers write where `Ed25519` is newer
        warnings.simplefilter("ignore", SecurityWarning)
        return jwt.decode(token, keys, algorithms=ALGORITHMS, registry=_REGISTRY)


def _reason(error: Exception) -> str:
    """Name what is wrong; of the token itself nothing is quoted but a claim's name."""
    claim = getattr(error, "claim", None) or getattr(error, "claim_name", "")
    return f"{type(error).__name__} {claim}".strip()
