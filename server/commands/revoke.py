"""`revoke`: end somebody's sessions, shut them out, or make an API key worthless."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from datetime import UTC, datetime

from accounts.base import Accounts
from accounts.codec import MAX_EMAIL_CHARS
from accounts.email import EmailInvalidError, normal_email
from accounts.errors import (
    ApiKeyNotFoundError,
    LastAdminError,
    UserChangedError,
    UserNotFoundError,
)
from accounts.model import ApiKey, EndReason, User
from server.commands.accounts import noted, opened_accounts, refuse, say, text
from server.commands.create_admin import CHANGED
from server.settings import Settings

MAX_WHY_CHARS = 500


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "target",
        type=text(MAX_EMAIL_CHARS),
        metavar="EMAIL|USER_ID|KEY_ID",
        help="whose sessions, or which API key",
    )
    parser.add_argument("--why", type=text(MAX_WHY_CHARS), default="", help="for the audit log")
    parser.add_argument(
        "--disable", action="store_true", help="do not let the user sign in any more, either"
    )


async def run(settings: Settings, given: Namespace) -> int:
    """End what is asked for; return the exit status."""
    async with opened_accounts(settings) as accounts:
        try:
            user = await _user(accounts, given.target)
        except (UserNotFoundError, EmailInvalidError):
            return await _revoke_key(accounts, given.target, why=given.why)
        end = _disable if given.disable else _end_sessions
        return await end(accounts, user, why=given.why)


async def _user(accounts: Accounts, target: str) -> User:
    if "@" in target:
        return await accounts.users.find(email=normal_email(target))
    return await accounts.users.get(target)


async def _end_sessions(accounts: Accounts, user: User, *, why: str) -> int:
    async with noted(accounts, "user.sessions_ended", user.user_id, why=why):
        count = await _end(accounts, user, reason="revoked")
    return say(f"Sessions of {user.email} that ended: {count}.")


async def _disable(accounts: Accounts, user: User, *, why: str) -> int:
    details = {"is_disabled": {"before": user.is_disabled, "after": True}}
    try:
        async with noted(accounts, "user.changed", user.user_id, why=why, details=details):
            await accounts.users.put(replace(user, is_disabled=True), if_version=user.version)
            count = await _end(accounts, user, reason="disabled")
    except UserChangedError:
        return refuse(CHANGED)
    except LastAdminError:
        return refuse("Nobody would be left to administer; create another admin first.")
    return say(f"{user.email} may not sign in any more; sessions that ended: {count}.")


async def _end(accounts: Accounts, user: User, *, reason: EndReason) -> int:
    return await accounts.sessions.end(user_id=user.user_id, reason=reason, now=datetime.now(UTC))


async def _revoke_key(accounts: Accounts, key_id: str, *, why: str) -> int:
    try:
        key: ApiKey = await accounts.api_keys.get(key_id)
    except ApiKeyNotFoundError:
        return refuse("There is no such user, and no such API key; `users` lists users.")
    details = {"key_id": key_id, "name": key.name}
    async with noted(accounts, "api_key.revoked", key.user_id, why=why, details=details):
        await accounts.api_keys.revoke(key.user_id, key_id, now=datetime.now(UTC))
    return say(f"{key_id} of {key.user_id} is worth nothing any more.")
