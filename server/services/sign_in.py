"""What tells who somebody is: tokens and their secrets, sessions, keys."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from accounts.base import Accounts
from accounts.errors import AccountsUnavailableError
from server.auth.account_tries import AccountTries
from server.auth.api_keys import ApiKeyProofs
from server.auth.guests import Converted
from server.auth.leavers import Leavers
from server.auth.session_states import SessionStates
from server.auth.sign_in import SignIn
from server.auth.tokens import AccessTokens, RefreshTokens
from server.auth.wrong_proofs import WrongProofs
from server.services.services import Services
from server.settings import Settings

LOOK_AT_STREAMS_EVERY_S = 2.0
STORE_USES_EVERY_S = 10.0


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
        leavers=Leavers(check_s=settings.session_check_s),
    )


def attend_sign_ins(services: Services) -> list[tuple[str, Callable[[], Awaitable[object]], float]]:
    """Have streams end with their sessions: at once here, soon where they end elsewhere.

    Returns what is to be done now and then: name, step, seconds between two.
    """
    sign_in, readers = services.sign_in, services.readers
    sign_in.states.on_over(readers.end_session)

    async def end_streams() -> None:
        if sessions := readers.sessions:
            with suppress(AccountsUnavailableError):  # then they stay, as their tokens do
                for session_id, reason in (await sign_in.states.look(sessions)).items():
                    readers.end_session(session_id, reason)

    async def store_uses() -> None:
        with suppress(AccountsUnavailableError):
            await sign_in.api_keys.store_uses()

    return [
        ("session_streams", end_streams, LOOK_AT_STREAMS_EVERY_S),
        ("api_key_uses", store_uses, STORE_USES_EVERY_S),
    ]
