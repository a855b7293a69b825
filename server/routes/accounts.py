"""Signing in over HTTP: registering, signing in and out, staying signed in, being a guest.

Browsers get their tokens as cookies alone, where no script of a page can read them; other callers
get them in the body as well.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from accounts.errors import (
    AccountsError,
    EmailTakenError,
    SessionEndedError,
    SessionNotFoundError,
    UserNotFoundError,
)
from accounts.model import User
from server.audit import address_of, audit
from server.auth import cookies
from server.auth.caller import Caller
from server.auth.faults import refused
from server.auth.routing import Access, ApiRoute
from server.auth.sessions import (
    SignedIn,
    begin_session,
    delete_session_cookies,
    end_sessions,
    new_user_id,
    renew_session,
    session_of,
    set_session_cookies,
)
from server.auth.tokens import TokenError
from server.body import StrictModel, read_model
from server.changes import NO_STORE
from server.errors import ProblemError
from server.ids import new_id
from server.limits.tiers import Tier
from server.openapi.described import accounts as described
from server.routes.users import Name, email_of, new_password_hash
from server.services import Services
from server.wire import Json, account_json, services_of

log = structlog.get_logger(__name__)

MAX_EMAIL_CHARS = 508
"""Before it is normalised; `accounts.email` knows what an address may be."""
MAX_PASSWORD_CHARS = 1000
"""Before it is looked at; `accounts.passwords` knows what a password may be."""
OIDC_LOGIN = "/api/v1/auth/oidc/login"


class Register(StrictModel):
    """The body of `POST /api/v1/auth/register`."""

    email: str = Field(min_length=1, max_length=MAX_EMAIL_CHARS)
    password: str = Field(min_length=1, max_length=MAX_PASSWORD_CHARS)
    name: Name = ""


class Login(StrictModel):
    """The body of `POST /api/v1/auth/login`."""

    email: str = Field(min_length=1, max_length=MAX_EMAIL_CHARS)
    password: str = Field(min_length=1, max_length=MAX_PASSWORD_CHARS)


class Refresh(StrictModel):
    """The optional body of `POST /api/v1/auth/refresh`; browsers have a cookie instead."""

    refresh_token: str = Field(min_length=1, max_length=256)


class Logout(StrictModel):
    """The optional body of `POST /api/v1/auth/logout`."""

    everywhere: bool = False


async def options(request: Request) -> Response:
    """Tell in which ways one can sign in here."""
    services = services_of(request)
    provider = services.sign_in_provider
    told: Json = {
        "guests": services.settings.guests_allowed,
        "registration": services.settings.allow_registration,
        "oidc": None if provider is None else {"name": provider.name, "url": OIDC_LOGIN},
    }
    return JSONResponse(told, headers=NO_STORE)


async def register(request: Request) -> Response:
    """Make an account, and sign in to it. A guest keeps their conversations.

    Whether an address has an account can be learnt here, slowly (the limit of `auth`): there is no
    other way to say why it cannot be had, as no mail is sent.
    """
    services = services_of(request)
    if not services.settings.allow_registration:
        raise ProblemError(
            403, "registration_closed", "Accounts are made by the operators here; ask one of them."
        )
    body = await read_model(request, Register)
    email = email_of(body.email)
    password_hash = await new_password_hash(
        services, body.password, email=email, name=body.name, field="password"
    )
    user = User(
        user_id=new_user_id(request),
        email=email,
        name=body.name,
        role="user",
        password_hash=password_hash,
        created_at=datetime.now(UTC),
    )
    user = await _created(services, user)
    told = await begin_session(request, user)
    services.sign_in.account_tries.succeeded(email, address_of(request))
    await audit(request, "auth.registered", user.user_id, who=user.user_id)
    return signed_in_response(request, told, status=201)


async def login(request: Request) -> Response:
    """Sign in with address and password."""
    services = services_of(request)
    body = await read_model(request, Login)
    email, address = email_of(body.email), address_of(request)
    user = await _found(services, email)
    await let_try(services, email, address, user)
    # Of who is disabled no password is right: how long that takes tells nothing of them.
    kept = None if user is None or user.is_disabled else user.password_hash
    if not await services.passwords.verify(kept, body.password) or user is None or kept is None:
        services.sign_in.account_tries.failed(email)
        log.warning("auth.sign_in_failed", address=address)
        raise ProblemError(
            401,
            "wrong_credentials",
            "Address and password do not fit; try again, or sign in another way.",
            headers={"WWW-Authenticate": 'Bearer realm="accounts"'},
        )
    services.sign_in.account_tries.succeeded(email, address)
    if services.passwords.needs_rehash(kept):
        user = await _rehashed(services, user, body.password)
    told = await begin_session(request, user)
    await audit(
        request, "auth.signed_in", user.user_id, details={"by": "password"}, who=user.user_id
    )
    return signed_in_response(request, told)


async def refresh(request: Request) -> Response:
    """Give new tokens for the refresh token."""
    given = cookies.REFRESH.read(request)
    if await request.body():
        given = (await read_model(request, Refresh)).refresh_token
    try:
        return signed_in_response(request, await renew_session(request, given))
    except (TokenError, SessionNotFoundError, UserNotFoundError):
        delete_session_cookies(request)
        raise ProblemError(
            401,
            "session_ended",
            "There is no session to go on with; sign in.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        ) from None
    except SessionEndedError as error:
        delete_session_cookies(request)
        if error.reason == "reused":
            log.warning("auth.refresh_reused", session_id=str(error), address=address_of(request))
        raise


async def logout(request: Request) -> Response:
    """End the session, and take the cookies back; also where there is none."""
    body = await read_model(request, Logout) if await request.body() else Logout()
    session = await session_of(request)
    if session is not None:
        await end_sessions(
            request,
            session[0],
            session_id=None if body.everywhere else session[1],
            reason="signed_out",
        )
        details = {"everywhere": body.everywhere}
        await audit(request, "auth.signed_out", session[0], details=details, who=session[0])
    delete_session_cookies(request)
    return Response(status_code=204, headers=NO_STORE)


async def guest(request: Request) -> Response:
    """Tell who one is here without an account: a guest, made now where there is none."""
    caller: Caller = request.state.caller
    if caller.fault is not None:
        raise refused(caller.fault)
    if caller.owner is None:
        raise ProblemError(403, "guests_not_allowed", "Guests are not let in here; sign in.")
    return JSONResponse(await who_json(request), headers=NO_STORE)


async def who_json(request: Request) -> Json:
    """Return who an owner is: a guest, or a user's account."""
    caller: Caller = request.state.caller
    if caller.owner is None:
        raise ProblemError(401, "unauthenticated", "Sign in first.")
    if caller.owner.role == "guest":
        return {"user": {"user_id": caller.owner.owner_id, "role": "guest"}}
    user = await services_of(request).accounts.users.get(caller.owner.owner_id)
    return {"user": account_json(user)}


