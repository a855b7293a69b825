"""The code flow: where a browser is sent, and who comes back.

Source: OpenID Connect Core 1.0 §3.1; RFC 7636 (PKCE); RFC 9207 (`iss`); RFC 9700.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from pydantic import SecretStr

from server.auth.oidc.attempts import Attempt
from server.auth.oidc.calls import Document, ProviderCalls
from server.auth.oidc.claims import Claims
from server.auth.oidc.discovery import Discovery, Provider
from server.auth.oidc.errors import OidcError
from server.auth.oidc.id_tokens import IdTokens, claims_of

MAX_CODE_CHARS = 4096


@dataclass(frozen=True, slots=True)
class Registration:
    """What provider and we know of each other.

    Args:
        issuer: The provider.
        client_id: Us.
        client_secret: None: we are a public client.
        redirect_url: Where browsers are sent back to.
        scopes: What is asked for.
    """

    issuer: str
    client_id: str
    client_secret: SecretStr | None
    redirect_url: str
    scopes: str


class OidcClient:
    """Signs in with one provider.

    Args:
        registration: Which one, and as whom.
        timeout_s: Of each call to it.
    """

    def __init__(self, registration: Registration, *, timeout_s: float) -> None:
        self._registration = registration
        self._calls = ProviderCalls(timeout_s=timeout_s)
        self._discovery = Discovery(registration.issuer, self._calls)
        self._id_tokens = IdTokens(
            issuer=registration.issuer,
            client_id=registration.client_id,
            discovery=self._discovery,
        )

    @property
    def issuer(self) -> str:
        """The provider's name; with a subject of its it names a user."""
        return self._registration.issuer

    async def address(self, attempt: Attempt) -> str:
        """Return where the browser signs in.

        Raises:
            OidcError: `provider_unavailable`.
        """
        endpoint = (await self._discovery.provider()).authorization_endpoint
        query = {
            "response_type": "code",
            "client_id": self._registration.client_id,
            "redirect_uri": self._registration.redirect_url,
            "scope": self._registration.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def claims(self, came_back: Mapping[str, str], attempt: Attempt) -> Claims:
        """Return who has signed in, as proved by the code that the browser came back with.

        Raises:
            OidcError: nobody has, or nothing proves it.
        """
        provider = await self._discovery.provider()
        # Which provider answers: another one's code is not sent to this one (RFC 9207).
        named = came_back.get("iss")
        if named != self.issuer and (named is not None or provider.names_itself):
            raise OidcError("provider_untrusted", "the answer names another issuer")
        code = came_back.get("code", "")
        if "error" in came_back or not 0 < len(code) <= MAX_CODE_CHARS:
            raise OidcError("refused", "the provider sent no code")
        told = await self._exchange(provider, code, attempt)
        access_token = told.get("access_token")
        access_token = access_token if isinstance(access_token, str) else ""
        claims = await self._id_tokens.read(
            told.get("id_token"), attempt=attempt, access_token=access_token
        )
        if claims.email or provider.userinfo_endpoint is None or not access_token:
            return claims
        return await self._completed(claims, provider.userinfo_endpoint, access_token)

    async def close(self) -> None:
        """Close the connections to the provider."""
        await self._calls.close()

    async def _exchange(self, provider: Provider, code: str, attempt: Attempt) -> Document:
        ours = self._registration
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": ours.redirect_url,
            "code_verifier": attempt.verifier,
        }
        if ours.client_secret is None:
            return await self._calls.post(
                provider.token_endpoint, {**form, "client_id": ours.client_id}
            )
        secret = ours.client_secret.get_secret_value()
        if provider.wants_secret_in_form:
            named = {"client_id": ours.client_id, "client_secret": secret}
            return await self._calls.post(provider.token_endpoint, {**form, **named})
        basic = quote(ours.client_id, safe=""), quote(secret, safe="")  # RFC 6749 §2.3.1
        return await self._calls.post(provider.token_endpoint, form, basic=basic)

    async def _completed(self, claims: Claims, endpoint: str, access_token: str) -> Claims:
        """Add what only the userinfo endpoint tells: of the same subject, or nothing."""
        told = claims_of(dict(await self._calls.get(endpoint, bearer=access_token)))
        if told.subject != claims.subject:
            raise OidcError("provider_untrusted", "userinfo is another subject's")
        return replace(
            claims,
            email=told.email,
            is_email_verified=told.is_email_verified,
            name=claims.name or told.name,
        )
