"""The settings as a value."""

import pytest
from pydantic import ValidationError

from server.settings import Settings, fault_lines
from server.settings_page import settings_table
from tests.support.production import PRODUCTION

SECRETS = {
    "jwt_secret": "jwt-secret-jwt-secret-jwt-secret",
    "session_secret": "session-secret-session-secret-01",
    "admin_token": "admin-token-admin-token-admin-01",
    "openai_api_key": "sk-very-secret-indeed",
    "fallback_api_key": "sk-as-secret-as-that",
    "mongodb_uri": "mongodb://user:password@host/db",
}


def a_settings(**values: object) -> Settings:
    """Return settings of these values, whatever the environment says."""
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]  # by name, as the environment gives them


def test_no_secret_is_shown_by_the_settings_in_any_form() -> None:
    settings = a_settings(**SECRETS)

    shown = f"{settings!r} {settings} {settings.model_dump_json()} {settings.model_dump()}"

    assert not any(secret in shown for secret in SECRETS.values())
    assert "password" not in shown


def test_a_fault_shows_the_value_of_a_setting_but_never_of_a_secret() -> None:
    with pytest.raises(ValidationError) as caught:
        a_settings(port="abc", session_secret="hunter2", openai_api_key=["sk-in-a-list"])  # noqa: S106

    lines = fault_lines(caught.value)

    assert len(lines) == 3
    assert any("'abc'" in line for line in lines)
    assert not any("hunter2" in line or "sk-in-a-list" in line for line in lines)


def test_every_setting_has_its_line_and_its_reason_in_the_table() -> None:
    table = settings_table()

    for name, field in Settings.model_fields.items():
        assert f"| `{name.upper()}` |" in table
        assert field.description


def test_settings_cannot_be_changed_once_read() -> None:
    settings = a_settings()

    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("environment", "given", "percentage"),
    [("development", None, 100.0), ("development", 0, 0.0), ("development", 12.5, 12.5)],
)
def test_the_share_that_is_streamed_to_follows_the_environment_unless_set(
    environment: str, given: float | None, percentage: float
) -> None:
    settings = a_settings(app_env=environment, default_streaming_percentage=given)

    assert settings.streaming_percentage == percentage


def test_production_streams_to_one_in_a_hundred_and_lets_no_guests_in() -> None:
    settings = a_settings(**{**SECRETS, **PRODUCTION})

    assert settings.streaming_percentage == 1.0
    assert settings.guests_allowed is False


@pytest.mark.parametrize(
    ("values", "has_fallback"),
    [
        ({}, False),
        ({"openai_api_key": "sk-x"}, False),
        ({"openai_api_key": "sk-x", "fallback_api_key": ""}, False),
        ({"openai_api_key": "sk-x", "fallback_api_key": "sk-y"}, True),
        ({"openai_base_url": "http://a", "fallback_base_url": "http://b"}, True),
    ],
)
def test_a_second_provider_is_there_where_its_key_or_its_address_is(
    values: dict[str, str], has_fallback: bool
) -> None:
    assert a_settings(**values).has_fallback is has_fallback


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"fallback_api_key": "sk-y"}, ["FALLBACK_API_KEY"]),
        ({"fallback_base_url": "http://b"}, ["FALLBACK_BASE_URL"]),
        ({"openai_api_key": "sk-x", "fallback_model": "small"}, ["FALLBACK_MODEL"]),
        ({"openai_api_key": "sk-x", "fallback_base_url": "b:1"}, ["FALLBACK_BASE_URL"]),
        ({"openai_base_url": "b:1", "fallback_base_url": "http://b"}, ["OPENAI_BASE_URL"]),
    ],
)
def test_a_second_provider_that_cannot_be_meant_is_one_line(
    values: dict[str, str], names: list[str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        a_settings(**values)

    lines = fault_lines(caught.value)
    assert [line.partition(" ")[0].rstrip(":") for line in lines] == names
    assert not any("sk-" in line for line in lines)
