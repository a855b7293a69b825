"""Which sessions are over: known at once where they were ended here, soon where elsewhere.

A token says by itself whose it is; only whether its session is over is asked of the store, and that
once in SESSION_CHECK_S for all requests of a session. A store that does not answer ends nobody's
session: the token counts until it expires.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from accounts.base import Sessions
from accounts.errors import AccountsUnavailableError, SessionNotFoundError
from accounts.model import EndReason, Session

MAX_KNOWN = 20_000
"""Sessions whose state is remembered; of one more the store is asked."""
MAX_ASKED = 1000
"""Sessions in one question to the store."""

OnOver = Callable[[str, EndReason], None]


@dataclass(slots=True)
class _Known:
    user_id: str
    good_until: float
    over: EndReason | None = None


class SessionStates:
    """Remembers for each session until when it counts as good, or why it is over.

    Args:
        sessions: The store.
        check_s: Seconds in which a session that was found good is not asked about again.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        check_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._check_s = check_s
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._on_over: list[OnOver] = []

    def on_over(self, tell: OnOver) -> None:
        """Have somebody told of each session that is found to be over, once."""
        self._on_over.append(tell)

    async def is_over(self, session_id: str, user_id: str) -> bool:
        """Say whether a session is over, as far as is known."""
        known = self._of(session_id, user_id)
        if known.over is None and self._clock() >= known.good_until:
            try:
                return await self.is_over_now(session_id, user_id)
            except AccountsUnavailableError:
                known.good_until = self._clock() + self._check_s
        return known.over is not None

    async def is_over_now(self, session_id: str, user_id: str) -> bool:
        """Say whether a session is over, as the store has it.

        Raises:
            AccountsUnavailableError: it does not say.
        """
        known = self._of(session_id, user_id)
        if known.over is None:
            await self.look([session_id])
            known.good_until = self._clock() + self._check_s
        return known.over is not None

    async def look(self, session_ids: Collection[str]) -> dict[str, EndReason]:
        """Ask the store about sessions, and tell of those that are over, with the reason.

        Raises:
            AccountsUnavailableError: it does not say.
        """
        asked = list(session_ids)
        for start in range(0, len(asked), MAX_ASKED):
            batch = asked[start : start + MAX_ASKED]
            for session_id in await self._sessions.ended(batch, now=datetime.now(UTC)):
                self.over(session_id, await self._reason(session_id))
        known = ((one, self._known.get(one)) for one in asked)
        return {one: state.over for one, state in known if state is not None and state.over}

    def begun(self, session: Session) -> None:
        """Know of a session that was just stored."""
        self._of(session.session_id, session.user_id).good_until = self._clock() + self._check_s

    def over(self, session_id: str, reason: EndReason) -> None:
        """Know that a session is over."""
        known = self._of(session_id, "")
        if known.over is None:
            known.over = reason
            for tell in self._on_over:
                tell(session_id, reason)

    def user_over(
        self, user_id: str, *, session_id: str | None, but: str | None, reason: EndReason
    ) -> None:
        """Know that one session of a user is over, or all (but one).

        One that is not remembered is asked about the next time that it is needed.
        """
        ended = [
            one
            for one, known in self._known.items()
            if known.user_id == user_id and one != but and session_id in {None, one}
        ]
        for one in ended:
            self.over(one, reason)

    async def _reason(self, session_id: str) -> EndReason:
        try:
            return (await self._sessions.get(session_id)).end_reason or "expired"
        except SessionNotFoundError:
            return "expired"

    def _of(self, session_id: str, user_id: str) -> _Known:
        """Return what is known; it stands before the store is asked, so that no end is missed."""
        known = self._known.setdefault(session_id, _Known(user_id, 0.0))
        self._known.move_to_end(session_id)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return known
