"""Liveness, readiness and dependencies."""

from server.openapi.answers.health import Health, Live, Ready
from server.openapi.describing import Answer, Doc, Tag

LIVE = Doc(
    Tag.HEALTH,
    summary="Tell whether the process answers",
    answers={200: Answer("It does.", Live, example={"status": "ok"})},
)
READY = Doc(
    Tag.HEALTH,
    summary="Tell whether new requests are welcome",
    description="A lost dependency does not make it unready: starts answer 503 themselves then.",
    answers={
        200: Answer("They are.", Ready, example={"status": "ready"}),
        503: Answer("It drains.", Ready, ("Retry-After",), example={"status": "draining"}),
    },
)
HEALTH = Doc(
    Tag.HEALTH,
    summary="Tell how each dependency is",
    answers={200: Answer("Degraded where one fails.", Health)},
)
