"""What tells who somebody is: tokens and their secrets, sessions, keys."""

from accounts.base import Accounts
from server.auth.account_tries import AccountTries
from server.auth.api_keys import ApiKeyProofs
from server.auth.guests import Converted
from server.auth.session_states import SessionStates
from server.auth.sign_in import SignIn
from server.auth.tokens import AccessTokens, RefreshTokens
from server.auth.wrong_proofs import WrongProofs
from server.settings import Settings


def make_sign_in(
    settings: Settings, accounts: Accounts, *, jwt_ring: list[str], session_ring: list[str]
) -> SignIn:
    """Return what tells who somebody is.

    Args:
        settings: Of the process.
        accounts: Who has an account.
        jwt_ring: Secrets of access tokens, the newest first.
        session_ring: Secrets of refresh tokens, the newest first.
    """
    return SignIn(
        access_tokens=AccessTokens(
            jwt_ring,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            lifetime_s=settings.access_token_s,
        ),
        refresh_tokens=RefreshTokens(session_ring),
        states=SessionStates(accounts.sessions, check_s=settings.session_check_s),
        converted=Converted(accounts.users),
        api_keys=ApiKeyProofs(accounts, check_s=settings.session_check_s),
        wrong_proofs=WrongProofs(is_counting=settings.rate_limit_enabled),
        account_tries=AccountTries(is_counting=settings.rate_limit_enabled),
    )
