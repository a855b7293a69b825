"""Segments: named users, for the rules of flags."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flags.codec import segment_json
from flags.errors import FlagNotFoundError
from server.auth.operators import author_of
from server.auth.routing import Access, ApiRoute
from server.changes import (
    NO_STORE,
    change_of,
    definition_of,
    page_of,
    serve_now,
    staleness,
    versioned,
    why_of_query,
)
from server.limits.tiers import Tier
from server.openapi.answers.flags import SegmentDefinition
from server.openapi.described import flags as docs
from server.wire import services_of


async def list_segments(request: Request) -> Response:
    """List the segments by name."""
    services = services_of(request)
    segments, after = page_of(request, services.flags.client.ruleset.segments)
    shown = [segment_json(segment) for segment in segments]
    answer = {"segments": shown, "next": after, **staleness(services)}
    return JSONResponse(answer, headers=NO_STORE)


async def get_segment(request: Request) -> Response:
    """Tell one segment."""
    services, name = services_of(request), request.path_params["name"]
    segment = services.flags.client.ruleset.segments.get(name)
    if segment is None:
        raise FlagNotFoundError(name)
    return versioned(segment_json(segment) | staleness(services), segment)


async def put_segment(request: Request) -> Response:
    """Create a segment or replace its definition."""
    author = author_of(request)
    services, name = services_of(request), request.path_params["name"]
    definition, why = await definition_of(request)
    is_new = name not in services.flags.client.ruleset.segments
    change = change_of(request, author, why)
    segment = await services.flags.editor.put_segment(name, definition, change)
    await serve_now(services)
    return versioned(segment_json(segment), segment, 201 if is_new else 200)


async def delete_segment(request: Request) -> Response:
    """Delete a segment that no rule refers to."""
    author = author_of(request)
    services, why = services_of(request), await why_of_query(request)
    change = change_of(request, author, why)
    await services.flags.editor.delete_segment(request.path_params["name"], change)
    await serve_now(services)
    return Response(status_code=204, headers=NO_STORE)


routes = [
    ApiRoute(
        "/api/v1/segments",
        list_segments,
        methods=["GET"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="flags",
        doc=docs.LIST_SEGMENTS,
    ),
    ApiRoute(
        "/api/v1/segments/{name}",
        get_segment,
        methods=["GET"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="flags",
        doc=docs.GET_SEGMENT,
    ),
    ApiRoute(
        "/api/v1/segments/{name}",
        put_segment,
        methods=["PUT"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.PUT_SEGMENT.taking(SegmentDefinition),
    ),
    ApiRoute(
        "/api/v1/segments/{name}",
        delete_segment,
        methods=["DELETE"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.DELETE_SEGMENT,
    ),
]
