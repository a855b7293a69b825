"""Turns as OpenTelemetry spans and metrics, over OTLP/HTTP: off without an endpoint, never content.

The `otel` extra has what is needed; it is imported only where it is switched on.
"""
