"""What a process knows about sign-ins: one value, made once."""

from dataclasses import dataclass

from server.auth.account_tries import AccountTries
from server.auth.api_keys import ApiKeyProofs
from server.auth.guests import Converted
from server.auth.leavers import Leavers
from server.auth.session_states import SessionStates
from server.auth.tokens import AccessTokens, RefreshTokens
from server.auth.wrong_proofs import WrongProofs


@dataclass(frozen=True, slots=True)
class SignIn:
    """Everything that tells who somebody is, beside the accounts themselves."""

    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    states: SessionStates
    converted: Converted
    api_keys: ApiKeyProofs
    wrong_proofs: WrongProofs
    account_tries: AccountTries
    leavers: Leavers
