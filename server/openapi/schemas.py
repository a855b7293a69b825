"""The schemas of a document: of pydantic models, structs and dataclasses, each under its name.

Of what is answered every property is there, whatever its default; of what is sent a default says
that it may be left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from server.openapi.describing import Event, Events

Json = dict[str, Any]
Use = Literal["body", "answer"]

REF = "#/components/schemas/"


class Schemas:
    """The schemas of these types, and of all that they are made of.

    Args:
        bodies: Types that are sent.
        answers: Types that are answered.
        streams: Event streams; the types of their events' data come along.

    Raises:
        ValueError: two different types have the same name.
    """

    def __init__(
        self, *, bodies: Iterable[type], answers: Iterable[type], streams: Iterable[Events]
    ) -> None:
        streams = {stream.name: stream for stream in streams}.values()
        answered = {*answers, *(kind.data for stream in streams for kind in stream.kinds)}
        self._refs: dict[tuple[type, Use], Json] = {}
        self.components: Json = {}
        self._add_models(set(bodies), answered)
        self._add_structs(each for each in answered if not issubclass(each, BaseModel))
        for stream in streams:
            self._put(stream.name, self._stream(stream))
        self.components = dict(sorted(self.components.items()))

    def ref(self, kind: type, use: Use) -> Json:
        """Return the reference to a type's schema."""
        return self._refs[kind, use]

    def _add_models(self, bodies: set[type], answered: set[type]) -> None:
        wanted = [
            *((each, "validation") for each in _named(bodies)),
            *((each, "serialization") for each in _named(answered)),
        ]
        refs, found = models_json_schema(
            wanted,  # type: ignore[arg-type]  # modes are literals
            ref_template=f"{REF}{{model}}",
            schema_generator=_Plain,
        )
        for name, schema in found.get("$defs", {}).items():
            self._put(name, schema)
        for (model, mode), ref in refs.items():
            self._refs[model, "body" if mode == "validation" else "answer"] = ref

    def _add_structs(self, structs: Iterable[type]) -> None:
        kinds = sorted(structs, key=lambda kind: kind.__name__)
        refs, found = msgspec.json.schema_components(
            kinds, schema_hook=lambda _: {}, ref_template=f"{REF}{{name}}"
        )
        for name, schema in found.items():
            self._put(name, _whole(schema))
        self._refs |= {(kind, "answer"): ref for kind, ref in zip(kinds, refs, strict=True)}

    def _stream(self, stream: Events) -> Json:
        """Return what an event may be: before OpenAPI 3.2 the schema of a stream is of each."""
        return {
            "title": stream.name,
            "description": "An event of the stream.",
            "oneOf": [self._event(stream.name, kind) for kind in stream.kinds],
        }

    def _event(self, stream: str, kind: Event) -> Json:
        name = f"{stream}.{kind.name}"
        data = self.ref(kind.data, "answer")
        if kind.more:
            self.components[data["$ref"].removeprefix(REF)]["properties"] |= kind.more
        properties: Json = {
            "event": {"type": "string", "const": kind.name},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": data,
            },
        }
        if kind.has_id:
            pattern = "^[A-Za-z0-9_-]{1,64}\\.[0-9]+-[0-9]+$"
            properties = {"id": {"type": "string", "pattern": pattern}, **properties}
        event: Json = {"type": "object", "properties": properties, "required": ["event", "data"]}
        if kind.about:
            event["description"] = kind.about
        self._put(name, {"title": kind.name, **event})
        return {"$ref": f"{REF}{name}"}

    def _put(self, name: str, schema: Json) -> None:
        if self.components.setdefault(name, schema) != schema:
            raise ValueError(f"two different schemas are named {name}")


class _Plain(GenerateJsonSchema):
    """Without titles that repeat each property's name, and defaults that say nothing."""

    def default_schema(self, schema: Any) -> Json:
        made = super().default_schema(schema)
        if made.get("default", ...) is None:
            del made["default"]
        return made

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's own
        return False


def _named(kinds: Iterable[type]) -> list[type[BaseModel]]:
    models = [each for each in kinds if issubclass(each, BaseModel)]
    return sorted(models, key=lambda model: (model.__name__, model.__module__))


def _whole(schema: Mapping[str, object]) -> Json:
    """Return a struct's schema with its words unindented and all its properties required."""
    whole: Json = dict(schema)
    if "description" in whole:
        whole["description"] = "\n".join(map(str.strip, whole["description"].splitlines()))
    if "properties" in whole:
        whole["required"] = list(whole["properties"])
    return whole
