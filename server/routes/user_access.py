"""How a user gets in, for operators: their sign-ins and API keys, and how to end them."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from accounts.errors import SessionNotFoundError
from accounts.model import ApiKey, Session
from server.audit import audited
from server.auth.routing import Access, ApiRoute
from server.auth.sessions import end_sessions
from server.changes import NO_STORE, why_of_query
from server.limits.tiers import Tier
from server.openapi.described import users as described
from server.routes.users import invalid
from server.wire import Json, instant, services_of


async def list_sessions(request: Request) -> Response:
    """List a user's sign-ins that are not over, newest first."""
    user_id = await _user_id(request)
    sessions = await services_of(request).accounts.sessions.list(user_id)
    told = [session_json(session) for session in sessions]
    return JSONResponse({"sessions": told, "next": None}, headers=NO_STORE)


async def end_all_sessions(request: Request) -> Response:
    """End all sign-ins of a user."""
    user_id = await _user_id(request)
    why = await required_why(request)
    async with audited(request, "user.sessions_ended", user_id, why=why):
        count = await end_sessions(request, user_id, reason="revoked")
    return JSONResponse({"ended": count}, headers=NO_STORE)


async def end_session(request: Request) -> Response:
    """End one sign-in of a user; again is nothing new."""
    user_id, session_id = await _user_id(request), request.path_params["session_id"]
    session = await services_of(request).accounts.sessions.get(session_id)
    if session.user_id != user_id:
        raise SessionNotFoundError(session_id)
    why, told = await required_why(request), {"session_id": session_id}
    async with audited(request, "user.session_ended", user_id, why=why, details=told):
        await end_sessions(request, user_id, session_id=session_id, reason="revoked")
    return Response(status_code=204, headers=NO_STORE)


async def list_keys(request: Request) -> Response:
    """List a user's API keys, newest first; never the keys themselves."""
    keys = await services_of(request).accounts.api_keys.list(await _user_id(request))
    told = [api_key_json(key) for key in keys]
    return JSONResponse({"api_keys": told, "next": None}, headers=NO_STORE)


async def revoke_key(request: Request) -> Response:
    """Make an API key of a user worthless; again is nothing new."""
    services = services_of(request)
    user_id, key_id = await _user_id(request), request.path_params["key_id"]
    why, told = await required_why(request), {"key_id": key_id}
    async with audited(request, "api_key.revoked", user_id, why=why, details=told):
        await services.accounts.api_keys.revoke(user_id, key_id, now=datetime.now(UTC))
        services.sign_in.api_keys.forget(user_id)
    return Response(status_code=204, headers=NO_STORE)


def session_json(session: Session) -> Json:
    """Return a sign-in as operators see it."""
    return {
        "session_id": session.session_id,
        "created_at": instant(session.created_at),
        "refreshed_at": instant(session.rotated_at),
        "expires_at": instant(session.expires_at),
        "client": session.client,
        "address": session.address,
    }


def api_key_json(key: ApiKey) -> Json:
    """Return an API key as operators see it."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": instant(key.created_at),
        "expires_at": None if key.expires_at is None else instant(key.expires_at),
        "last_used_at": None if key.last_used_at is None else instant(key.last_used_at),
        "revoked_at": None if key.revoked_at is None else instant(key.revoked_at),
    }


async def required_why(request: Request) -> str:
    """Return why something is taken from somebody: `?reason=`.

    Raises:
        ProblemError: 422, there is none.
    """
    why = await why_of_query(request)
    if not why or "\0" in why:
        raise invalid("reason", "must say why; it is kept in the audit log")
    return why


async def _user_id(request: Request) -> str:
    """Return the user of the path.

    Raises:
        UserNotFoundError: there is none.
    """
    return (await services_of(request).accounts.users.get(request.path_params["user_id"])).user_id


_SESSIONS = "/api/v1/users/{user_id}/sessions"
_KEYS = "/api/v1/users/{user_id}/api-keys"
routes = [
    ApiRoute(
        _SESSIONS,
        list_sessions,
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=described.SESSIONS,
    ),
    ApiRoute(
        _SESSIONS,
        end_all_sessions,
        methods=["DELETE"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=described.END_SESSIONS,
    ),
    ApiRoute(
        f"{_SESSIONS}/{{session_id}}",
        end_session,
        methods=["DELETE"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=described.END_SESSION,
    ),
    ApiRoute(_KEYS, list_keys, access=Access.ADMIN, tier=Tier.OPERATORS, doc=described.KEYS),
    ApiRoute(
        f"{_KEYS}/{{key_id}}",
        revoke_key,
        methods=["DELETE"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=described.REVOKE_KEY,
    ),
]
