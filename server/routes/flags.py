"""The flags: their definitions, kills, history, and why somebody gets what they get.

Reading is from memory, so that it works while the store is lost; but for the history.
"""

import time
from collections.abc import Mapping
from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flags.codec import audit_json, flag_json
from flags.errors import FlagNotFoundError
from flags.explain import Explanation, explain
from flags.model import Flag, InFlight
from server.auth.operators import author_of
from server.auth.routing import Access, ApiRoute
from server.body import StrictModel, parse_json, read_model
from server.changes import (
    NO_STORE,
    Why,
    change_of,
    definition_of,
    page_of,
    plain,
    serve_now,
    staleness,
    versioned,
    why_of_query,
)
from server.errors import ProblemError
from server.limits.tiers import Tier
from server.openapi.answers.flags import FlagDefinition
from server.openapi.described import flags as docs
from server.services import Services
from server.wire import Json, services_of, whole_number

MAX_VERSION = 10**15 - 1
MAX_UNIT_CHARS = 256


class Kill(StrictModel):
    """The optional body of `POST /api/v1/flags/{key}/kill`."""

    in_flight: Literal["drain", "abort"] = "drain"
    reason: Why = ""


async def list_flags(request: Request) -> Response:
    """List the flags by key."""
    services = services_of(request)
    flags, after = page_of(request, services.flags.client.ruleset.flags)
    answer = {"flags": [flag_json(flag) for flag in flags], "next": after, **staleness(services)}
    return JSONResponse(answer, headers=NO_STORE)


async def get_flag(request: Request) -> Response:
    """Tell one flag's definition."""
    return _flag_response(services_of(request), _flag(request))


async def put_flag(request: Request) -> Response:
    """Create a flag or replace its definition."""
    author = author_of(request)
    services, key = services_of(request), request.path_params["key"]
    definition, why = await definition_of(request)
    is_new = key not in services.flags.client.ruleset.flags
    flag = await services.flags.editor.put_flag(key, definition, change_of(request, author, why))
    await serve_now(services)
    return versioned(flag_json(flag), flag, 201 if is_new else 200)


async def delete_flag(request: Request) -> Response:
    """Delete a flag; its history stays."""
    author = author_of(request)
    services, why = services_of(request), await why_of_query(request)
    change = change_of(request, author, why)
    await services.flags.editor.delete_flag(request.path_params["key"], change)
    await serve_now(services)
    return Response(status_code=204, headers=NO_STORE)


async def kill_flag(request: Request) -> Response:
    """Give everybody the off variant, above every rule."""
    author = author_of(request)
    services = services_of(request)
    body = await read_model(request, Kill) if await request.body() else Kill()
    flag = await services.flags.editor.kill(
        request.path_params["key"],
        change_of(request, author, body.reason),
        in_flight=InFlight(body.in_flight),
    )
    await serve_now(services)
    return versioned(flag_json(flag), flag)


async def end_kill(request: Request) -> Response:
    """Let a flag be evaluated again; its percentage stays at 0."""
    author = author_of(request)
    services, why = services_of(request), await why_of_query(request)
    change = change_of(request, author, why)
    flag = await services.flags.editor.end_kill(request.path_params["key"], change)
    await serve_now(services)
    return versioned(flag_json(flag), flag)


async def list_history(request: Request) -> Response:
    """List who changed a flag, when, why and how, newest first; also of a deleted one."""
    key = request.path_params["key"]
    history, after = await changes_of(request, f"flag:{key}", key)
    return JSONResponse({"history": history, "next": after}, headers=NO_STORE)


