"""Who is told without asking, and how."""

from email.utils import parseaddr
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from server.alerts.mail_server import parse_mail_server
from server.settings.kinds import Hosts, Seconds, split, unset_if_empty


class AlertSettings(BaseSettings):
    """Settings of the messages to operators."""

    alert_webhook_url: SecretStr | None = Field(
        None,
        description="Webhook that operators are told by, in the form that Slack takes; a secret.",
    )
    alert_smtp_url: SecretStr | None = Field(
        None,
        description="Mail server that operators are told by: `smtps://user:password@host:465`, or"
        " `smtp://host:587` with STARTTLS.",
    )
    alert_email_from: str | None = Field(None, description="Address that such mail is from.")
    alert_email_to: Hosts = Field(
        (), description="Comma-separated addresses that such mail is for; unset: none is sent."
    )
    alert_repeat_s: Seconds = Field(
        3600.0, description="Seconds in which the same is told once, however often it happens."
    )
    alert_name: str = Field(
        "chatstream",
        min_length=1,
        max_length=60,
        pattern=r"^[^\r\n]*$",
        description="Name of this deployment in such messages.",
    )

    _split_addresses = field_validator("alert_email_to", mode="before")(split)
    _empty_is_nobody = field_validator(
        "alert_webhook_url", "alert_smtp_url", "alert_email_from", mode="before"
    )(unset_if_empty)

    @field_validator("alert_webhook_url")
    @classmethod
    def _is_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            url = urlsplit(value.get_secret_value())
            is_good = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        except ValueError:
            is_good = False
        if not is_good or not value.get_secret_value().isprintable():
            raise ValueError("must be an address such as https://hooks.example.com/services/…")
        return value

    @field_validator("alert_smtp_url")
    @classmethod
    def _is_mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_mail_server(value.get_secret_value())
        return value

    @field_validator("alert_email_from")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not _is_mailbox(value):
            raise ValueError("must be an address such as alerts@example.com")
        return value

    @field_validator("alert_email_to")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for address in value:
            if not _is_mailbox(address):
                raise ValueError(f"{address!r} is not an address such as oncall@example.com")
        needed = {"alert_smtp_url", "alert_email_from"}
        # What is missing here was given and refused: that is a line of its own.
        missing = sorted(name for name in needed & info.data.keys() if not info.data[name])
        if value and missing:
            raise ValueError(f"needs {' and '.join(missing).upper()} beside it")
        return value


def _is_mailbox(value: str) -> bool:
    name, _, host = parseaddr(value)[1].rpartition("@")
    is_plain = value.isascii() and value.isprintable()
    return is_plain and bool(name) and bool(host) and " " not in name + host
