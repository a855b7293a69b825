"""`create-admin`: the first admin, and any other."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from datetime import UTC, datetime

from accounts.base import Accounts
from accounts.email import EmailInvalidError, normal_email
from accounts.errors import EmailTakenError, UserChangedError, UserNotFoundError
from accounts.model import User
from accounts.passwords import PasswordHasher, password_fault
from server.commands.accounts import USAGE, noted, opened_accounts, refuse, say, text
from server.commands.passwords import asked_password, generated_password
from server.ids import new_id
from server.settings import Settings

MAX_NAME_CHARS = 100
CHANGED = "Somebody changed this user at the same moment; try again."


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("email", help="the new admin's address")
    parser.add_argument(
        "--name", type=text(MAX_NAME_CHARS), default="", help="how they want to be called"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
    source.add_argument(
        "--generate", action="store_true", help="make a password, and print it this once"
    )
    source.add_argument(
        "--promote", action="store_true", help="make the user of this address an admin"
    )


async def run(settings: Settings, given: Namespace) -> int:
    """Create an admin, or make a user one; return the exit status."""
    try:
        email = normal_email(given.email)
    except EmailInvalidError as error:
        return refuse(f"This is no address: {error}", USAGE)
    async with opened_accounts(settings, may_make=True) as accounts:
        try:
            user = await accounts.users.find(email=email)
        except UserNotFoundError:
            if given.promote:
                return refuse("There is no user with this address; leave --promote out.")
            return await _create(settings, accounts, email, given)
        if user.role == "admin":
            return refuse("The user of this address is an admin already; nothing was done.")
        if not given.promote:
            return refuse("There is a user with this address; --promote makes them an admin.")
        return await _promote(accounts, user)


async def _create(settings: Settings, accounts: Accounts, email: str, given: Namespace) -> int:
    try:
        password = (
            generated_password()
            if given.generate
            else asked_password(from_stdin=given.password_stdin)
        )
    except ValueError as error:
        return refuse(str(error))
    fault = password_fault(password, email=email, name=given.name)
    if fault is not None:
        return refuse(f"This cannot be the password. {fault}")
    admin = User(
        user_id=new_id("user"),
        email=email,
        name=given.name,
        role="admin",
        password_hash=await _hash(settings, password),
        created_at=datetime.now(UTC),
    )
    details = {"email": email, "role": "admin", "has_password": True}
    try:
        async with noted(accounts, "user.created", admin.user_id, details=details):
            await accounts.users.create(admin)
    except EmailTakenError:
        return refuse(CHANGED)
    if given.generate:
        say(f"Password, shown this once: {password}")
    return say(f"{email} is an admin: {admin.user_id}")


async def _promote(accounts: Accounts, user: User) -> int:
    if user.is_disabled:
        return refuse("The user of this address is disabled; let them in again first.")
    details = {"role": {"before": user.role, "after": "admin"}}
    try:
        async with noted(accounts, "user.changed", user.user_id, details=details):
            await accounts.users.put(replace(user, role="admin"), if_version=user.version)
    except UserChangedError:
        return refuse(CHANGED)
    await accounts.sessions.end(user_id=user.user_id, reason="role_changed", now=datetime.now(UTC))
    return say(f"{user.email} is an admin: {user.user_id}; they have to sign in again.")


async def _hash(settings: Settings, password: str) -> str:
    hasher = PasswordHasher(max_at_once=settings.max_hashes_at_once)
    try:
        return await hasher.hash(password)
    finally:
        hasher.close()
