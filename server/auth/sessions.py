"""Sign-ins: begun, told to the browser, and ended so that this worker knows it at once."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.requests import Request

from accounts.model import EndReason, Session, User
from server.auth import cookies
from server.auth.caller import Caller
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
    """Begin a session of a user who has shown to be it; the caller checks that they may sign in.

    Raises:
        AccountsUnavailableError: the session could not be stored.
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
    services.sign_in.states.begun(session)
    services.sign_in.converted.is_account_now(user.user_id)
    return signed_in(services, user, session)


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
