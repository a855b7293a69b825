"""`users`: who has an account."""

import json
from argparse import ArgumentParser, Namespace

from accounts.codec import MAX_EMAIL_CHARS
from accounts.model import User
from server.commands.accounts import OK, opened_accounts, say, text
from server.settings import Settings

PAGE = 100


def add_arguments(parser: ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "--search",
        type=text(MAX_EMAIL_CHARS),
        default="",
        metavar="TEXT",
        help="a part of the address",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


async def run(settings: Settings, given: Namespace) -> int:
    """Print users by address, a line each; return the exit status."""
    search, cursor = given.search.strip().lower(), None
    async with opened_accounts(settings) as accounts:
        while True:
            page = await accounts.users.list(limit=PAGE, cursor=cursor, email_contains=search)
            for user in page.items:
                say(_as_json(user) if given.json else _as_line(user))
            cursor = page.next
            if cursor is None:
                return OK


def _as_line(user: User) -> str:
    state = "disabled" if user.is_disabled else user.role
    return f"{user.user_id}  {state:<8}  {user.created_at:%Y-%m-%d}  {user.email}"


def _as_json(user: User) -> str:
    return json.dumps(
        {
            "user_id": user.user_id,
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "is_disabled": user.is_disabled,
            "has_password": user.password_hash is not None,
            "issuers": [identity.issuer for identity in user.identities],
            "created_at": user.created_at.isoformat(),
        }
    )
