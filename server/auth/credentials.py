"""What a request's credentials prove: `Authorization` first, else cookies.

A bearer that proves nothing is a fault, also beside good cookies: whoever sends one must never act
as somebody else. Cookies that prove nothing are as good as none; one that did prove something, and
whose session is over or whose token has expired, is a fault: who was signed in must not become a
guest without a word. Nothing is ever read from the query.
"""

from dataclasses import replace

import structlog
from starlette.requests import HTTPConnection

from accounts.base import Accounts
from accounts.errors import AccountsUnavailableError, UserNotFoundError
from server.auth import cookies
from server.auth.caller import Caller, Fault, FaultKind, Owner
from server.auth.guests import Guests
from server.auth.operator_sessions import COOKIE as OPERATOR_COOKIE
from server.auth.operator_sessions import OperatorSessions
from server.auth.sign_in import SignIn
from server.auth.tokens import AccessClaims, TokenError

log = structlog.get_logger(__name__)

MAX_AUTHORIZATION_BYTES = 4096
USER_OPERATOR = "user:"
"""Before the id of an operator who has an account."""


class Credentials:
    """Tells callers.

    Args:
        accounts: Who has an account.
        sign_in: What is known about sign-ins.
        guests: Reads guests' cookies.
        operators: Knows the operators' token and reads its cookie.
    """

    def __init__(
        self,
        accounts: Accounts,
        sign_in: SignIn,
        *,
        guests: Guests,
        operators: OperatorSessions,
    ) -> None:
        self._accounts = accounts
        self._sign_in = sign_in
        self._guests = guests
        self._operators = operators

    async def caller(self, connection: HTTPConnection) -> Caller:
        """Return who a request's credentials say it is; never raises for what is sent."""
        given = connection.headers.getlist("authorization")
        if not any(map(_is_bearer, given)):  # another scheme is the proxy's in front of us
            return await self._by_cookies(connection)
        address = "" if connection.client is None else connection.client.host
        if len(given) > 1 or len(given[0]) > MAX_AUTHORIZATION_BYTES:
            self._sign_in.wrong_proofs.failed(address)
            return _refused("proves_nothing")
        return await self._by_bearer(connection, given[0][len("bearer") :].strip(), address)

    async def still_operates(self, caller: Caller, connection: HTTPConnection) -> bool:
        """Say whether an operator is one still; a store that does not answer takes it from nobody.

        For streams that stay open: what is asked for anew goes through `caller`.
        """
        if caller.operator == "admin_cookie":
            return self._has_operator_cookie(connection)
        owner = caller.owner
        if owner is None or owner.session_id is None or caller.operator == "admin_token":
            return caller.operator is not None
        try:
            return await self._is_admin(owner.owner_id, owner.session_id)
        except AccountsUnavailableError:
            return True

    async def _by_bearer(self, connection: HTTPConnection, bearer: str, address: str) -> Caller:
        if bearer.count(".") == 2:  # noqa: PLR2004  # a JWT's
            signed = self._read(bearer)
            if isinstance(signed, AccessClaims):
                return await self._signed_in(signed, by_bearer=True)
            if signed == "token_expired":
                return _refused(signed)
        if (wait_s := self._sign_in.wrong_proofs.wait_s(address, bearer)) > 0:
            log.warning("bearer.too_many_tries", address=address)
            return Caller(fault=Fault("too_many_tries", by_bearer=True, wait_s=wait_s))
        caller = await self._by_secret(connection, bearer)
        if caller.fault is None or not caller.fault.by_bearer:
            self._sign_in.wrong_proofs.proved(address, bearer)
        elif caller.fault.kind == "proves_nothing":
            self._sign_in.wrong_proofs.failed(address)
        return caller

    async def _by_secret(self, connection: HTTPConnection, bearer: str) -> Caller:
        """Return whom the operators' token or an API key proves."""
        # The header's bytes came decoded as Latin-1; back to bytes, any character can be compared.
        if self._operators.is_token(bearer.encode("latin-1")):
            return replace(await self._by_cookies(connection), operator="admin_token")
        try:
            holder = await self._sign_in.api_keys.holder(bearer)
        except AccountsUnavailableError:
            return _refused("accounts_unavailable")
        if holder is None:
            return _refused("proves_nothing")
        owner = Owner(holder.user_id, "user") if "chat" in holder.scopes else None
        return Caller(owner, scopes=holder.scopes)

    async def _by_cookies(self, connection: HTTPConnection) -> Caller:
        operator = "admin_cookie" if self._has_operator_cookie(connection) else None
        token = cookies.ACCESS.read(connection)
        signed = self._read(token) if token else None
        if isinstance(signed, AccessClaims):
            caller = await self._signed_in(signed)
            return replace(caller, operator=caller.operator or operator)
        if signed == "token_expired":
            return Caller(operator=operator, fault=Fault(signed))
        guest = self._guests.read(cookies.GUEST.read(connection))
        if guest is not None and await self._sign_in.converted.is_account(guest.owner_id):
            guest = None
        return Caller(guest, operator)

    async def _signed_in(self, claims: AccessClaims, *, by_bearer: bool = False) -> Caller:
        """Return whom a good token names, if its session is not over."""
        states, user_id, session_id = self._sign_in.states, claims.user_id, claims.session_id
        if await states.is_over(session_id, user_id):
            return Caller(fault=Fault("session_ended", by_bearer))
        caller = Caller(Owner(user_id, claims.role, session_id))
        if claims.role != "admin":
            return caller
        try:
            if await self._is_admin(user_id, session_id):
                return replace(caller, operator=USER_OPERATOR + user_id)
        except AccountsUnavailableError:  # their own conversations are theirs all the same
            return replace(caller, fault=Fault("accounts_unavailable"))
        if await states.is_over(session_id, user_id):
            return Caller(fault=Fault("session_ended", by_bearer))
        return Caller(Owner(user_id, "user", session_id))

    async def _is_admin(self, user_id: str, session_id: str) -> bool:
        """Ask the store, each time, whether somebody may operate the service.

        Raises:
            AccountsUnavailableError: it does not say.
        """
        if await self._sign_in.states.is_over_now(session_id, user_id):
            return False
        try:
            user = await self._accounts.users.get(user_id)
        except UserNotFoundError:
            return False
        return user.role == "admin" and not user.is_disabled

    def _read(self, token: str) -> AccessClaims | FaultKind:
        try:
            return self._sign_in.access_tokens.read(token)
        except TokenError as error:
            return "token_expired" if error.reason == "expired" else "proves_nothing"

    def _has_operator_cookie(self, connection: HTTPConnection) -> bool:
        cookie = connection.cookies.get(OPERATOR_COOKIE)
        return cookie is not None and self._operators.ends_at(cookie) is not None


def _is_bearer(authorization: str) -> bool:
    """Say whether it is meant as a bearer, also where nothing follows: a script lost its token."""
    return authorization.lower().split(maxsplit=1)[:1] == ["bearer"]


def _refused(kind: FaultKind) -> Caller:
    return Caller(fault=Fault(kind, by_bearer=True))
