"""Telling an OpenTelemetry collector of turns, where the settings name one."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from server.services.faults import StartError
from server.settings import Settings
from server.telemetry.calls import TurnTelemetry
from server.version import VERSION
from streaming.operators import TurnWatcher


def open_telemetry(
    settings: Settings, stack: AsyncExitStack, *, worker_id: str
) -> Sequence[TurnWatcher]:
    """Return who tells of turns; nobody where no collector is named.

    Nothing is connected yet: a collector that is down delays no start. The stack sends the last
    ones, within a few seconds.

    Raises:
        StartError: what is needed for it is not installed.
    """
    if settings.otel_exporter_otlp_endpoint is None:
        return ()
    try:
        from server.telemetry.exporting import Collector, Exporter, Origin  # noqa: PLC0415  # an extra
    except ImportError:
        raise StartError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: OpenTelemetry is not installed;"
            " `pip install chatstream[otel]`, or unset it."
        ) from None
    collector = Collector(settings.otel_exporter_otlp_endpoint, settings.otel_headers)
    provider = "chatstream" if settings.is_offline else "openai"
    origin = Origin(settings.otel_service_name, VERSION, worker_id, provider)
    exporter = Exporter(collector, origin)
    exporter.start()
    stack.push_async_callback(exporter.close)
    return (TurnTelemetry(exporter.take),)
