"""Users, as operators see and change them; each change has its reason in the audit log.

What takes something away from somebody ends their sessions. Of an admin the change comes first: it
counts at once, as every operator's call asks the store, and the last one keeps theirs. Of others
the sessions end first, too: a crash between the two leaves nobody signed in who should not be.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from accounts.email import EmailInvalidError, normal_email
from accounts.errors import UserChangedError
from accounts.model import EndReason, User
from accounts.passwords import password_fault
from server.audit import audited
from server.auth.routing import Access, ApiRoute
from server.auth.sessions import end_sessions
from server.body import StrictModel, read_model, visible
from server.changes import NO_STORE, if_version
from server.errors import ProblemError
from server.ids import new_id
from server.limits.tiers import Tier
from server.openapi.described import users as described
from server.services import Services
from server.wire import Json, instant, services_of, whole_number

MAX_PAGE = 100
MAX_SEARCH_CHARS = 254


def _without_marks(name: str) -> str:
    if not name.isprintable():
        raise ValueError("must not contain what cannot be seen")
    return name.strip()


Reason = Annotated[str, Field(max_length=500), AfterValidator(visible)]
"""Why something is done to somebody's account: said each time, kept in the audit log."""
Name = Annotated[str, Field(max_length=100), AfterValidator(_without_marks)]
GivenRole = Literal["user", "admin"]


class NewUser(StrictModel):
    """The body of `POST /api/v1/users`. Without a password they sign in with the provider."""

    email: str = Field(min_length=3, max_length=508)
    name: Name = ""
    role: GivenRole = "user"
    password: str | None = Field(None, max_length=1000)
    reason: Reason


class UserChange(StrictModel):
    """The body of `PATCH /api/v1/users/{user_id}`: what is left out stays."""

    role: GivenRole | None = None
    name: Name | None = None
    is_disabled: bool | None = None
    reason: Reason

    def of(self, user: User) -> User:
        """Return the user as they are to be."""
        return replace(
            user,
            role=self.role or user.role,
            name=user.name if self.name is None else self.name,
            is_disabled=user.is_disabled if self.is_disabled is None else self.is_disabled,
        )

    @property
    def ends_sessions(self) -> EndReason | None:
        """Why sessions end; also where it changes nothing, so that it can be said again."""
        if self.is_disabled:
            return "disabled"
        return None if self.role is None else "role_changed"


class NewPassword(StrictModel):
    """The body of `POST /api/v1/users/{user_id}/password`."""

    password: str = Field(max_length=1000)
    reason: Reason


async def list_users(request: Request) -> Response:
    """List users by address; `search` is a part of it."""
    limit = whole_number(request, "limit", default=50, low=1, high=MAX_PAGE)
    search = request.query_params.get("search", "").strip().lower()
    if len(search) > MAX_SEARCH_CHARS or "\0" in search:
        raise invalid("search", f"must be at most {MAX_SEARCH_CHARS} characters of an address")
    try:
        page = await services_of(request).accounts.users.list(
            limit=limit, cursor=request.query_params.get("cursor"), email_contains=search
        )
    except ValueError:
        raise not_our_cursor() from None
    users = [user_json(user) for user in page.items]
    return JSONResponse({"users": users, "next": page.next}, headers=NO_STORE)


async def get_user(request: Request) -> Response:
    """Tell one user."""
    return _told(await services_of(request).accounts.users.get(request.path_params["user_id"]))


async def create_user(request: Request) -> Response:
    """Create a user; they can sign in at once."""
    services = services_of(request)
    body = await read_model(request, NewUser)
    email = email_of(body.email)
    password_hash = (
        None
        if body.password is None
        else await new_password_hash(
            services, body.password, email=email, name=body.name, field="password"
        )
    )
    user = User(
        user_id=new_id("user"),
        email=email,
        name=body.name,
        role=body.role,
        password_hash=password_hash,
        created_at=datetime.now(UTC),
    )
    details = {"role": body.role, "has_password": password_hash is not None}
    async with audited(request, "user.created", user.user_id, why=body.reason, details=details):
        made = await services.accounts.users.create(user)
    return _told(made, 201)


