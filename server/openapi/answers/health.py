"""Liveness, readiness, and the state of what is depended on."""

from typing import Literal

from server.openapi.answer import Maybe, Told

Condition = Literal["healthy", "degraded", "unhealthy", "unknown", "off"]


class Live(Told):
    """The process answers."""

    status: Literal["ok"]


class Ready(Told):
    """Whether new requests are welcome."""

    status: Literal["ready", "draining"]


class Dependency(Told):
    """How something is that requests need."""

    status: Condition
    latency_ms: float | Maybe = None
    kind: str | Maybe = None
    breaker: str | Maybe = None


class ModelSource(Told):
    """A place that answers are asked of."""

    source: str
    kind: str
    status: Condition
    breaker: str
    error: str | None


class ModelHealth(Told):
    """How answers came lately."""

    status: Condition
    kind: str
    sources: list[ModelSource]


class SpeechEngine(Told):
    """An engine that speaks."""

    engine: str
    breaker: str
    refuses: bool | str | None


class SpeechHealth(Told):
    """The engines; text never needs them."""

    status: Condition
    engine: str
    engines: list[SpeechEngine] | Maybe = None


class Moderator(Told):
    """Who judges what is said."""

    name: str
    breaker: str


class ModerationHealth(Told):
    """Those who judge what is said."""

    status: Condition
    moderators: list[Moderator] | Maybe = None


class FlagsHealth(Told):
    """How well the flags are known."""

    status: Condition
    kind: str
    source: str
    version: int
    age_s: float | None
    killed_here: list[str]


class LimitsHealth(Told):
    """Where limits are counted; degraded while this process counts by itself, as Redis is lost."""

    status: Condition
    kind: Literal["redis", "memory"]


class Dependencies(Told):
    """Each by its own figures."""

    history: Dependency
    model: ModelHealth
    speech: SpeechHealth
    moderation: ModerationHealth
    flags: FlagsHealth
    redis: Dependency
    limits: LimitsHealth


class Health(Told):
    """Degraded where something fails that requests need."""

    status: Condition
    version: str
    draining: bool
    checks: Dependencies
