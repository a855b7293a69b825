"""The base of the models that describe answers.

They describe only: answers are written as they always were, and tests hold real ones against these.
"""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

Maybe = SkipJsonSchema[None]
"""`X | Maybe = None`: a property that may be missing, and is never null."""


class Told(BaseModel):
    """What an answer has. A property with a default may be missing.

    Further properties may come with later releases: who reads answers lets them be.
    """

    model_config = ConfigDict(defer_build=True, json_schema_serialization_defaults_required=False)


class ToldInCamelCase(Told):
    """As `Told`, with names as operators' scripts know them: `rolloutPercentage`."""

    model_config = ConfigDict(alias_generator=to_camel)
