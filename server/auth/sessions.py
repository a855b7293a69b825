"""Sign-ins: begun, told to the browser, and ended so that this worker knows it at once."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.requests import Request

from accounts.errors import SessionEndedError, SessionNotFoundError
from accounts.model import EndReason, Session, User
from server.auth import cookies
from server.auth.caller import Caller
from server.auth.tokens import TokenError
from server.ids import new_id
from server.services import Services

MAX_CLIENT_CHARS = 200


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user's new tokens, and the session that they are of."""

    user: User
    session: Session
    access_token: str
    expires_in: int
    refresh_token: str


async def begin_session(request: Request, user: User) -> SignedIn:
    """Begin a session of a user who has shown to be it, and may sign in as far as is known.

    Whatever took that from them meanwhile ended the sessions that there were: so they are looked at
    once more when theirs is stored. The session that the request came with, whoever's, ends: nobody
    could sign out of it any more.

    Source: OWASP ASVS 5.0 V7.2.4.

    Raises:
        AccountsUnavailableError: the session could not be stored, or the former one not be ended.
        SessionEndedError: they were disabled, or changed their password or role, in this moment.
    """
    services: Services = request.app.state.services
    now = datetime.now(UTC)
    session = Session(
        session_id=new_id("session"),
        user_id=user.user_id,
        nonce=secrets.token_hex(16),
        generation=1,
        created_at=now,
        rotated_at=now,
        expires_at=now + timedelta(seconds=services.settings.session_max_s),
        client=request.headers.get("user-agent", "")[:MAX_CLIENT_CHARS],
        address="" if request.client is None else request.client.host,
    )
    await services.accounts.sessions.begin(session)
    if (why := _meanwhile(user, await services.accounts.users.get(user.user_id))) is not None:
        await end_sessions(request, user.user_id, session_id=session.session_id, reason=why)
        raise SessionEndedError(session.session_id, why)
    if (former := await session_of(request)) is not None:
        await end_sessions(request, former[0], session_id=former[1], reason="signed_out")
    services.sign_in.states.begun(session)
    services.sign_in.converted.is_account_now(user.user_id)
    return signed_in(services, user, session)


async def renew_session(request: Request, refresh_token: str) -> SignedIn:
    """Give new tokens for a refresh token, which is used up by that.

    Raises:
        TokenError: it is none of ours.
        SessionNotFoundError: its session was over long ago.
        SessionEndedError: its session is over; RefreshReusedError: by this, as it had been used.
        AccountsUnavailableError: the store does not answer; the token may have been used up, and is
            taken again for REFRESH_GRACE_S.
    """
    services: Services = request.app.state.services
    session = await proved_session(services, refresh_token)
    claim = services.sign_in.refresh_tokens.read(refresh_token)
    try:
        session = await services.accounts.sessions.rotate(
            session.session_id,
            generation=claim.generation,
            now=datetime.now(UTC),
            grace=timedelta(seconds=services.settings.refresh_grace_s),
        )
    except SessionEndedError as error:
        services.sign_in.states.over(session.session_id, error.reason)
        raise
    user = await services.accounts.users.get(session.user_id)
    if user.is_disabled:  # a sign-in that was under way when that was done
        await end_sessions(request, user.user_id, session_id=session.session_id, reason="disabled")
        raise SessionEndedError(session.session_id, "disabled")
    return signed_in(services, user, session)


async def proved_session(services: Services, refresh_token: str) -> Session:
    """Return the session that a refresh token is of, whichever generation it is of.

    Raises:
        TokenError: it is none of ours.
        SessionNotFoundError: its session was over long ago.
    """
    tokens = services.sign_in.refresh_tokens
    claim = tokens.read(refresh_token)
    session = await services.accounts.sessions.get(claim.session_id)
    if not tokens.is_proved(claim, session):
        raise TokenError("invalid")
    return session


async def session_of(request: Request) -> tuple[str, str] | None:
    """Return user and session that a request comes with, also where the access token has expired.

    Raises:
        AccountsUnavailableError: the store does not say.
    """
    caller: Caller = request.state.caller
    if caller.owner is not None and caller.owner.session_id is not None:
        return caller.owner.owner_id, caller.owner.session_id
    services: Services = request.app.state.services
    try:
        session = await proved_session(services, cookies.REFRESH.read(request))
    except (TokenError, SessionNotFoundError):
        return None
    return session.user_id, session.session_id


def signed_in(services: Services, user: User, session: Session) -> SignedIn:
    """Return the tokens of a session as it stands."""
    tokens = services.sign_in
    return SignedIn(
        user,
        session,
        tokens.access_tokens.issue(user, session.session_id),
        tokens.access_tokens.lifetime_s,
        tokens.refresh_tokens.make(session),
    )


def set_session_cookies(request: Request, told: SignedIn) -> None:
    """Have the answer set a session's cookies.

    The access token's cookie stays as long as the session: one that is sent although its token has
    expired says that somebody has to refresh, where none at all would make them a guest.
    """
    left_s = (told.session.expires_at - datetime.now(UTC)).total_seconds()
    cookies.ACCESS.set(request, told.access_token, max_age_s=left_s)
    cookies.REFRESH.set(request, told.refresh_token, max_age_s=left_s)
    services: Services = request.app.state.services
    guest = services.guests.read(cookies.GUEST.read(request))
    if guest is not None and guest.owner_id == told.user.user_id:
        cookies.GUEST.delete(request)  # worth nothing from now on


def delete_session_cookies(request: Request) -> None:
    """Have the answer take a session's cookies back."""
    cookies.ACCESS.delete(request)
    cookies.REFRESH.delete(request)


def new_user_id(request: Request) -> str:
    """Return the id of a user who is made now: the guest's, where a guest asks.

    So nothing has to be moved, and what runs goes on. Whoever stores the user may find the id taken
    (EmailTakenError) where two requests of a guest register at once.
    """
    caller: Caller = request.state.caller
    if caller.owner is not None and caller.owner.role == "guest":
        return caller.owner.owner_id
    return new_id("user")


async def end_sessions(
    request: Request,
    user_id: str,
    *,
    session_id: str | None = None,
    but: str | None = None,
    reason: EndReason,
) -> int:
    """End one session of a user, or all (but one); return how many were not over yet.

    This worker knows it at once, its event streams too; the others within SESSION_CHECK_S.

    Raises:
        AccountsUnavailableError: it is not known whether they ended.
    """
    services: Services = request.app.state.services
    count = await services.accounts.sessions.end(
        user_id=user_id,
        session_id=session_id,
        but=but,
        reason=reason,
        now=datetime.now(UTC),
    )
    services.sign_in.states.user_over(user_id, session_id=session_id, but=but, reason=reason)
    return count


def _meanwhile(was: User, is_now: User) -> EndReason | None:
    if is_now.is_disabled:
        return "disabled"
    if is_now.password_hash != was.password_hash:
        return "password_changed"
    return "role_changed" if is_now.role != was.role else None
