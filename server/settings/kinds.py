"""What settings of every kind have in common."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import NoDecode

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Hosts = Annotated[tuple[str, ...], NoDecode]


def lower(value: object) -> object:
    """Return a word in lower case."""
    return value.lower() if isinstance(value, str) else value


def split(value: object) -> object:
    """Return the parts of a comma-separated list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def unset_if_empty(value: object) -> object:
    """Return None for a setting that was given without a value."""
    return None if value == "" else value
