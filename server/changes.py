"""How a change of flags is asked for over HTTP: by whom, why, of which version, and only once."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, TypeVar

import structlog
from pydantic import Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flags.changes.editor import Request as Change
from flags.errors import FlagStoreError
from flags.model import Author, Flag, Segment
from server.body import read_json
from server.errors import ProblemError
from server.services import Services
from server.wire import Json, whole_number

log = structlog.get_logger(__name__)

NO_STORE = {"Cache-Control": "no-store"}
MAX_PAGE = 200
"""Definitions in one answer: making it holds up everybody's tokens for about 10 ms."""
Why = Annotated[str, Field(max_length=500)]
"""Why something is changed, for its history."""

_WHY = TypeAdapter[str](Why)
_VERSION = re.compile(r'(?:W/)?"([1-9][0-9]{0,14})"|([1-9][0-9]{0,14})', re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_OURS = frozenset({"reason", "stale"})
"""Of a definition's document: why it is sent, and what was added to it when it was read."""

Definition = TypeVar("Definition", Flag, Segment)


def change_of(request: Request, author: Author, why: str = "") -> Change:
    """Return how the change is asked for.

    Raises:
        ProblemError: 400, a header cannot be understood.
    """
    return Change(replace(author, why=why), if_version(request), idempotency_key(request))


def if_version(request: Request) -> int | None:
    """Return the version that the caller has seen: `If-Match`; 0 for `If-None-Match: *`.

    Raises:
        ProblemError: 400, a header is malformed, or both are there.
    """
    seen, unseen = (request.headers.getlist(name) for name in ("if-match", "if-none-match"))
    if not seen and not unseen:
        return None
    if unseen == ["*"] and not seen:
        return 0
    match = _VERSION.fullmatch(seen[0]) if len(seen) == 1 and not unseen else None
    if match is None:
        raise ProblemError(
            400,
            "malformed",
            'Send If-Match with one version, such as "7", or If-None-Match: * for what must not'
            " exist yet.",
        )
    return int(match[1] or match[2])


def idempotency_key(request: Request) -> str | None:
    """Return what makes a repetition harmless.

    Raises:
        ProblemError: 400, it is malformed.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and _KEY.fullmatch(key) is None:
        raise ProblemError(
            400, "malformed", "Idempotency-Key takes 1 to 255 printable ASCII characters."
        )
    return key


async def definition_of(request: Request) -> tuple[Mapping[str, object], str]:
    """Return the definition in the body, and why it is changed.

    Raises:
        ProblemError: the body is no JSON object, or `reason` is no reason.
    """
    document = await read_json(request)
    if not isinstance(document, dict):
        message = "must be a JSON object"
        raise ProblemError(
            422,
            "invalid",
            "The body is not valid; see errors.",
            errors=[{"field": "", "message": message}],
        )
    given: Mapping[str, object] = document
    why = _why(given.get("reason", ""))
    return {name: value for name, value in given.items() if name not in _OURS}, why


async def why_of_query(request: Request) -> str:
    """Return why something is removed: `?reason=`, as such a request has no body.

    Raises:
        ProblemError: it is too long, or there is a body.
    """
    if await request.body():
        raise ProblemError(
            400, "malformed", "DELETE takes no body; say why in the query, as ?reason=."
        )
    return _why(request.query_params.get("reason", ""))


async def serve_now(services: Services) -> None:
    """Have this process serve at once what was changed; the others are told by the store."""
    try:
        await services.flags.client.follow_store()
    except FlagStoreError as error:  # the change has held: it is served as soon as it can be read
        log.warning("flags.change_not_followed", reason=str(error))


def versioned(body: Json, definition: Flag | Segment, status: int = 200) -> Response:
    """Return a definition as an answer whose `ETag` is its version."""
    headers = {"ETag": f'"{definition.version}"', **NO_STORE}
    return JSONResponse(body, status, headers=headers)


def page_of(
    request: Request, definitions: Mapping[str, Definition]
) -> tuple[list[Definition], str | None]:
    """Return the definitions after `cursor`, by name, and the cursor of those that follow.

    Raises:
        ProblemError: 422, `limit` is none.
    """
    limit = whole_number(request, "limit", default=100, low=1, high=MAX_PAGE)
    after = request.query_params.get("cursor", "")
    names = sorted(name for name in definitions if name > after)
    is_more = len(names) > limit
    shown = names[:limit]
    return [definitions[name] for name in shown], shown[-1] if is_more else None


def plain(percentage: float) -> float:
    """Return 5 for 5.0: scripts compare the text."""
    return int(percentage) if percentage == int(percentage) else percentage


def staleness(services: Services) -> Json:
    """Return what is added to an answer from memory while the store is lost."""
    return {"stale": True} if services.flags.client.status.is_stale else {}


def _why(given: object) -> str:
    try:
        return _WHY.validate_python(given, strict=True).strip()
    except ValidationError:
        message = "must be a text of at most 500 characters"
        raise ProblemError(
            422,
            "invalid",
            "The reason is not valid; see errors.",
            errors=[{"field": "reason", "message": message}],
        ) from None
