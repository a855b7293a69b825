"""The OpenAPI document, made of the route table: a route that is served is in it."""

import json
import re
from collections.abc import Iterable, Iterator
from inspect import getdoc
from typing import Any

from server.auth.routing import ApiRoute
from server.errors import OFREP, TITLES
from server.openapi.derived import (
    SECURITY_SCHEMES,
    is_limited,
    problems_of,
    security_of,
    told_access,
)
from server.openapi.describing import Answer, Content, Doc, Events, Media, Parameter, Tag
from server.openapi.headers import HEADERS, OF_EVERY_ANSWER, OF_LIMITED, OF_PROBLEMS
from server.openapi.parameters import IN_PATHS
from server.openapi.problems import OfrepProblem, Problem
from server.openapi.schemas import Schemas
from server.openapi.words import INTRODUCTION, TAGS
from server.version import VERSION

Json = dict[str, Any]

_IN_PATH = re.compile(r"\{(\w+)\}")
_ORDER = ("GET", "POST", "PUT", "PATCH", "DELETE")


def openapi_document(routes: Iterable[object]) -> Json:
    """Return the document of those routes that are described.

    Raises:
        KeyError: a header or a path's parameter is not described.
        ValueError: two types, or two operations, have the same name.
    """
    return _Writer(list(described(routes))).document()


def document_text(routes: Iterable[object], *, indent: int | None = None) -> str:
    """Return the document as JSON, in one line unless it is indented for people."""
    separators = (",", ":") if indent is None else None
    document = openapi_document(routes)
    return json.dumps(document, ensure_ascii=False, separators=separators, indent=indent)


def described(routes: Iterable[object]) -> Iterator[tuple[ApiRoute, Doc]]:
    """Yield the routes that are described."""
    for route in routes:
        if isinstance(route, ApiRoute) and route.doc is not None:
            yield route, route.doc


