"""How refusals look (`server.errors` makes them)."""

from pydantic import Field

from server.openapi.answer import Maybe, Told, ToldInCamelCase


class InvalidField(Told):
    """What is wrong with one field of a request."""

    field: str = Field(description="Its name; of one inside others the path, with dots.")
    message: str


class Problem(Told):
    """A refusal, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence that says what to do.")
    code: str = Field(description="Stable; programs decide by it.")
    request_id: str = Field(description="To find the request in our logs.")
    errors: list[InvalidField] | Maybe = Field(None, description="Of 422: what is wrong where.")
    turn_id: str | Maybe = Field(None, description="Of `turn_running`: the turn that runs.")
    version: int | Maybe = Field(None, description="Of `version_conflict`: what is there now.")


class OfrepProblem(ToldInCamelCase):
    """A refusal in the words of the OpenFeature Remote Evaluation Protocol."""

    error_code: str
    error_details: str
    key: str | Maybe = Field(None, description="The flag, where one was asked for.")
