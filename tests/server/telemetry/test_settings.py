"""The settings of OpenTelemetry."""

import pytest
from pydantic import ValidationError

from server.settings import Settings, fault_lines


def a_settings(**values: object) -> Settings:
    """Return settings of these values, whatever the environment says."""
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]  # by name, as the environment gives them


def test_headers_are_read_as_opentelemetry_writes_them() -> None:
    settings = a_settings(otel_exporter_otlp_headers="Authorization=Bearer%20canary, x-team = shop")

    assert settings.otel_headers == {"authorization": "Bearer canary", "x-team": "shop"}
    assert "canary" not in f"{settings!r} {settings.model_dump_json()}"


def test_it_is_off_where_nothing_is_said() -> None:
    settings = a_settings(otel_exporter_otlp_endpoint="", otel_exporter_otlp_headers="")

    assert settings.otel_exporter_otlp_endpoint is None
    assert settings.otel_headers == {}


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "otel_exporter_otlp_endpoint",
            "localhost:4318",
            "OTEL_EXPORTER_OTLP_ENDPOINT (got 'localhost:4318'): must be an address such as http://localhost:4318.",
        ),
        (
            "otel_exporter_otlp_headers",
            "canary-key",
            "OTEL_EXPORTER_OTLP_HEADERS: must be name=value, with commas between them.",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(name: str, value: str, line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        a_settings(**{name: value})

    assert fault_lines(caught.value) == [line]