def signed_in_response(request: Request, told: SignedIn, *, status: int = 200) -> Response:
    """Answer with who signed in; their tokens are in cookies, and not in a browser's body."""
    set_session_cookies(request, told)
    answer: Json = {"user": account_json(told.user), "expires_in": told.expires_in}
    if not _is_browser(request):
        answer |= {
            "access_token": told.access_token,
            "token_type": "Bearer",
            "refresh_token": told.refresh_token,
        }
    return JSONResponse(answer, status, headers=NO_STORE)


async def let_try(services: Services, email: str, address: str, user: User | None) -> None:
    """Let an address try a password of an account, or say when to come again.

    Raises:
        ProblemError: 429, many wrong ones were tried, and nobody of the account was seen there.
    """
    tries, known = services.sign_in.account_tries, frozenset[str]()
    if tries.is_slowed(email):
        sessions = await services.accounts.sessions.list("" if user is None else user.user_id)
        known = frozenset(session.address for session in sessions)
    wait_s = tries.wait_s(email, address, known_addresses=known)
    if wait_s > 0:
        log.warning("auth.too_many_tries", address=address)
        raise ProblemError(
            429,
            "too_many_tries",
            "Many wrong passwords were tried; wait as long as Retry-After says, or sign in from"
            " where you did before.",
            headers={"Retry-After": str(int(wait_s))},
        )


async def _created(services: Services, user: User) -> User:
    """Store a new user; where two requests of one guest came at once, the other has the id."""
    try:
        return await services.accounts.users.create(user)
    except EmailTakenError:
        if user.user_id.startswith("user_") or await _found(services, user.email) is not None:
            raise
        return await services.accounts.users.create(replace(user, user_id=new_id("user")))


async def _found(services: Services, email: str) -> User | None:
    try:
        return await services.accounts.users.find(email=email)
    except UserNotFoundError:
        return None


async def _rehashed(services: Services, user: User, password: str) -> User:
    """Return the user with a hash of today's parameters; if it cannot be stored, the next time."""
    with suppress(AccountsError):
        password_hash = await services.passwords.hash(password)
        changed = replace(user, password_hash=password_hash)
        return await services.accounts.users.put(changed, if_version=user.version)
    return user


def _is_browser(request: Request) -> bool:
    """Whether a page sent it: each browser of today says so, where a script cannot help it."""
    return "sec-fetch-site" in request.headers or "origin" in request.headers


_AUTH = "/api/v1/auth"
routes = [
    ApiRoute(
        f"{_AUTH}/options", options, access=Access.PUBLIC, tier=Tier.API, doc=described.OPTIONS
    ),
    ApiRoute(
        f"{_AUTH}/register",
        register,
        methods=["POST"],
        access=Access.PUBLIC,
        tier=Tier.AUTH,
        doc=described.REGISTER.taking(Register),
    ),
    ApiRoute(
        f"{_AUTH}/login",
        login,
        methods=["POST"],
        access=Access.PUBLIC,
        tier=Tier.AUTH,
        doc=described.LOGIN.taking(Login),
    ),
    ApiRoute(
        f"{_AUTH}/refresh",
        refresh,
        methods=["POST"],
        access=Access.PUBLIC,
        tier=Tier.API,
        doc=described.REFRESH.taking(Refresh, optional=True),
    ),
    ApiRoute(
        f"{_AUTH}/logout",
        logout,
        methods=["POST"],
        access=Access.PUBLIC,
        tier=Tier.API,
        doc=described.LOGOUT.taking(Logout, optional=True),
    ),
    ApiRoute(
        f"{_AUTH}/guest",
        guest,
        methods=["POST"],
        access=Access.PUBLIC,
        tier=Tier.API,
        doc=described.GUEST,
    ),
]
