"""Whether turns are told to an OpenTelemetry collector."""

from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from server.settings.kinds import unset_if_empty


class TelemetrySettings(BaseSettings):
    """Settings of OpenTelemetry, by its own names; further ones of its packages count as well."""

    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        description="Collector that turns are told to over OTLP/HTTP, such as"
        " `http://localhost:4318`; needs the extra `otel`; unset: none.",
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None, description="Headers that it asks for: `name=value,name=value`; a secret."
    )
    otel_service_name: str = Field(
        "chatstream", min_length=1, max_length=255, description="Name of this service there."
    )

    _empty_is_no_collector = field_validator(
        "otel_exporter_otlp_endpoint", "otel_exporter_otlp_headers", mode="before"
    )(unset_if_empty)

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _is_collector(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = urlsplit(value)
            is_good = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        except ValueError:
            is_good = False
        if not is_good:
            raise ValueError("must be an address such as http://localhost:4318")
        return value

    @field_validator("otel_exporter_otlp_headers")
    @classmethod
    def _are_headers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _headers(value)
        return value

    @property
    def otel_headers(self) -> dict[str, str]:
        """The headers by their names."""
        given = self.otel_exporter_otlp_headers
        return {} if given is None else _headers(given)


def _headers(given: SecretStr) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in given.get_secret_value().split(","):
        name, separator, value = pair.partition("=")
        if not separator or not name.strip():
            raise ValueError("must be name=value, with commas between them")
        found[name.strip().lower()] = unquote(value.strip())
    return found
