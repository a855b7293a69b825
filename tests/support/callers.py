"""What tells callers, for an application of a few routes that has no store of accounts."""

from pathlib import Path

from starlette.middleware import Middleware

from accounts.sqlite import SqliteAccounts
from server.auth.credentials import Credentials
from server.auth.guests import Guests
from server.auth.identity import IdentityMiddleware
from server.auth.operator_sessions import OperatorSessions
from server.services.sign_in import make_sign_in
from server.settings import Settings
from storage.sqlite import SqliteDatabase

SECRET = "a secret of thirty-two characters"  # noqa: S105  # it guards nothing
NOWHERE = Path("/dev/null/chat.db")


def callers(settings: Settings, operators: OperatorSessions) -> tuple[Credentials, Middleware]:
    """Return what tells callers, and the middleware that asks it; guests are let in."""
    accounts = SqliteAccounts(SqliteDatabase(NOWHERE, timeout_s=5))
    sign_in = make_sign_in(settings, accounts, jwt_ring=[SECRET], session_ring=[SECRET])
    guests = Guests(SECRET)
    credentials = Credentials(accounts, sign_in, guests=guests, operators=operators)
    middleware = Middleware(
        IdentityMiddleware,
        credentials=credentials,
        guests=guests,
        converted=sign_in.converted,
        allow_guests=True,
    )
    return credentials, middleware
