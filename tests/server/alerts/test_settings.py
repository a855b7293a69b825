"""The settings of the messages to operators."""

import pytest
from pydantic import ValidationError

from server.settings import Settings, fault_lines

MAIL = {
    "alert_smtp_url": "smtps://user:canary@mail.example.com",
    "alert_email_from": "Chatstream <alerts@example.com>",
    "alert_email_to": "ann@example.com, bob@example.com",
}


def a_settings(**values: object) -> Settings:
    """Return settings of these values, whatever the environment says."""
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]  # by name, as the environment gives them


def faults(**values: object) -> list[str]:
    """Return the lines that say why settings cannot be used."""
    with pytest.raises(ValidationError) as caught:
        a_settings(**values)
    lines = fault_lines(caught.value)
    assert not any("canary" in line for line in lines)
    return lines


def test_whoever_is_to_be_told_is_read_as_given() -> None:
    settings = a_settings(alert_webhook_url="https://hooks.example.com/services/canary", **MAIL)

    assert settings.alert_email_to == ("ann@example.com", "bob@example.com")
    assert "canary" not in f"{settings!r} {settings.model_dump_json()}"


def test_what_is_empty_is_nobody() -> None:
    settings = a_settings(
        alert_webhook_url="", alert_smtp_url="", alert_email_from="", alert_email_to=""
    )

    assert settings.alert_webhook_url is None
    assert settings.alert_smtp_url is None
    assert settings.alert_email_from is None
    assert settings.alert_email_to == ()


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example.com/canary",
        "ftp://hooks.example.com/canary",
        "https:///canary",
        "https://hooks.example.com:99999/canary",
        "https://[canary",
        "https://hooks.example.com/can\nary",
    ],
)
def test_a_webhook_that_cannot_be_meant_is_one_line_without_it(url: str) -> None:
    assert faults(alert_webhook_url=url) == [
        "ALERT_WEBHOOK_URL: must be an address such as https://hooks.example.com/services/….",
    ]


def test_a_mail_server_that_cannot_be_meant_is_one_line_without_it() -> None:
    assert faults(**{**MAIL, "alert_smtp_url": "mail.example.com/canary"}) == [
        "ALERT_SMTP_URL: must start with smtps:// or smtp://.",
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"alert_email_to": "ann@example.com"},
            "needs ALERT_EMAIL_FROM AND ALERT_SMTP_URL beside it.",
        ),
        ({**MAIL, "alert_email_to": "ann"}, "'ann' is not an address such as oncall@example.com."),
        ({**MAIL, "alert_email_from": "alerts"}, "must be an address such as alerts@example.com."),
        ({**MAIL, "alert_email_to": "a@example.com\r\nBcc: b@example.com"}, "is not an address"),
    ],
)
def test_mail_that_cannot_be_sent_is_one_line(values: dict[str, str], line: str) -> None:
    (told,) = faults(**values)

    assert line in told
