"""OpenFeature's remote evaluation."""

from server.openapi.answers.ofrep import Evaluation, EvaluationContext, Evaluations
from server.openapi.describing import Answer, Doc, Tag
from server.openapi.parameters import KNOWN_TAGS

_CONTEXT = {"context": {"targetingKey": "user-17", "plan": "pro"}}

ALL = Doc(
    Tag.OPENFEATURE,
    summary="Tell what a unit gets of every flag",
    answers={
        200: Answer("The evaluations.", Evaluations, ("ETag",)),
        304: Answer("They are what the caller has.", headers=("ETag",)),
    },
    parameters=(KNOWN_TAGS,),
    example=_CONTEXT,
).taking(EvaluationContext, optional=True)
ONE = Doc(
    Tag.OPENFEATURE,
    summary="Tell what a unit gets of one flag",
    answers={
        200: Answer(
            "The evaluation.",
            Evaluation,
            example={
                "key": "greeting",
                "value": "Hi!",
                "variant": "short",
                "reason": "DEFAULT",
                "metadata": {"version": 8, "epoch": 8},
            },
        )
    },
    problems={404: ("flag_not_found",)},
    example=_CONTEXT,
).taking(EvaluationContext, optional=True)
