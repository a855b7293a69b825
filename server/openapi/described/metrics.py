"""Figures, charts and beacons."""

from metrics.archive.points import RANGES
from server.openapi.answers.metrics import (
    Charts,
    ServiceFigures,
    Streaming,
    StreamingHealth,
    StreamingSummary,
)
from server.openapi.describing import Answer, Doc, Media, Parameter, Tag

SERVICE = Doc(
    Tag.METRICS,
    summary="Tell how this process does, and the totals of all",
    answers={200: Answer("The figures.", ServiceFigures)},
)
HEALTH = Doc(
    Tag.METRICS,
    summary="Tell whether streaming is well",
    description="The figures behind each status are for operators.",
    answers={200: Answer("The verdict.", StreamingHealth)},
)
STREAMING = Doc(
    Tag.METRICS,
    summary="Tell how streaming does, over the window",
    answers={200: Answer("The figures.", Streaming)},
)
SUMMARY = Doc(
    Tag.METRICS,
    summary="Tell what decides whether streaming does well",
    answers={200: Answer("The figures.", StreamingSummary)},
)
PROMETHEUS = Doc(
    Tag.METRICS,
    summary="Scrape the figures, for Prometheus",
    answers={200: Answer("The exposition.", Media("text/plain", {"type": "string"}))},
)
CHARTS = Doc(
    Tag.METRICS,
    summary="Tell the figures of the past",
    answers={200: Answer("Step by step, oldest first.", Charts)},
    problems={422: ("invalid",), 503: ("metrics_unavailable",)},
    parameters=(
        Parameter(
            "range",
            "How far back.",
            {"type": "string", "enum": list(RANGES), "default": "1h"},
        ),
    ),
)
BEACON = Doc(
    Tag.PAGE,
    summary="Tell what a page saw of a turn",
    description="Its id is checked for its form only, and not kept.",
    answers={204: Answer("Counted.")},
    example={"turn_id": "turn_06gv7tq2x8", "ttft_ms": 420, "reconnects": 1},
)
