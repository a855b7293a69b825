"""What a provider says of itself: its addresses and keys, kept for an hour.

Source: OpenID Connect Discovery 1.0; RFC 7517.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import anyio
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, Key, KeySet, RSAKey
from joserfc.registry import Header

from server.auth.oidc.calls import Document, ProviderCalls
from server.auth.oidc.errors import OidcError

KEPT_S = 3600.0
FAILED_S = 5.0
"""A provider that has failed is left alone so long: who comes meanwhile is told at once."""
KEYS_AGAIN_S = 10.0
"""For a key that is not among them, keys are read anew at most so often."""
MAX_KEYS = 50
MIN_RSA_BITS = 2048
_KINDS = frozenset({"RSA", "EC", "OKP"})


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider's addresses, and how it wants things.

    Args:
        authorization_endpoint: Where browsers sign in.
        token_endpoint: Where codes are exchanged.
        jwks_uri: Where its keys are.
        userinfo_endpoint: Where more is told of a user; None: nowhere.
        wants_secret_in_form: It takes no HTTP Basic.
        names_itself: Its answers to browsers carry `iss` (RFC 9207).
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    wants_secret_in_form: bool
    names_itself: bool


class Discovery:
    """Reads and keeps what the provider says of itself.

    Args:
        issuer: Its name, and the beginning of its address.
        calls: To it.
        clock: Monotonic seconds.
    """

    def __init__(
        self, issuer: str, calls: ProviderCalls, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._calls = calls
        self._clock = clock
        self._lock = anyio.Lock()
        self._provider: Provider | None = None
        self._keys: KeySet | None = None
        self._read_at = self._keys_read_at = self._sought_at = self._failed_at = -KEPT_S

    async def provider(self) -> Provider:
        """Return the provider's addresses.

        Raises:
            OidcError: `provider_unavailable`: it does not tell them, or others than its own.
        """
        async with self._lock:
            if self._provider is None or self._clock() - self._read_at > KEPT_S:
                self._provider = await self._read_provider()
                self._read_at = self._clock()
            return self._provider

    async def keys_for(self, header: Header) -> KeySet:
        """Return the keys to check a token with: read again where they lack the token's.

        Raises:
            OidcError: `provider_unavailable`: it does not tell them.
        """
        provider = await self.provider()
        async with self._lock:
            keys = self._keys
            is_old = self._clock() - self._keys_read_at > KEPT_S
            if keys is None or is_old or (not _has(keys, header.get("kid")) and self._may_seek()):
                keys = self._keys = await self._read_keys(provider)
            return keys

    def _may_seek(self) -> bool:
        """Say whether keys may be read anew for one that is not known, and note that they are."""
        is_due = self._clock() - self._sought_at > KEYS_AGAIN_S
        self._sought_at = self._clock() if is_due else self._sought_at
        return is_due

    async def _read_keys(self, provider: Provider) -> KeySet:
        keys = _key_set(await self._get(provider.jwks_uri))
        self._keys_read_at = self._clock()
        return keys

    async def _read_provider(self) -> Provider:
        url = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        document = await self._get(url)
        if document.get("issuer") != self._issuer:
            raise OidcError("provider_unavailable", "it names another issuer than OIDC_ISSUER")
        scheme = urlsplit(self._issuer).scheme
        methods = document.get("token_endpoint_auth_methods_supported")
        return Provider(
            authorization_endpoint=_address(document, "authorization_endpoint", scheme),
            token_endpoint=_address(document, "token_endpoint", scheme),
            jwks_uri=_address(document, "jwks_uri", scheme),
            userinfo_endpoint=(
                _address(document, "userinfo_endpoint", scheme)
                if "userinfo_endpoint" in document
                else None
            ),
            wants_secret_in_form=isinstance(methods, list)
            and "client_secret_basic" not in methods
            and "client_secret_post" in methods,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _get(self, url: str) -> Document:
        if self._clock() - self._failed_at < FAILED_S:
            raise OidcError("provider_unavailable", "it has just failed")
        try:
            return await self._calls.get(url)
        except OidcError:
            self._failed_at = self._clock()
            raise


def _address(document: Document, name: str, scheme: str) -> str:
    """Return an address, which must be as safe as the issuer's own."""
    address = document.get(name)
    try:
        parts = urlsplit(address) if isinstance(address, str) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in {"https", scheme} or not parts.hostname:
        raise OidcError("provider_unavailable", f"its {name} cannot be used")
    return parts.geturl()


def _key_set(document: Document) -> KeySet:
    """Return the keys that may sign: what cannot be understood is left out (RFC 7517 §5)."""
    told = document.get("keys")
    keys = [_key(each) for each in told[:MAX_KEYS]] if isinstance(told, list) else []
    good = [key for key in keys if key is not None]
    if not good:
        raise OidcError("provider_unavailable", "it tells no key that can be used")
    return KeySet(good)


def _key(told: object) -> Key | None:
    if not isinstance(told, dict) or told.get("kty") not in _KINDS or told.get("use") == "enc":
        return None
    public = {name: value for name, value in told.items() if isinstance(value, str)}
    try:
        with warnings.catch_warnings():  # of short keys, which are left out below
            warnings.simplefilter("ignore", SecurityWarning)
            key = JWKRegistry.import_key(cast("dict[str, str | list[str]]", public))
        is_weak = isinstance(key, RSAKey) and key.public_key.key_size < MIN_RSA_BITS
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None if is_weak else key


def _has(keys: KeySet, kid: object) -> bool:
    return kid is None or any(key.kid == kid for key in keys)
