"""The API's description: nothing that is served is missing, and what it says can be relied on."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import validate
from starlette.routing import Route

from server.app import served_routes
from server.auth.routing import ApiRoute
from server.errors import STATUS
from server.openapi.document import openapi_document
from server.openapi.headers import HEADERS
from server.openapi.parameters import IN_PATHS

VECTORS = Path(__file__).parents[2] / "vectors/api_routes.json"
API = ("/api/", "/health", "/metrics", "/ofrep/", "/admin/")
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document, as it is sent: through JSON."""
    made: dict[str, Any] = json.loads(json.dumps(openapi_document(served_routes())))
    return made


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_every_route_of_the_api_says_who_may_call_it_and_is_described() -> None:
    routes = [route for route in served_routes() if isinstance(route, Route)]

    assert [route.path for route in routes if not isinstance(route, ApiRoute)] == []
    undescribed = [
        route.path
        for route in routes
        if isinstance(route, ApiRoute) and route.doc is None and route.path.startswith(API)
    ]
    assert undescribed == []


def test_what_is_described_is_what_the_contract_has_and_what_is_listed_beyond_it(
    document: dict[str, Any],
) -> None:
    listed = json.loads(VECTORS.read_text())

    assert sorted(name for name, _ in operations(document)) == sorted(
        listed["contract"] + listed["beyond"]
    )


def test_every_example_is_what_its_schema_asks_for(document: dict[str, Any]) -> None:
    examples = [*_examples(document)]

    assert len(examples) > 30
    for name, example, schema in examples:
        whole = {**schema, "components": document["components"]}
        faults = [fault.message for fault in Draft202012Validator(whole).iter_errors(example)]
        assert (name, faults) == (name, [])


def _examples(document: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for name, operation in operations(document):
        carriers = [operation.get("requestBody", {}), *operation["responses"].values()]
        contents = [each for carrier in carriers for each in carrier.get("content", {}).values()]
        for content in contents:
            if "example" in content:
                yield name, content["example"], content["schema"]


def test_every_operation_has_a_name_of_its_own_a_summary_and_a_group(
    document: dict[str, Any],
) -> None:
    found = [*operations(document)]
    tags = {tag["name"] for tag in document["tags"]}

    ids = [operation["operationId"] for _, operation in found]
    assert len(ids) == len(set(ids))
    for name, operation in found:
        assert re.fullmatch(r"[A-Z][^`]{3,90}[^.]", operation["summary"]), name
        assert set(operation["tags"]) <= tags, name
        assert "{" not in operation["description"], name


def test_every_answer_and_every_problem_has_the_request_id(document: dict[str, Any]) -> None:
    shared = document["components"]["responses"]
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            told = response
            if "$ref" in response:
                told = shared[response["$ref"].rpartition("/")[2]]
            assert "X-Request-ID" in told["headers"], (name, status)


def test_every_kind_of_refusal_is_told_somewhere(document: dict[str, Any]) -> None:
    told = {
        (int(name.split(".")[1]), code)
        for name in document["components"]["responses"]
        if name.startswith("Problem.")
        for code in name.split(".")[2:]
    }

    known = {(status, getattr(error, "code", "")) for error, (status, _) in STATUS.items()}
    assert known - told == set()


def test_nothing_shared_is_described_for_nobody(document: dict[str, Any]) -> None:
    text = json.dumps(document)

    for kind in ("schemas", "responses", "headers"):
        unused = [
            name
            for name in document["components"][kind]
            if f'"#/components/{kind}/{name}"' not in text
        ]
        assert unused == [], kind
    in_paths = {name for path in document["paths"] for name in re.findall(r"\{(\w+)\}", path)}
    assert set(IN_PATHS) == in_paths
    assert set(HEADERS) == set(document["components"]["headers"])
