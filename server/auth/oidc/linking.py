"""Whose account a provider's user has: known, joined, or made now.

An address alone proves nothing here: whoever registers with a password has not shown that it is
theirs, and a provider may give the address of who has left to somebody else. So an account in which
somebody could sign in already is joined only in a browser that is signed in to it, and only where
the provider vouches for its address; else somebody could prepare an account for who will come, have
their own identity joined to another's account, or inherit one.
"""

from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import Request

from accounts.email import normal_email
from accounts.errors import EmailTakenError, UserChangedError, UserNotFoundError
from accounts.model import Identity, User
from server.audit import audit
from server.auth.caller import Caller
from server.auth.oidc.claims import Claims
from server.auth.oidc.errors import OidcError
from server.auth.sessions import new_user_id
from server.wire import services_of

MAX_NAME_CHARS = 100
MAX_IDENTITIES = 10
"""Of one user: more are nobody's."""


async def user_of(request: Request, issuer: str, claims: Claims) -> User:
    """Return the user whom a provider names, joined to an account or made where that is right.

    Raises:
        OidcError: they have no account, and get none; or theirs is disabled.
        AccountsError: the accounts cannot be asked.
    """
    identity = Identity(issuer, claims.subject)
    try:
        try:
            user = await services_of(request).accounts.users.find(identity=identity)
        except UserNotFoundError:
            user = await _user_by_email(request, identity, claims)
    except (EmailTakenError, UserChangedError):
        # The same user came twice at once; or somebody just took the address.
        raise OidcError("expired", "the account was changed meanwhile") from None
    if user.is_disabled:
        raise OidcError("account_disabled")
    return user


async def _user_by_email(request: Request, identity: Identity, claims: Claims) -> User:
    email = _email(claims)
    users = services_of(request).accounts.users
    try:
        user = await users.find(email=email)
    except UserNotFoundError:
        return await _make(request, identity, email, claims.name)
    if user.is_disabled:
        raise OidcError("account_disabled")
    if (user.password_hash is not None or user.identities) and not _is_signed_in(request, user):
        raise OidcError("email_in_use")
    if len(user.identities) >= MAX_IDENTITIES:
        raise OidcError("email_in_use", "the account has as many identities as it may")
    joined = replace(user, identities=(*user.identities, identity))
    joined = await users.put(joined, if_version=user.version)
    told = {"issuer": identity.issuer}
    await audit(request, "user.identity_joined", user.user_id, details=told, who=user.user_id)
    return joined


async def _make(request: Request, identity: Identity, email: str, name: str) -> User:
    services = services_of(request)
    if not services.settings.allow_registration:
        raise OidcError("registration_closed")
    user = User(
        user_id=new_user_id(request),
        email=email,
        name="".join(filter(str.isprintable, name)).strip()[:MAX_NAME_CHARS],
        role="user",
        password_hash=None,
        created_at=datetime.now(UTC),
        identities=(identity,),
    )
    made = await services.accounts.users.create(user)
    told = {"by": "oidc", "issuer": identity.issuer}
    await audit(request, "auth.registered", made.user_id, details=told, who=made.user_id)
    return made


def _email(claims: Claims) -> str:
    if not claims.email:
        raise OidcError("email_missing")
    if not claims.is_email_verified:
        raise OidcError("email_not_verified")
    try:
        return normal_email(claims.email)
    except ValueError:
        raise OidcError("email_missing", "its address cannot be used") from None


def _is_signed_in(request: Request, user: User) -> bool:
    caller: Caller = request.state.caller
    owner = caller.owner
    return owner is not None and owner.session_id is not None and owner.owner_id == user.user_id
