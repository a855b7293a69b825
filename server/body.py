"""Reading a JSON body: strict, bounded, and never a 500.

The size is bounded by the middleware before this is called. JSON itself allows what we do not:
duplicate keys, numbers without end, unpaired surrogates and depth without bound.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from server.errors import ProblemError

MAX_DEPTH = 32
MAX_NAME = 100
"""What is shown of a field's name: an unknown one is the caller's, and may be the whole body."""
Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """A request body: no unknown fields, no coercion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def visible(text: str) -> str:
    """Return a text that says something and can be stored, as a validator of a model's field.

    Raises:
        ValueError: what is wrong with it.
    """
    if not text.strip():
        raise ValueError("must not be empty")
    if "\0" in text:
        raise ValueError("must not contain NUL")
    return text


async def read_model(
    request: Request, model: type[Model], *, bounds: Mapping[str, int] | None = None
) -> Model:
    """Return the body as the model.

    Args:
        request: Whose body it is.
        model: What it must be.
        bounds: The context that the model's validators ask: limits that are settings.

    Raises:
        ProblemError: as `read_json`; 422 not valid (with `errors`).
    """
    value = await read_json(request)
    try:
        return model.model_validate(value, context=bounds)
    except ValidationError as error:
        raise ProblemError(
            422, "invalid", "The body is not valid; see errors.", errors=_errors(error)
        ) from None


async def read_json(request: Request) -> object:
    """Return the body's value.

    Raises:
        ProblemError: 415 not JSON, 400 not to be parsed.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(
            415, "unsupported_media_type", "Send the body as Content-Type: application/json."
        )
    return parse_json(await request.body())


def parse_json(body: bytes) -> object:
    """Parse JSON strictly.

    Raises:
        ProblemError: 400 with what is wrong.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        _check(value, MAX_DEPTH)
    except (ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else "not valid JSON"
        raise ProblemError(400, "malformed", f"The body is {reason}.") from None
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    for key in value:
        _check_text(key)
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _check(value: object, depth: int) -> None:
    if depth == 0:
        raise RecursionError
    children: list[object] = []
    if isinstance(value, dict):
        children = list(value.values())
    elif isinstance(value, list):
        children = value
    elif isinstance(value, str):
        _check_text(value)
    for child in children:
        _check(child, depth - 1)


def _check_text(text: str) -> None:
    """Refuse unpaired surrogates: no store, log or answer could ever write them down.

    Raises:
        ValueError: (a UnicodeEncodeError) there is one.
    """
    if not text.isascii():
        text.encode("utf-8")


_OUR_CLASS = re.compile(r" or instance of \w+$")


def _errors(error: ValidationError) -> list[dict[str, object]]:
    return [
        {
            "field": ".".join(map(str, filter(_is_callers, found["loc"])))[:MAX_NAME],
            "message": _OUR_CLASS.sub("", found["msg"].removeprefix("Value error, ")),
        }
        for found in error.errors(include_url=False, include_context=False, include_input=False)[
            :20
        ]
    ]


def _is_callers(part: str | int) -> bool:
    """Whether a part of a place is the caller's own name; the others tell which of our types."""
    return part not in {"bool", *(model.__name__ for model in StrictModel.__subclasses__())}