async def changes_of(request: Request, subject: str, key: str) -> tuple[list[Json], int | None]:
    """Return a page of a subject's changes, newest first, and the `before` of the page below.

    Raises:
        FlagNotFoundError: neither has the flag `key` ever been, nor the subject.
        ProblemError: 422, `limit` or `before` is none.
    """
    services = services_of(request)
    limit = whole_number(request, "limit", default=20, low=1, high=200)
    before = whole_number(request, "before", default=MAX_VERSION, low=1, high=MAX_VERSION)
    found = await services.flags.store.history(subject, limit=limit + 1, before=before)
    is_known = found or key in services.flags.client.ruleset.flags
    if not is_known and not await services.flags.store.history(subject, limit=1):
        raise FlagNotFoundError(key)
    shown = found[:limit]
    after = shown[-1].version if len(found) > limit else None
    return [audit_json(entry) for entry in shown], after


async def explain_flag(request: Request) -> Response:
    """Tell why a user gets what they get, step by step."""
    services = services_of(request)
    explanation = explain(
        services.flags.client,
        request.path_params["key"],
        _unit(request),
        attributes=_attributes(request),
        now=time.time,
    )
    answer = _explanation_json(explanation) | staleness(services)
    return JSONResponse(answer, headers=NO_STORE)


def _flag(request: Request) -> Flag:
    key = request.path_params["key"]
    flag = services_of(request).flags.client.ruleset.flags.get(key)
    if flag is None:
        raise FlagNotFoundError(key)
    return flag


def _flag_response(services: Services, flag: Flag) -> Response:
    return versioned(flag_json(flag) | staleness(services), flag)


def _unit(request: Request) -> str:
    unit = request.query_params.get("user_id", "")
    if not 0 < len(unit) <= MAX_UNIT_CHARS:
        raise _invalid("user_id", f"must have 1 to {MAX_UNIT_CHARS} characters")
    return unit


def _attributes(request: Request) -> Mapping[str, object]:
    text = request.query_params.get("attributes", "{}")
    try:
        attributes = parse_json(text.encode())
    except ProblemError:
        attributes = None
    if not isinstance(attributes, dict):
        raise _invalid("attributes", "must be a JSON object")
    return attributes


def _invalid(field: str, message: str) -> ProblemError:
    errors = [{"field": field, "message": message}]
    return ProblemError(422, "invalid", f"{field} {message}.", errors=errors)


def _explanation_json(explanation: Explanation) -> Json:
    decision = explanation.decision
    answer: Json = {
        "key": decision.key,
        "user_id": explanation.unit,
        "value": decision.value,
        "variant": decision.variant,
        "reason": decision.reason.value,
        "version": decision.version,
        "epoch": decision.epoch,
        "salt": explanation.salt,
        "bucket": explanation.bucket,
        "percentage": plain(explanation.percentage),
        "included_from": explanation.enters_at,
        "steps": [
            {"step": each.step, "decided": each.decided, "detail": each.detail}
            for each in explanation.steps
        ],
    }
    if decision.error is not None:
        answer["error"] = decision.error
    return answer


routes = [
    ApiRoute(
        "/api/v1/flags",
        list_flags,
        methods=["GET"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="flags",
        doc=docs.LIST,
    ),
    ApiRoute(
        "/api/v1/flags/{key}",
        get_flag,
        methods=["GET"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="flags",
        doc=docs.GET,
    ),
    ApiRoute(
        "/api/v1/flags/{key}",
        put_flag,
        methods=["PUT"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.PUT.taking(FlagDefinition),
    ),
    ApiRoute(
        "/api/v1/flags/{key}",
        delete_flag,
        methods=["DELETE"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.DELETE,
    ),
    ApiRoute(
        "/api/v1/flags/{key}/kill",
        kill_flag,
        methods=["POST"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.KILL.taking(Kill, optional=True),
    ),
    ApiRoute(
        "/api/v1/flags/{key}/kill",
        end_kill,
        methods=["DELETE"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.END_KILL,
    ),
    ApiRoute(
        "/api/v1/flags/{key}/history",
        list_history,
        methods=["GET"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="flags",
        doc=docs.HISTORY,
    ),
    ApiRoute(
        "/api/v1/flags/{key}/explain",
        explain_flag,
        methods=["GET"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="flags",
        doc=docs.EXPLAIN,
    ),
]
