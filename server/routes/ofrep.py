"""OpenFeature's remote evaluation: flags for other services and for pages, by any of its clients.

Whatever is wrong is answered in the protocol's own words (`server.errors.refusal`), 304 and errors
of single flags included. A decision made for somebody else's work is no exposure of ours.

Source: the OpenFeature Remote Evaluation Protocol, `service/openapi.yaml`.
"""

import hashlib
from collections.abc import Mapping
from typing import NoReturn

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flags.client import FLAG_NOT_FOUND
from flags.evaluate import UNIT_ATTRIBUTE, UNIT_MISSING
from flags.model import Attributes, Decision
from server.auth.routing import Access, ApiRoute
from server.body import read_json
from server.errors import ProblemError
from server.limits.tiers import Tier
from server.openapi.described import ofrep as docs
from server.wire import Json, services_of

_PRIVATE = {"Cache-Control": "private, no-cache"}
_ERRORS = {
    UNIT_MISSING: (400, "TARGETING_KEY_MISSING", "The flag is dealt by targetingKey; send one."),
    FLAG_NOT_FOUND: (404, "FLAG_NOT_FOUND", "There is no such flag."),
}
_GENERAL = (500, "GENERAL", "The flag could not be evaluated; the server's log says why.")


async def evaluate_flag(request: Request) -> Response:
    """Tell what a unit gets of one flag."""
    key = request.path_params["key"]
    unit, attributes = await _context(request, {"key": key})
    client = services_of(request).flags.client
    decision = client.decide(key, unit, default=None, attributes=attributes)
    if decision.error is not None:
        status, code, details = _ERRORS.get(decision.error, _GENERAL)
        raise ProblemError(status, decision.error, details, extra={"key": key, "errorCode": code})
    return JSONResponse(_evaluation(decision), headers=_PRIVATE)


async def evaluate_flags(request: Request) -> Response:
    """Tell what a unit gets of every flag, or that it is what the caller has."""
    unit, attributes = await _context(request, {})
    client = services_of(request).flags.client
    answer = JSONResponse(
        {
            "flags": [
                _evaluation(client.decide(key, unit, default=None, attributes=attributes))
                for key in sorted(client.ruleset.flags)
            ]
        },
        headers=_PRIVATE,
    )
    # Of the answer itself: no change of rules, context, kills or time can be missed.
    tag = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
    if tag in _known(request):
        return Response(status_code=304, headers={"ETag": tag, **_PRIVATE})
    answer.headers["ETag"] = tag
    return answer


async def _context(request: Request, extra: Mapping[str, object]) -> tuple[str, Attributes]:
    """Return whom it is about and what is known of them.

    Raises:
        ProblemError: with the protocol's error code.
    """
    body = await _body(request, extra)
    if not isinstance(body, dict):
        _refuse("PARSE_ERROR", "The body must be a JSON object with a context.", extra)
    context = body.get("context", {})
    if not isinstance(context, dict):
        _refuse("INVALID_CONTEXT", "The context must be an object.", extra)
    unit = context.get(UNIT_ATTRIBUTE, "")
    if not isinstance(unit, str):
        _refuse("INVALID_CONTEXT", "The context's targetingKey must be a text.", extra)
    return unit, {name: value for name, value in context.items() if name != UNIT_ATTRIBUTE}


async def _body(request: Request, extra: Mapping[str, object]) -> object:
    if not await request.body():  # no context is one as well
        return {}
    try:
        return await read_json(request)
    except ProblemError as problem:
        _refuse("PARSE_ERROR", problem.detail, extra)


def _refuse(code: str, details: str, extra: Mapping[str, object]) -> NoReturn:
    raise ProblemError(400, "malformed", details, extra={**extra, "errorCode": code}) from None


def _evaluation(decision: Decision) -> Json:
    if decision.error is not None:
        _, code, details = _ERRORS.get(decision.error, _GENERAL)
        return {"key": decision.key, "errorCode": code, "errorDetails": details}
    return {
        "key": decision.key,
        "value": decision.value,
        "variant": decision.variant,
        "reason": decision.reason.value.upper(),
        "metadata": {"version": decision.version, "epoch": decision.epoch},
    }


def _known(request: Request) -> set[str]:
    """Return the tags of what the caller has."""
    listed = ",".join(request.headers.getlist("if-none-match")).split(",")
    return {tag.strip().removeprefix("W/") for tag in listed}


routes = [
    ApiRoute(
        "/ofrep/v1/evaluate/flags",
        evaluate_flags,
        methods=["POST"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="ofrep",
        doc=docs.ALL,
    ),
    ApiRoute(
        "/ofrep/v1/evaluate/flags/{key}",
        evaluate_flag,
        methods=["POST"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="ofrep",
        doc=docs.ONE,
    ),
]
