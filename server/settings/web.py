"""Where the service listens, and by which names it may be called."""

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from server.settings.kinds import Hosts, Seconds, lower, split

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""This machine's own names."""


class WebSettings(BaseSettings):
    """Settings of the service's place on the network. First of all: others ask for `app_env`."""

    app_env: Literal["development", "production"] = Field(
        "development", description="In production secrets are required and guests are not let in."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    allowed_hosts: Hosts = Field(
        (),
        description="Comma-separated names that the service is called by: `chat.example.com`;"
        " others are refused. `localhost` and loopback are always taken, in development HOST and"
        " any bare address, too. Unset in production: any name, with a warning at start.",
    )
    allowed_origins: Hosts = Field(
        (), description="Comma-separated origins of other sites' pages that may call the API."
    )
    request_timeout_s: Seconds = Field(
        30.0,
        description="Seconds that a request may take to come in, and an answer to begin; then 408,"
        " or 503.",
    )
    log_requests: bool = Field(
        False,
        description="Log each request: method, route, status, seconds; nginx does so as well.",
    )

    _any_case_of_environment = field_validator("app_env", mode="before")(lower)
    _split_web = field_validator("allowed_hosts", "allowed_origins", mode="before")(split)

    @field_validator("allowed_hosts")
    @classmethod
    def _exact_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _is_host(name):
                raise ValueError(f"{name!r} is not a name such as chat.example.com; leave out port")
        return tuple(name.lower().strip("[]") for name in value)

    @field_validator("allowed_origins")
    @classmethod
    def _exact_origins(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for origin in value:
            if not _is_origin(origin):
                raise ValueError(
                    f"{origin!r} is not an origin such as https://chat.example.com: neither"
                    " pattern nor path"
                )
            is_safe = origin.startswith("https://") or urlsplit(origin).hostname in LOOPBACK
            if info.data.get("app_env") == "production" and not is_safe:
                raise ValueError(f"{origin!r} must be https:// in production")
        return value


def _is_host(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        labels = name.split(".")
        return all(
            label and label.isascii() and label.strip("-").replace("-", "").isalnum()
            for label in labels
        )
    return True


def _is_origin(origin: str) -> bool:
    """Say whether a browser would write this: nothing else could ever be equal to what it sends."""
    try:
        url = urlsplit(origin)
        port = url.port
    except ValueError:
        return False
    if url.scheme not in {"http", "https"} or not url.hostname or not _is_host(url.hostname):
        return False
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return origin == f"{url.scheme}://{host}" + ("" if port is None else f":{port}")
