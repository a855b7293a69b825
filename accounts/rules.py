"""What both stores decide alike. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from accounts import codec
from accounts.errors import EmailTakenError, SessionEndedError, SessionNotFoundError
from accounts.model import ApiKey, Session, User

RotationStep = Literal["rotate", "repeat", "reused"]


def is_active_admin(user: User) -> bool:
    """Say whether a user may sign in and administer."""
    return user.role == "admin" and not user.is_disabled


def same_user(stored: User, user: User) -> User:
    """Return what a repeated `create` finds: the user that it made, if nobody changed it since.

    Raises:
        EmailTakenError: the id is another user's.
    """
    made_at = codec.from_ms(codec.to_ms(user.created_at))
    if stored != replace(user, version=1, created_at=made_at):
        raise EmailTakenError(user.user_id)
    return stored


def newest_keys(keys: Iterable[ApiKey]) -> Sequence[ApiKey]:
    """Return keys as they are listed, newest first."""
    return sorted(keys, key=lambda key: (key.created_at, key.key_id), reverse=True)


def rotation_step(
    session: Session, generation: int, *, now: datetime, grace: timedelta
) -> RotationStep:
    """Say what becomes of a family whose refresh token of a generation came.

    A generation that is still to come proves a store that was set back: no token of it is known.

    Raises:
        SessionNotFoundError: the generation is not there yet.
        SessionEndedError: the session is over, or expired.
    """
    if session.ended_at is not None:
        raise SessionEndedError(session.session_id, session.end_reason or "revoked")
    if session.expires_at <= now:
        raise SessionEndedError(session.session_id, "expired")
    if generation > session.generation:
        raise SessionNotFoundError(session.session_id)
    if generation == session.generation:
        return "rotate"
    is_last = generation == session.generation - 1
    return "repeat" if is_last and now < session.rotated_at + grace else "reused"