class _Writer:
    """Writes one document; what operations share is written once."""

    def __init__(self, routes: list[tuple[ApiRoute, Doc]]) -> None:
        self._routes = routes
        docs = [doc for _, doc in routes]
        contents = [
            content
            for doc in docs
            for answer in doc.answers.values()
            for content in answer.contents
        ]
        self._schemas = Schemas(
            bodies=[doc.body for doc in docs if doc.body is not None],
            answers=[Problem, OfrepProblem, *(each for each in contents if isinstance(each, type))],
            streams=[each for each in contents if isinstance(each, Events)],
        )
        self._responses: Json = {}
        self._operation_ids: set[str] = set()

    def document(self) -> Json:
        paths: dict[str, Json] = {}
        for route, doc in self._routes:
            for method in methods_of(route):
                operation = self._operation(route, doc, method)
                paths.setdefault(route.path, {})[method.lower()] = operation
        used = {doc.tag for _, doc in self._routes}
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Chatstream",
                "version": VERSION,
                "summary": "Streaming chat: turns that outlive their client.",
                "description": INTRODUCTION,
                "contact": {"name": "Whoever operates this server"},
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/", "description": "This server."}],
            "tags": [{"name": tag, "description": TAGS[tag]} for tag in Tag if tag in used],
            "paths": {path: paths[path] for path in sorted(paths)},
            "components": {
                "schemas": self._schemas.components,
                "responses": dict(sorted(self._responses.items())),
                "headers": {
                    name: {"description": about, "schema": schema}
                    for name, (about, schema) in HEADERS.items()
                },
                "securitySchemes": SECURITY_SCHEMES,
            },
        }

    def _operation(self, route: ApiRoute, doc: Doc, method: str) -> Json:
        summary, more = _words(route, doc)
        operation: Json = {
            "operationId": self._operation_id(route),
            "tags": [doc.tag],
            "summary": summary,
            "description": "\n\n".join(filter(None, (more, doc.description, told_access(route)))),
            "security": security_of(route),
        }
        parameters = [_parameter(each) for each in _parameters(route, doc)]
        if parameters:
            operation["parameters"] = parameters
        if doc.body is not None:
            operation["requestBody"] = self._body(doc.body, doc)
        limited = OF_LIMITED if is_limited(route) else ()
        answers = {
            str(status): self._answer(answer, limited) for status, answer in doc.answers.items()
        }
        problems = problems_of(route, method, doc)
        is_ofrep = route.path.startswith(OFREP)
        answers |= {
            str(status): self._problem(status, codes, is_ofrep=is_ofrep)
            for status, codes in problems.items()
            if str(status) not in answers
        }
        operation["responses"] = dict(sorted(answers.items()))
        return operation

    def _operation_id(self, route: ApiRoute) -> str:
        """Return a name that stays as long as the endpoint does; some have a second address."""
        area = route.endpoint.__module__.rpartition(".")[2]
        name = f"{area}.{route.endpoint.__name__}"
        if name in self._operation_ids:
            name = f"{name}.short"
        if name in self._operation_ids:
            raise ValueError(f"two operations are named {name}")
        self._operation_ids.add(name)
        return name

    def _body(self, model: type, doc: Doc) -> Json:
        content: Json = {"schema": self._schemas.ref(model, "body")}
        if doc.example is not None:
            content["example"] = doc.example
        return {
            "required": not doc.is_body_optional,
            "content": {"application/json": content},
        }

    def _answer(self, answer: Answer, limited: tuple[str, ...]) -> Json:
        written: Json = {
            "description": answer.about,
            "headers": _headers(*OF_EVERY_ANSWER, *limited, *answer.headers),
        }
        content = dict(self._content(each, answer) for each in answer.contents)
        if content:
            written["content"] = content
        return written

    def _content(self, content: Content, answer: Answer) -> tuple[str, Json]:
        match content:
            case Media(media_type, schema):
                return media_type, {"schema": dict(schema)}
            case Events(name):
                return "text/event-stream", {"schema": {"$ref": f"#/components/schemas/{name}"}}
            case _:
                told: Json = {"schema": self._schemas.ref(content, "answer")}
                if answer.example is not None:
                    told["example"] = answer.example
                return "application/json", told

    def _problem(self, status: int, codes: frozenset[str], *, is_ofrep: bool) -> Json:
        """Return a reference to how these codes are answered: many operations share them."""
        if is_ofrep:
            name = f"OpenFeature.{status}"
            schema: Json = self._schemas.ref(OfrepProblem, "answer")
            media_type, about = "application/json", TITLES[status]
        else:
            name = ".".join(["Problem", str(status), *sorted(codes)])
            told = {"properties": {"code": {"type": "string", "enum": sorted(codes)}}}
            schema = {"allOf": [self._schemas.ref(Problem, "answer"), told]}
            media_type = "application/problem+json"
            about = f"{TITLES[status]}: {', '.join(f'`{code}`' for code in sorted(codes))}."
        self._responses[name] = {
            "description": about,
            "headers": _headers(*OF_EVERY_ANSWER, *OF_PROBLEMS.get(status, ())),
            "content": {media_type: {"schema": schema}},
        }
        return {"$ref": f"#/components/responses/{name}"}


def _words(route: ApiRoute, doc: Doc) -> tuple[str, str]:
    """Return an operation's summary, and what its docstring says beyond it."""
    first, _, more = (getdoc(route.endpoint) or "").partition("\n")
    if doc.summary:
        return doc.summary, ""
    return first.strip().rstrip(".").replace("`", ""), more.partition("\nRaises:")[0].strip()


def _parameters(route: ApiRoute, doc: Doc) -> list[Parameter]:
    """Return an operation's parameters: the path's own first."""
    own = {(each.where, each.name) for each in doc.parameters}
    in_path = [IN_PATHS[name] for name in _IN_PATH.findall(route.path) if ("path", name) not in own]
    return [*in_path, *doc.parameters]


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.about,
        "required": parameter.is_required or parameter.where == "path",
        "schema": dict(parameter.schema),
    }


def _headers(*names: str) -> Json:
    for name in names:
        HEADERS[name]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def methods_of(route: ApiRoute) -> list[str]:
    """Return what a route answers, but HEAD, which goes with GET."""
    return sorted((route.methods or set()) - {"HEAD"}, key=_ORDER.index)
