"""Holds real answers against the API's description: statuses, media types, headers and bodies."""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
from httpx_sse import EventSource
from jsonschema_rs import Draft202012Validator, Registry

Json = dict[str, Any]
_SHARED = "urn:description"
"""What operations share, as one resource: read once, not with every schema that refers to it."""


class Described:
    """An OpenAPI document that answers are held against, more strictly than it says itself.

    A property that is not described is a fault here, though callers have to expect them.
    """

    def __init__(self, document: Json) -> None:
        self._document = document
        self._shared = {"components": _strict(document["components"])}
        self._registry = Registry([(_SHARED, self._shared)])
        self._validators: dict[str, Draft202012Validator] = {}
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path)
            for path in sorted(document["paths"], key=lambda path: path.count("{"))
        ]
        self.seen: set[str] = set()

    @property
    def operations(self) -> set[str]:
        """All that are described, such as `GET /health`."""
        paths: Mapping[str, Json] = self._document["paths"]
        return {f"{method.upper()} {path}" for path, item in paths.items() for method in item}

    async def watch(self, response: httpx.Response) -> None:
        """Hold an answer against its operation; an event hook of a client."""
        name, operation = self._operation(response.request)
        await response.aread()
        told = operation["responses"].get(str(response.status_code))
        assert told is not None, f"{name} answered {response.status_code}: {response.text[:500]}"
        self.seen.add(name)
        if "$ref" in told:
            told = self._document["components"]["responses"][told["$ref"].rpartition("/")[2]]
        assert "x-request-id" in response.headers
        self._check_content(name, told, response)

    def _operation(self, request: httpx.Request) -> tuple[str, Json]:
        for pattern, path in self._paths:
            if pattern.fullmatch(request.url.path) and request.method.lower() in (
                item := self._document["paths"][path]
            ):
                operation: Json = item[request.method.lower()]
                return f"{request.method} {path}", operation
        raise AssertionError(f"{request.method} {request.url.path} is not described")

    def _check_content(self, name: str, told: Json, response: httpx.Response) -> None:
        where = f"{name} {response.status_code}"
        contents: Mapping[str, Json] = told.get("content", {})
        media_type = response.headers.get("content-type", "").partition(";")[0]
        if not response.content:
            assert not contents or "text/event-stream" in contents, where
            return
        assert media_type in contents, f"{where} is {media_type}"
        schema = contents[media_type].get("schema", {})
        if media_type == "text/event-stream":
            for event in EventSource(response).iter_sse():
                lines = {"id": event.id} if event.id else {}
                self._check(where, schema, {**lines, "event": event.event, "data": event.data})
                self._check(where, self._data_schema(schema, event.event), event.json())
        elif media_type.endswith("json"):
            self._check(where, schema, response.json())

    def _data_schema(self, stream: Json, event: str) -> Json:
        """Return the schema of an event's data: to a validator it is no more than a text."""
        name = f"{stream['$ref'].rpartition('/')[2]}.{event}"
        kind = self._shared["components"]["schemas"][name]
        schema: Json = kind["properties"]["data"]["contentSchema"]
        return schema

    def _check(self, where: str, schema: Json, value: object) -> None:
        text = json.dumps(_strict(schema)).replace('"#/', f'"{_SHARED}#/')
        if text not in self._validators:
            whole = json.loads(text)
            self._validators[text] = Draft202012Validator(whole, registry=self._registry)
        validator = self._validators[text]
        faults = [f"{each.instance_path}: {each.message}" for each in validator.iter_errors(value)]
        assert faults == [], f"{where}: {faults[:3]} in {json.dumps(value)[:800]}"


def _strict(schema: Any) -> Any:
    """Return a schema that refuses properties that it does not name."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(each) for name, each in schema.items()}
    is_whole = schema.get("type") == "object" and "properties" in schema
    if is_whole and "additionalProperties" not in schema:
        strict["unevaluatedProperties"] = False
    return strict
