"""What a route says of itself, beside its rule; the document is made of both (`document`).

A summary is the first line of the endpoint's docstring, unless another is given. Who may call a
route, and what any route of its kind may answer (401, 403, 413, 415, 422, 429, 431, 500), follows
from its access, tier, methods and body: `derived`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, Self

Schema = Mapping[str, object]


class Tag(StrEnum):
    """A group of routes, as people look for them."""

    TURNS = "Turns"
    CONVERSATIONS = "Conversations"
    CHATBOTS = "Chatbots"
    SPEECH = "Speech"
    ACCOUNTS = "Accounts"
    API_KEYS = "API keys"
    PAGE = "Page signals"
    FLAGS = "Flags"
    ROLLOUTS = "Rollouts"
    SEGMENTS = "Segments"
    OPENFEATURE = "OpenFeature"
    METRICS = "Metrics"
    HEALTH = "Health"
    OPERATORS = "Operators"
    DOCUMENT = "This document"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something of a request beside its body.

    Args:
        name: As it is sent.
        about: What it does, in one sentence.
        schema: What it must be.
        where: The part of the request.
        is_required: A path's parameters always are.
    """

    name: str
    about: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    where: Literal["query", "header", "path"] = "query"
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Media:
    """A content that is not JSON of a model: a page, audio, text."""

    media_type: str
    schema: Schema = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """A kind of event in a stream.

    Args:
        name: The `event:` line.
        data: The type of the `data:` line's JSON: a pydantic model, a struct or a dataclass.
        has_id: Whether it has an `id:` line, and so moves a reader's cursor.
        about: When it comes; else the data type's own words.
        more: Properties that framing adds to the data.
    """

    name: str
    data: type
    has_id: bool = False
    about: str = ""
    more: Mapping[str, Schema] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Events:
    """A `text/event-stream`.

    Args:
        name: Of the schema that has all of its events.
        kinds: What may come in it.
    """

    name: str
    kinds: tuple[Event, ...]


Content = type | Media | Events
"""A type stands for its JSON: a pydantic model, or what `msgspec` can describe."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no problem.

    Args:
        about: When it comes, in one sentence.
        content: What is in it; several where `Accept` or a flag decides; none: no body.
        headers: Names from `server.openapi.headers`; those of every answer are added.
        example: One of its JSON bodies.
    """

    about: str
    content: Content | tuple[Content, ...] | None = None
    headers: tuple[str, ...] = ()
    example: object = None

    @property
    def contents(self) -> tuple[Content, ...]:
        """Every content it may have."""
        if self.content is None:
            return ()
        return self.content if isinstance(self.content, tuple) else (self.content,)


@dataclass(frozen=True, slots=True)
class Doc:
    """How a route is described.

    Args:
        tag: Its group.
        answers: By status: what it answers when all is well.
        problems: By status: the codes that its own work may be refused with. Those that any route
            of its kind may answer are added.
        body: The model of its JSON body; see `taking`.
        is_body_optional: Whether it may be left out.
        parameters: Of query and headers; of the path only where the shared ones do not fit.
        summary: One short line; else the first of the endpoint's docstring.
        description: What a caller should know beyond it, in Markdown.
        example: A body.
    """

    tag: Tag
    answers: Mapping[int, Answer]
    problems: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    body: type | None = None
    is_body_optional: bool = False
    parameters: tuple[Parameter, ...] = ()
    summary: str = ""
    description: str = ""
    example: object = None

    def taking(self, body: type, *, optional: bool = False) -> Self:
        """Return it with the model of the body, which is defined beside the route."""
        return replace(self, body=body, is_body_optional=optional)
