"""Guests: known by a signed, stateless cookie; nothing is stored until they write.

Who registers as a guest keeps the guest's id. From then on the id is an account's, and the cookie,
of which there may be copies, is worth nothing.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from itsdangerous import BadSignature, Signer

from accounts.base import Users
from accounts.errors import AccountsUnavailableError, UserNotFoundError
from server.auth.caller import Owner
from server.ids import new_id

MAX_KNOWN = 50_000
"""Guests of whom we remember whether they have an account; one more costs a look into the store."""
NONE_FOR_S = 60.0
"""Seconds after which a guest may have got an account on another worker."""
UNKNOWN_FOR_S = 5.0
"""Seconds in which a store that does not answer is not asked about the same guest again."""


class Guests:
    """Signs and reads guest cookies. Forged or damaged ones are as good as none.

    Args:
        ring: Secrets; the first one signs, cookies of the others are still read.
    """

    def __init__(self, *ring: str) -> None:
        self._signer = Signer(list(reversed(ring)), salt="chat-guest")

    def read(self, cookie: str) -> Owner | None:
        """Return the guest the cookie names, or None."""
        try:
            return Owner(self._signer.unsign(cookie).decode("ascii"))
        except (BadSignature, UnicodeError):
            return None

    def make(self) -> tuple[Owner, str]:
        """Return a new guest and the cookie that proves it."""
        owner = Owner(new_id("guest"))
        return owner, self._signer.sign(owner.owner_id).decode("ascii")


class Converted:
    """Knows which guests have got an account.

    Bound: of `MAX_KNOWN`; of others the store is asked.

    Args:
        users: The accounts.
        clock: Monotonic seconds.
    """

    def __init__(self, users: Users, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._users = users
        self._clock = clock
        self._none_until: OrderedDict[str, float | None] = OrderedDict()

    async def is_account(self, guest_id: str) -> bool:
        """Say whether a guest's id is an account's; a store that does not answer counts as no."""
        if guest_id in self._none_until:
            until = self._none_until[guest_id]
            if until is None or self._clock() < until:
                return until is None
        try:
            await self._users.get(guest_id)
        except UserNotFoundError:
            self._remember(guest_id, self._clock() + NONE_FOR_S)
        except AccountsUnavailableError:
            self._remember(guest_id, self._clock() + UNKNOWN_FOR_S)
        else:
            self.is_account_now(guest_id)
        return self._none_until[guest_id] is None

    def is_account_now(self, user_id: str) -> None:
        """Know at once that an id is an account's: for ever."""
        self._remember(user_id, None)

    def is_new(self, guest_id: str) -> None:
        """Know that an id was just made: nobody can have registered with it elsewhere."""
        self._remember(guest_id, self._clock() + NONE_FOR_S)

    def _remember(self, guest_id: str, none_until: float | None) -> None:
        if self._none_until.get(guest_id, 0.0) is None:
            none_until = None  # it became one while the store was asked
        self._none_until[guest_id] = none_until
        self._none_until.move_to_end(guest_id)
        if len(self._none_until) > MAX_KNOWN:
            self._none_until.popitem(last=False)
