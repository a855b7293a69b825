"""Who may sign in, and for how long."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from server.settings.kinds import Seconds, unset_if_empty
from server.settings.secrets import strong, strong_each


class AccountSettings(BaseSettings):
    """Settings of accounts, their tokens and providers."""

    jwt_secret: SecretStr | None = Field(
        None,
        validate_default=True,
        description="Signs access tokens; at least 32 characters. In development one is made and"
        " kept in DATA_DIR.",
    )
    jwt_previous_secrets: SecretStr | None = Field(
        None,
        description="Comma-separated former JWT_SECRETs: tokens of theirs are good until they"
        " expire.",
    )
    session_previous_secrets: SecretStr | None = Field(
        None,
        description="Comma-separated former SESSION_SECRETs: guests and sign-ins of theirs go on.",
    )
    jwt_issuer: str = Field(
        "chatstream", min_length=1, max_length=200, description="Who issues access tokens: `iss`."
    )
    jwt_audience: str = Field(
        "chatstream", min_length=1, max_length=200, description="Whom they are for: `aud`."
    )
    access_token_s: Seconds = Field(900.0, description="Seconds that an access token is good.")
    session_max_s: float = Field(
        1_209_600.0,
        ge=60,
        le=34_560_000,
        description="Seconds after which one has to sign in again, whatever happens.",
    )
    refresh_grace_s: float = Field(
        10.0,
        ge=0,
        le=60,
        description="Seconds in which a used refresh token gives the same next one: for parallel"
        " calls and lost answers.",
    )
    session_check_s: float = Field(
        5.0,
        ge=0,
        le=300,
        description="Seconds in which other workers learn that a session is over; admins' calls"
        " ask each time.",
    )
    allow_registration: bool = Field(
        True, description="Let callers make accounts of their own; operators always can."
    )
    max_hashes_at_once: int = Field(
        1,
        ge=1,
        le=64,
        description="Passwords checked at once, on threads of their own: each takes a core, and"
        " 19 MiB.",
    )

    _strong_account_secrets = field_validator("jwt_secret")(strong)
    _strong_former_secrets = field_validator("jwt_previous_secrets", "session_previous_secrets")(
        strong_each
    )
    _empty_account_settings = field_validator(
        "jwt_secret",
        "jwt_previous_secrets",
        "session_previous_secrets",
        mode="before",
    )(unset_if_empty)
