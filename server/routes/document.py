"""The API's description: for programs at `/openapi.json`, for people at `/docs`.

It tells nothing that callers may not know, and is served in production, too.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute

from server.auth.routing import Access, ApiRoute
from server.limits.tiers import Tier
from server.openapi.described import document as docs
from server.openapi.document import document_text
from server.services import ROOT


@dataclass(frozen=True, slots=True)
class _Served:
    """The document as it is sent."""

    body: bytes
    etag: str


async def read_document(request: Request) -> Response:
    """Tell how the API is called, as an OpenAPI document."""
    served = await _served(request)
    headers = {"ETag": served.etag, "Cache-Control": "no-cache"}
    listed = ",".join(request.headers.getlist("if-none-match")).split(",")
    if served.etag in {tag.strip().removeprefix("W/") for tag in listed}:
        return Response(status_code=304, headers=headers)
    return Response(served.body, media_type="application/json", headers=headers)


async def page(_request: Request) -> Response:
    """Serve the page that shows the document."""
    return FileResponse(ROOT / "web/docs/index.html", headers={"Cache-Control": "no-cache"})


async def _served(request: Request) -> _Served:
    """Return the document, made when it is first asked for: starting must not wait for it."""
    state = request.app.state
    if not hasattr(state, "openapi"):
        # In a thread: making it takes 50 ms, and tokens would wait. Made twice it is the same.
        state.openapi = await anyio.to_thread.run_sync(_make, request.app.routes)
    served: _Served = state.openapi
    return served


def _make(routes: Sequence[BaseRoute]) -> _Served:
    body = document_text(routes).encode()
    return _Served(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


routes = [
    ApiRoute(
        "/openapi.json", read_document, access=Access.PUBLIC, tier=Tier.NONE, doc=docs.DOCUMENT
    ),
    ApiRoute("/docs", page, access=Access.PUBLIC, tier=Tier.NONE),
]
