"""Which OpenID Connect provider people may sign in with."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from server.settings.kinds import Seconds, unset_if_empty

CALLBACK = "/api/v1/auth/oidc/callback"
_TOGETHER = ("oidc_issuer", "oidc_client_id")


class OidcSettings(BaseSettings):
    """Settings of the provider: `OIDC_ISSUER`, `_CLIENT_ID` and `_REDIRECT_URL`, or none of them.

    Later fields judge those before them, so their order counts.
    """

    oidc_issuer: str | None = Field(
        None,
        max_length=500,
        description="OpenID Connect provider to sign in with: its issuer URL.",
    )
    oidc_client_id: str | None = Field(None, max_length=500, description="Our id at that provider.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="Our secret at that provider; unset: a public client, with PKCE alone."
    )
    oidc_redirect_url: str | None = Field(
        None,
        validate_default=True,
        max_length=500,
        description="Where the provider sends browsers back to:"
        f" `https://chat.example.com{CALLBACK}`.",
    )
    oidc_scopes: str = Field(
        "openid email profile",
        max_length=500,
        description="What is asked of the provider; `openid` included.",
    )
    oidc_name: str = Field(
        "single sign-on",
        min_length=1,
        max_length=40,
        description="The provider's name on the page.",
    )
    oidc_timeout_s: Seconds = Field(5.0, description="Seconds a call to the provider may take.")

    _empty_oidc_settings = field_validator(
        "oidc_issuer",
        "oidc_client_id",
        "oidc_client_secret",
        "oidc_redirect_url",
        mode="before",
    )(unset_if_empty)

    @field_validator("oidc_issuer")
    @classmethod
    def _safe_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and _safe_url(value, info).query:
            raise ValueError("must be as the provider's own discovery document names it")
        return value

    @field_validator("oidc_redirect_url")
    @classmethod
    def _complete(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and (_safe_url(value, info).path != CALLBACK or "?" in value):
            raise ValueError(f"must end with {CALLBACK}")
        given = [info.data.get(name, "at fault") is not None for name in _TOGETHER] + [
            value is not None
        ]
        if any(given) and not all(given):
            raise ValueError(
                "OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_REDIRECT_URL are set together, or none is"
            )
        return value

    @field_validator("oidc_scopes")
    @classmethod
    def _with_openid(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("must include openid")
        return value


def _safe_url(value: str, info: ValidationInfo) -> SplitResult:
    """Return the parts of an address that tokens may be sent to.

    Raises:
        ValueError: anybody on the way could read and change them.
    """
    parts = urlsplit(value)
    if not parts.hostname or parts.fragment or parts.username is not None:
        raise ValueError("must be an address such as https://accounts.example.com")
    is_open = parts.scheme == "http" and info.data.get("app_env") != "production"
    if parts.scheme != "https" and not (is_open and _is_loopback(parts.hostname)):
        raise ValueError("must begin with https://; in development http://localhost is taken, too")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
