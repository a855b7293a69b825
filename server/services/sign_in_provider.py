"""The OpenID Connect provider that people sign in with, where one is set."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.auth.oidc.attempts import Attempts
from server.settings import Settings

if TYPE_CHECKING:
    from server.auth.oidc.client import OidcClient


@dataclass(frozen=True, slots=True)
class SignInProvider:
    """How to sign in with the provider.

    Args:
        name: On the page.
        client: Speaks with it.
        attempts: Sign-ins under way.
    """

    name: str
    client: "OidcClient"
    attempts: Attempts


def open_sign_in_provider(
    settings: Settings, stack: AsyncExitStack, session_secret: str
) -> SignInProvider | None:
    """Return the provider; it is not asked before somebody signs in. The stack closes it."""
    if (
        settings.oidc_issuer is None
        or settings.oidc_client_id is None
        or settings.oidc_redirect_url is None
    ):
        return None
    from server.auth.oidc.client import (  # noqa: PLC0415  # 30 ms, only what is used
        OidcClient,
        Registration,
    )

    registration = Registration(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        redirect_url=settings.oidc_redirect_url,
        scopes=settings.oidc_scopes,
    )
    client = OidcClient(registration, timeout_s=settings.oidc_timeout_s)
    stack.push_async_callback(client.close)
    return SignInProvider(settings.oidc_name, client, Attempts(session_secret))
