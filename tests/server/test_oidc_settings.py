"""Settings of the sign-in provider: together or not at all, and nothing that others could read."""

import pytest
from pydantic import ValidationError

from server.settings import Settings, fault_lines

GOOD = {
    "oidc_issuer": "https://accounts.example.com/tenant",
    "oidc_client_id": "chat",
    "oidc_redirect_url": "https://chat.example.com/api/v1/auth/oidc/callback",
}
LOCAL = {
    "oidc_issuer": "http://127.0.0.1:8080",
    "oidc_client_id": "chat",
    "oidc_redirect_url": "http://localhost:8000/api/v1/auth/oidc/callback",
}
SECRETS = {
    "app_env": "production",
    "allowed_hosts": "chat.example.com",
    "jwt_secret": "fJ3nW8qLz0RbT5xYc7VhKm2PdSg9AeUo",
    "session_secret": "Qw6eRt1yUi8oPa3sDf5gHj0kLz7xCv2b",
    "admin_token": "Mn4bVc9xZa6sDf1gHj8kLq3wEr5tYu0i",
}


def made(**settings: object) -> Settings:
    """Return settings, from here alone."""
    return Settings(_env_file=None, **settings)  # type: ignore[arg-type]  # as pydantic-settings has it


@pytest.mark.parametrize(
    "given", [{}, GOOD, {**GOOD, "oidc_client_secret": "x"}, LOCAL, dict.fromkeys(GOOD, "")]
)
def test_a_provider_is_set_or_is_not(given: dict[str, object]) -> None:
    settings = made(**given)

    assert settings.oidc_issuer == (given.get("oidc_issuer") or None)


@pytest.mark.parametrize("name", list(GOOD))
def test_a_part_of_a_provider_is_refused(name: str) -> None:
    for part in ({name: GOOD[name]}, {**GOOD, name: ""}):
        with pytest.raises(ValidationError) as refused:
            made(**part)

        lines = fault_lines(refused.value)
        assert [line.partition(":")[0].partition(" ")[0] for line in lines] == ["OIDC_REDIRECT_URL"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("oidc_issuer", "http://accounts.example.com"),
        ("oidc_issuer", "https://accounts.example.com?x=1"),
        ("oidc_issuer", "https://accounts.example.com#x"),
        ("oidc_issuer", "https://user:secret@accounts.example.com"),
        ("oidc_issuer", "https://"),
        ("oidc_issuer", "accounts.example.com"),
        ("oidc_redirect_url", "https://chat.example.com/callback"),
        ("oidc_redirect_url", "http://chat.example.com/api/v1/auth/oidc/callback"),
        ("oidc_redirect_url", "https://chat.example.com/api/v1/auth/oidc/callback?x=1"),
        ("oidc_scopes", "email profile"),
    ],
)
def test_what_cannot_work_or_can_be_read_on_the_way_is_one_line(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        made(**{**GOOD, name: value})

    (line,) = fault_lines(refused.value)
    assert line.startswith(name.upper())


def test_in_production_a_provider_on_loopback_is_refused_too() -> None:
    assert made(**SECRETS, **GOOD).oidc_issuer == GOOD["oidc_issuer"]

    with pytest.raises(ValidationError) as refused:
        made(**SECRETS, **LOCAL)

    names = [line.partition(" ")[0] for line in fault_lines(refused.value)]
    assert names == ["OIDC_ISSUER", "OIDC_REDIRECT_URL"]
