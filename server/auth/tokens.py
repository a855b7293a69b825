"""What a sign-in gives: a short-lived access token, and a refresh token that makes the next one.

An access token is a JWT that only our own servers read, so it is signed with HS256: a public key
would have no reader (docs/adr/0017-sign-in-tokens.md). A refresh token is opaque, and is made of
what is stored together with our secret: a copy of the store is no key.

Source: RFC 7519; RFC 8725 (one algorithm, all claims required); RFC 9068 (`at+jwt`); RFC 9700 4.14
(rotation).
"""

import hashlib
import hmac
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jwt

from accounts.model import Role, Session, User

MAX_TOKEN_CHARS = 4096
"""Longer ones are refused unread."""
LEEWAY_S = 5.0
"""By which our servers' clocks may differ."""

_ALGORITHM = "HS256"
_TYPE = "at+jwt"
_CLAIMS = ("iss", "aud", "sub", "sid", "role", "iat", "nbf", "exp", "jti")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_ROLES: Mapping[object, Role] = {"user": "user", "admin": "admin"}
_REFRESH_PREFIX = "rt_"
_GENERATION_BYTES = 4
_PROOF_BYTES = 32
_MAX_REFRESH_CHARS = 256


class TokenError(Exception):
    """A token proves nothing now.

    Args:
        reason: `expired`: it is ours, and was good; `invalid`: anything else.
    """

    def __init__(self, reason: Literal["expired", "invalid"]) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """Whom an access token names."""

    user_id: str
    session_id: str
    role: Role


class AccessTokens:
    """Issues and reads access tokens.

    Args:
        ring: Secrets; the first one signs, tokens of the others are good until they expire.
        issuer: `iss`.
        audience: `aud`.
        lifetime_s: Seconds that a token is good.
    """

    def __init__(
        self, ring: Sequence[str], *, issuer: str, audience: str, lifetime_s: float
    ) -> None:
        self._ring = {key_id(secret): secret for secret in ring}
        self._signing = key_id(ring[0])
        self._issuer = issuer
        self._audience = audience
        self.lifetime_s = int(lifetime_s)

    def issue(self, user: User, session_id: str) -> str:
        """Return a new token of a user's session."""
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user.user_id,
            "sid": session_id,
            "role": user.role,
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime_s,
            "jti": secrets.token_urlsafe(12),
        }
        headers = {"typ": _TYPE, "kid": self._signing}
        return jwt.encode(claims, self._ring[self._signing], _ALGORITHM, headers)

    def read(self, token: str) -> AccessClaims:
        """Return whom a token names.

        Nothing that its header names is fetched or looked up: `kid` only picks a secret of ours.

        Raises:
            TokenError: it is not ours, not for us, not good yet or no more.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenError("invalid")
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            if header.get("typ") != _TYPE or not isinstance(kid, str) or kid not in self._ring:
                raise TokenError("invalid")
            claims = jwt.decode(
                token,
                self._ring[kid],
                algorithms=[_ALGORITHM],
                options={"require": list(_CLAIMS)},
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
            )
        except jwt.ExpiredSignatureError:  # the signature was checked before
            raise TokenError("expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            raise TokenError("invalid") from None
        return _named_by(claims)


def _named_by(claims: Mapping[str, object]) -> AccessClaims:
    user_id, session_id = claims["sub"], claims["sid"]
    role = _ROLES.get(claims["role"]) if isinstance(claims["role"], str) else None
    if not _is_id(user_id) or not _is_id(session_id) or role is None:
        raise TokenError("invalid")
    return AccessClaims(str(user_id), str(session_id), role)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def key_id(secret: str) -> str:
    """Return what names a secret in `kid`: it tells nothing of the secret."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class RefreshClaim:
    """What a refresh token says of itself; nothing is proved before `RefreshTokens.is_proved`."""

    session_id: str
    generation: int
    proof: bytes


class RefreshTokens:
    """Makes and checks refresh tokens: `rt_`, then session, generation and proof in base64url.

    Args:
        ring: Secrets; the first one makes, tokens of the others are still taken.
    """

    def __init__(self, ring: Sequence[str]) -> None:
        self._keys = [hmac.digest(s.encode(), b"chat-refresh", "sha256") for s in ring]

    def make(self, session: Session) -> str:
        """Return the token of a session's generation: always the same one."""
        value = (
            session.session_id.encode("ascii")
            + session.generation.to_bytes(_GENERATION_BYTES, "big")
            + _proof(self._keys[0], session.session_id, session.generation, session.nonce)
        )
        return _REFRESH_PREFIX + urlsafe_b64encode(value).decode("ascii").rstrip("=")

    def read(self, token: str) -> RefreshClaim:
        """Return what a token says of itself.

        Raises:
            TokenError: it cannot be one of ours.
        """
        if not token.startswith(_REFRESH_PREFIX) or len(token) > _MAX_REFRESH_CHARS:
            raise TokenError("invalid")
        encoded = token.removeprefix(_REFRESH_PREFIX)
        try:
            value = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            session_id = value[: -_GENERATION_BYTES - _PROOF_BYTES].decode("ascii")
        except ValueError:
            raise TokenError("invalid") from None
        if not _is_id(session_id):
            raise TokenError("invalid")
        generation = int.from_bytes(value[-_GENERATION_BYTES - _PROOF_BYTES : -_PROOF_BYTES], "big")
        return RefreshClaim(session_id, generation, value[-_PROOF_BYTES:])

    def is_proved(self, claim: RefreshClaim, session: Session) -> bool:
        """Say whether a token is of this session; how long that takes tells nothing of it."""
        is_proved = False
        for key in self._keys:
            proof = _proof(key, session.session_id, claim.generation, session.nonce)
            is_proved |= hmac.compare_digest(proof, claim.proof)
        return is_proved


def _proof(key: bytes, session_id: str, generation: int, nonce: str) -> bytes:
    return hmac.digest(key, f"{session_id}|{generation}|{nonce}".encode(), "sha256")