async def change_user(request: Request) -> Response:
    """Change a user's role or name, disable them, or let them in again."""
    users, user_id = services_of(request).accounts.users, request.path_params["user_id"]
    body = await read_model(request, UserChange)
    before = await users.get(user_id)
    if if_version(request) not in {None, before.version}:
        raise UserChangedError(user_id, before.version)
    after, ends = body.of(before), body.ends_sessions
    details = _differences(before, after)
    async with audited(request, "user.changed", user_id, why=body.reason, details=details):
        if ends is not None and before.role != "admin":
            await end_sessions(request, user_id, reason=ends)
        if after != before:
            after = await users.put(after, if_version=before.version)
        if ends is not None:
            await end_sessions(request, user_id, reason=ends)
            services_of(request).sign_in.api_keys.forget(user_id)
    return _told(after)


async def set_password(request: Request) -> Response:
    """Give a user a new password; all their sessions end."""
    users, user_id = services_of(request).accounts.users, request.path_params["user_id"]
    body = await read_model(request, NewPassword)
    before = await users.get(user_id)
    password_hash = await new_password_hash(
        services_of(request), body.password, email=before.email, name=before.name, field="password"
    )
    after = replace(before, password_hash=password_hash)
    async with audited(request, "user.password_set", user_id, why=body.reason):
        await end_sessions(request, user_id, reason="password_changed")
        await users.put(after, if_version=before.version)
        await end_sessions(request, user_id, reason="password_changed")
    return Response(status_code=204, headers=NO_STORE)


def user_json(user: User) -> Json:
    """Return a user as operators see them; of a password only whether there is one."""
    return {
        "user_id": user.user_id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "is_disabled": user.is_disabled,
        "has_password": user.password_hash is not None,
        "identities": [
            {"issuer": identity.issuer, "subject": identity.subject} for identity in user.identities
        ],
        "created_at": instant(user.created_at),
        "version": user.version,
    }


def invalid(field: str, message: str) -> ProblemError:
    """Return the refusal of one field."""
    errors = [{"field": field, "message": message}]
    return ProblemError(422, "invalid", "The request is not valid; see errors.", errors=errors)


def not_our_cursor() -> ProblemError:
    """Return the refusal of a cursor."""
    return ProblemError(
        400, "malformed", "The cursor is not one that this list gave; start without it."
    )


def email_of(given: str) -> str:
    """Return an address as it is stored.

    Raises:
        ProblemError: 422, it is none.
    """
    try:
        return normal_email(given)
    except EmailInvalidError as error:
        raise invalid("email", str(error)) from None


async def new_password_hash(
    services: Services, password: str, *, email: str, name: str, field: str
) -> str:
    """Return the hash of a password that may be one.

    Raises:
        ProblemError: 422, it may not.
        PasswordsBusyError: too many are hashed now.
    """
    fault = password_fault(password, email=email, name=name)
    if fault is not None:
        raise invalid(field, fault)
    return await services.passwords.hash(password)


def _differences(before: User, after: User) -> Json:
    names = ("role", "name", "is_disabled")
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in names]
    return {name: {"before": was, "after": is_now} for name, was, is_now in pairs if was != is_now}


def _told(user: User, status: int = 200) -> Response:
    headers = {"ETag": f'"{user.version}"', **NO_STORE}
    return JSONResponse(user_json(user), status, headers=headers)


_ALL = "/api/v1/users"
_ONE = "/api/v1/users/{user_id}"
routes = [
    ApiRoute(_ALL, list_users, access=Access.ADMIN, tier=Tier.OPERATORS, doc=described.LIST),
    ApiRoute(
        _ALL,
        create_user,
        methods=["POST"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=described.CREATE.taking(NewUser),
    ),
    ApiRoute(_ONE, get_user, access=Access.ADMIN, tier=Tier.OPERATORS, doc=described.GET),
    ApiRoute(
        _ONE,
        change_user,
        methods=["PATCH"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=described.CHANGE.taking(UserChange),
    ),
    ApiRoute(
        f"{_ONE}/password",
        set_password,
        methods=["POST"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=described.PASSWORD.taking(NewPassword),
    ),
]
