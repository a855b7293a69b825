"""The audit log: who did what to whom, when, why, and from where. It can be read, nothing else."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from accounts.model import AuditEntry
from server.auth.routing import Access, ApiRoute
from server.changes import NO_STORE
from server.limits.tiers import Tier
from server.openapi.described import audit as described
from server.routes.users import invalid, not_our_cursor
from server.wire import Json, instant, services_of, whole_number

MAX_PAGE = 200
MAX_ID_CHARS = 200


async def list_entries(request: Request) -> Response:
    """List what was done, newest first; about one `subject`, or by one `who`, where asked."""
    limit = whole_number(request, "limit", default=50, low=1, high=MAX_PAGE)
    try:
        page = await services_of(request).accounts.audit.list(
            limit=limit,
            cursor=request.query_params.get("cursor"),
            subject=_id(request, "subject"),
            who=_id(request, "who"),
        )
    except ValueError:
        raise not_our_cursor() from None
    entries = [entry_json(entry) for entry in page.items]
    return JSONResponse({"entries": entries, "next": page.next}, headers=NO_STORE)


def entry_json(entry: AuditEntry) -> Json:
    """Return an entry as operators see it."""
    return {
        "entry_id": entry.entry_id,
        "at": instant(entry.at),
        "who": entry.who,
        "action": entry.action,
        "subject": entry.subject,
        "why": entry.why,
        "address": entry.address,
        "request_id": entry.request_id,
        "details": dict(entry.details),
    }


def _id(request: Request, name: str) -> str:
    value = request.query_params.get(name, "")
    if len(value) > MAX_ID_CHARS or not value.isprintable():
        raise invalid(name, f"must be an id of at most {MAX_ID_CHARS} characters")
    return value


routes = [
    ApiRoute(
        "/api/v1/audit",
        list_entries,
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=described.LIST,
    )
]
