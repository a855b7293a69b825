"""OpenFeature's remote evaluation. Source: its `service/openapi.yaml`, 0.3."""

from typing import Any

from pydantic import BaseModel, Field

from server.openapi.answer import Told
from server.openapi.problems import OfrepProblem


class EvaluationContext(BaseModel):
    """Whom it is about: `targetingKey`, and whatever rules ask for."""

    context: dict[str, Any] = Field(default_factory=dict)


class EvaluationMetadata(Told):
    """The deal."""

    version: int
    epoch: int


class Evaluation(Told):
    """What a unit gets of a flag."""

    key: str
    value: Any
    variant: str | None
    reason: str
    metadata: EvaluationMetadata


class Evaluations(Told):
    """What a unit gets of every flag."""

    flags: list[Evaluation | OfrepProblem]
