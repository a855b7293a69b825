"""API keys of server-to-server callers: made, listed and revoked by the users they are of."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from accounts.model import ApiKey, Scope
from server.audit import audit
from server.auth.api_keys import CHAT_ONLY, key_hash, new_key
from server.auth.operators import is_admin
from server.auth.routing import Access, ApiRoute
from server.body import StrictModel, read_model, visible
from server.changes import NO_STORE
from server.errors import ProblemError
from server.limits.tiers import Tier
from server.openapi.described import api_keys as described
from server.routes.user_access import api_key_json
from server.wire import owner_of, services_of

MAX_DAYS = 3650


class NewApiKey(StrictModel):
    """The body of `POST /api/v1/api-keys`."""

    name: Annotated[str, Field(max_length=100), AfterValidator(visible)]
    scopes: list[Scope] = Field(min_length=1, max_length=4)
    expires_in_days: int | None = Field(None, ge=1, le=MAX_DAYS)


async def create_key(request: Request) -> Response:
    """Make a key. It is shown this once: what is stored cannot be turned back into it."""
    services, owner = services_of(request), owner_of(request)
    body = await read_model(request, NewApiKey)
    scopes = frozenset(body.scopes)
    if not scopes <= CHAT_ONLY and not is_admin(request):
        raise ProblemError(
            403, "forbidden", "Keys for metrics, flags and ofrep are made by admins; ask for chat."
        )
    now = datetime.now(UTC)
    days = body.expires_in_days
    key_id, key = new_key()
    made = ApiKey(
        key_id=key_id,
        user_id=owner.owner_id,
        name=body.name,
        key_hash=key_hash(key),
        scopes=scopes,
        created_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
    )
    await services.accounts.api_keys.create(made)
    details = {"scopes": sorted(scopes), "expires_in_days": days}
    await audit(request, "api_key.created", key_id, details=details)
    return JSONResponse({**api_key_json(made), "key": key}, 201, headers=NO_STORE)


async def list_keys(request: Request) -> Response:
    """List one's keys, newest first; revoked ones for 30 days."""
    keys = await services_of(request).accounts.api_keys.list(owner_of(request).owner_id)
    return JSONResponse({"api_keys": [api_key_json(key) for key in keys]}, headers=NO_STORE)


async def revoke_key(request: Request) -> Response:
    """Make a key worthless; again is nothing new."""
    services, owner = services_of(request), owner_of(request)
    key_id = request.path_params["key_id"]
    await services.accounts.api_keys.revoke(owner.owner_id, key_id, now=datetime.now(UTC))
    services.sign_in.api_keys.forget(owner.owner_id)
    await audit(request, "api_key.revoked", key_id)
    return Response(status_code=204, headers=NO_STORE)


routes = [
    ApiRoute(
        "/api/v1/api-keys",
        create_key,
        methods=["POST"],
        access=Access.USER,
        tier=Tier.API,
        doc=described.CREATE.taking(NewApiKey),
    ),
    ApiRoute("/api/v1/api-keys", list_keys, access=Access.USER, tier=Tier.API, doc=described.LIST),
    ApiRoute(
        "/api/v1/api-keys/{key_id}",
        revoke_key,
        methods=["DELETE"],
        access=Access.USER,
        tier=Tier.API,
        doc=described.REVOKE,
    ),
]
