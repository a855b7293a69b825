"""One's own account: name, password, sign-ins on other devices, and its end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from accounts.errors import SessionNotFoundError
from accounts.model import Session, User
from server.audit import address_of, audit
from server.auth.routing import Access, ApiRoute
from server.auth.sessions import delete_session_cookies, end_sessions
from server.body import StrictModel, read_model
from server.changes import NO_STORE
from server.errors import ProblemError
from server.leaving import delete_conversations
from server.limits.tiers import Tier
from server.openapi.described import accounts as described
from server.routes.accounts import MAX_PASSWORD_CHARS, let_try, who_json
from server.routes.user_access import session_json
from server.routes.users import Name, new_password_hash
from server.wire import Json, account_json, owner_of, services_of

RECENT = timedelta(minutes=10)
"""Whoever has no password shows by a sign-in this recent that it is they."""
DELETED_HOST = "deleted.invalid"
"""Of the address that a deleted account has: nobody's, ever (RFC 2606)."""


class AccountChange(StrictModel):
    """The body of `PATCH /api/v1/auth/me`."""

    name: Name


class PasswordChange(StrictModel):
    """The body of `POST /api/v1/auth/password`; without `current_password` where there is none."""

    current_password: str | None = Field(None, max_length=MAX_PASSWORD_CHARS)
    new_password: str = Field(max_length=MAX_PASSWORD_CHARS)


class AccountEnd(StrictModel):
    """The body of `DELETE /api/v1/auth/me`; without `password` where there is none."""

    password: str | None = Field(None, max_length=MAX_PASSWORD_CHARS)


async def read_me(request: Request) -> Response:
    """Tell who one is."""
    return JSONResponse(await who_json(request), headers=NO_STORE)


async def change_me(request: Request) -> Response:
    """Change one's name."""
    users = services_of(request).accounts.users
    body = await read_model(request, AccountChange)
    user = await users.get(owner_of(request).owner_id)
    user = await users.put(replace(user, name=body.name), if_version=user.version)
    return JSONResponse({"user": account_json(user)}, headers=NO_STORE)


async def change_password(request: Request) -> Response:
    """Change one's password; all other sign-ins end."""
    services, owner = services_of(request), owner_of(request)
    body = await read_model(request, PasswordChange)
    user = await services.accounts.users.get(owner.owner_id)
    await _prove(request, user, body.current_password, field="current_password")
    password_hash = await new_password_hash(
        services, body.new_password, email=user.email, name=user.name, field="new_password"
    )
    changed = replace(user, password_hash=password_hash)
    await services.accounts.users.put(changed, if_version=user.version)
    await end_sessions(request, user.user_id, but=owner.session_id, reason="password_changed")
    await audit(request, "auth.password_changed", user.user_id)
    return Response(status_code=204, headers=NO_STORE)


async def delete_me(request: Request) -> Response:
    """Delete one's account with all its conversations; what is left of it names nobody.

    Conversations go first, while the account is there: what fails half-way can be asked for again.
    What other workers let them begin until they know of it is deleted when all do.
    """
    services, owner = services_of(request), owner_of(request)
    body = await read_model(request, AccountEnd) if await request.body() else AccountEnd()
    user = await services.accounts.users.get(owner.owner_id)
    if user.role == "admin":
        raise ProblemError(
            409, "admin_account", "You operate the service; have another admin end that first."
        )
    await _prove(request, user, body.password, field="password")
    await end_sessions(request, user.user_id, but=owner.session_id, reason="revoked")
    now = datetime.now(UTC)
    for key in await services.accounts.api_keys.list(user.user_id):
        await services.accounts.api_keys.revoke(user.user_id, key.key_id, now=now)
    services.sign_in.api_keys.forget(user.user_id)
    await delete_conversations(services, user.user_id)
    nobody = replace(
        user,
        email=f"{user.user_id}@{DELETED_HOST}",
        name="",
        password_hash=None,
        identities=(),
        is_disabled=True,
    )
    await services.accounts.users.put(nobody, if_version=user.version)
    services.sign_in.leavers.left(user.user_id)
    await audit(request, "auth.account_deleted", user.user_id)
    await end_sessions(request, user.user_id, reason="disabled")
    delete_session_cookies(request)
    return Response(status_code=204, headers=NO_STORE)


async def list_sessions(request: Request) -> Response:
    """List one's sign-ins, newest first."""
    owner = owner_of(request)
    sessions = await services_of(request).accounts.sessions.list(owner.owner_id)
    told = [_session_json(session, owner.session_id) for session in sessions]
    return JSONResponse({"sessions": told}, headers=NO_STORE)


async def end_session(request: Request) -> Response:
    """End one of one's sign-ins."""
    owner, session_id = owner_of(request), request.path_params["session_id"]
    count = await end_sessions(request, owner.owner_id, session_id=session_id, reason="signed_out")
    if count == 0:  # over already, or none of theirs
        session = await services_of(request).accounts.sessions.get(session_id)
        if session.user_id != owner.owner_id:
            raise SessionNotFoundError(session_id)
    if session_id == owner.session_id:
        delete_session_cookies(request)
    return Response(status_code=204, headers=NO_STORE)


async def _prove(request: Request, user: User, password: str | None, *, field: str) -> None:
    """Have somebody who is signed in show that it is they, not whoever found their browser open.

    Raises:
        ProblemError: 403, they have not; 429, they tried too often.
    """
    services = services_of(request)
    if user.password_hash is None:
        await _prove_recent(request)
        return
    # Where they are signed in from shows nothing here: no address passes by its sessions.
    await let_try(services, user.email, address_of(request), None)
    if password is None or not await services.passwords.verify(user.password_hash, password):
        services.sign_in.account_tries.failed(user.email)
        errors = [{"field": field, "message": "is not your password"}]
        raise ProblemError(
            403, "wrong_password", "This is not your password; try again.", errors=errors
        )


async def _prove_recent(request: Request) -> None:
    owner = owner_of(request)
    session = await services_of(request).accounts.sessions.get(owner.session_id or "")
    if session.created_at < datetime.now(UTC) - RECENT:
        raise ProblemError(
            403,
            "sign_in_again",
            "Sign out and in again, then do it within ten minutes: you have no password to ask.",
        )


def _session_json(session: Session, own_id: str | None) -> Json:
    return {**session_json(session), "is_this": session.session_id == own_id}


_AUTH = "/api/v1/auth"
routes = [
    ApiRoute(f"{_AUTH}/me", read_me, access=Access.OWNER, tier=Tier.API, doc=described.ME),
    ApiRoute(
        f"{_AUTH}/me",
        change_me,
        methods=["PATCH"],
        access=Access.USER,
        tier=Tier.API,
        doc=described.CHANGE_ME.taking(AccountChange),
    ),
    ApiRoute(
        f"{_AUTH}/me",
        delete_me,
        methods=["DELETE"],
        access=Access.USER,
        tier=Tier.AUTH,
        doc=described.DELETE_ME.taking(AccountEnd, optional=True),
    ),
    ApiRoute(
        f"{_AUTH}/password",
        change_password,
        methods=["POST"],
        access=Access.USER,
        tier=Tier.AUTH,
        doc=described.PASSWORD.taking(PasswordChange),
    ),
    ApiRoute(
        f"{_AUTH}/sessions",
        list_sessions,
        access=Access.USER,
        tier=Tier.API,
        doc=described.SESSIONS,
    ),
    ApiRoute(
        f"{_AUTH}/sessions/{{session_id}}",
        end_session,
        methods=["DELETE"],
        access=Access.USER,
        tier=Tier.API,
        doc=described.END_SESSION,
    ),
]
