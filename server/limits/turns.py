"""How many turns one may have at once, and how many tokens they may cost in a day.

Before a turn begins its place is taken and what it is going to cost is reserved; at its end, on
whichever worker, what it did cost takes the reservation's place. What a lost worker's turn had
reserved stays spent where nobody goes on with it.
"""

import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from server.errors import ProblemError
from server.limits.base import Pool, Taken
from server.limits.refusals import Refusals
from server.limits.shared import HeldPlaces, SharedBudgets
from server.limits.subjects import Subject, key_of
from streaming.operators import TurnResult
from streaming.turn import TurnSpec

CHARS_PER_TOKEN = 4
ANSWER_CHARS_PER_TOKEN = 3
"""Of the answer only its longest length is known: better a token too many."""

SOON_S = 2
"""When to come back for a place: the end of a turn is not known beforehand."""


@dataclass(frozen=True, slots=True)
class TurnBounds:
    """What one user, or guest, may have. 0: any number."""

    live: int = 0
    user_tokens: int = 0
    guest_tokens: int = 0

    def tokens(self, subject: Subject) -> int:
        """Return the tokens of a day."""
        own = self.user_tokens if subject.is_user else self.guest_tokens
        return own * subject.share


def estimate(spec: TurnSpec) -> int:
    """Return the tokens that a turn is going to read and, at the most, write."""
    asked = sum(len(message.text) for message in spec.prompt.messages)
    return -(-asked // CHARS_PER_TOKEN) + -(-spec.max_response_chars // ANSWER_CHARS_PER_TOKEN)


class TurnLimits:
    """Admits turns, and is told of their ends.

    Args:
        places: Of running turns.
        budgets: Of tokens.
        bounds: How many.
        refusals: Told of refusals.
    """

    def __init__(
        self,
        places: HeldPlaces,
        budgets: SharedBudgets,
        bounds: TurnBounds,
        *,
        refusals: Refusals,
    ) -> None:
        self.bounds = bounds
        self._places = places
        self._budgets = budgets
        self._refusals = refusals
        self._admitted: set[str] = set()
        self._running: dict[str, Sequence[str]] = {}

    @asynccontextmanager
    async def admission(
        self, subjects: Sequence[Subject], spec: TurnSpec
    ) -> AsyncGenerator[None, None]:
        """Hold a place and reserve the tokens; a turn that is not begun in the block costs nothing.

        Raises:
            ProblemError: 429, too many run, or the day's tokens are spent.
        """
        self._admitted.add(spec.turn_id)
        try:
            for subject in subjects:
                await self._take_place(subject, spec.turn_id)
            for subject in subjects:  # then: mostly it is a place that is missing
                await self._reserve(subject, spec)
            yield
        finally:
            if spec.turn_id in self._admitted:  # one that began is settled at its end
                self._admitted.remove(spec.turn_id)
                self._settle([subject.name for subject in subjects], spec.turn_id, 0)

    def began(self, spec: TurnSpec) -> None:
        """Keep the place of a turn that runs here, also of one that was taken over."""
        self._admitted.discard(spec.turn_id)
        if not spec.counted_for:
            return
        self._running[spec.turn_id] = spec.counted_for
        for name in spec.counted_for:
            self._places.hold(_places_key(name), spec.turn_id)

    def first_token(self, spec: TurnSpec, seconds: float) -> None:
        """Nothing is counted by tokens: only the end tells what they were."""

    def ended(self, spec: TurnSpec, result: TurnResult) -> None:
        """Free the place of a turn, and charge for what was used, however it ended."""
        names = self._running.pop(spec.turn_id, None)
        if names is None:
            return
        # Also where a lost worker asked, and all there was to do here was to end it.
        was_asked = result.asked_s is not None or result.output_tokens
        self._settle(names, spec.turn_id, _used(spec, result) if was_asked else 0)

    def left(self, spec: TurnSpec) -> None:
        """Leave a turn's place to the worker that goes on with it."""
        for name in self._running.pop(spec.turn_id, ()):
            self._places.leave(_places_key(name), spec.turn_id)

    async def live(self, subject: Subject) -> int:
        """Return how many turns run."""
        return await self._places.count(_places_key(subject.name))

    async def spent(self, subject: Subject) -> tuple[int, int]:
        """Return the tokens spent today, and in how many seconds tomorrow begins."""
        spent = await self._budgets.spend(_tokens_key(subject.name), 0)
        return spent.amount, spent.resets_in_s

    async def _take_place(self, subject: Subject, turn_id: str) -> None:
        limit = self.bounds.live * subject.share
        if not limit:
            return
        pool = Pool(_places_key(subject.name), limit)
        if await self._places.take(pool, turn_id) is not Taken.TAKEN:
            self._refusals.note("live_turns", subject.name)
            raise ProblemError(
                429,
                "too_many_turns",
                f"{limit} answers are being written already; wait for one, or stop it.",
                headers={"Retry-After": str(SOON_S)},
            )

    async def _reserve(self, subject: Subject, spec: TurnSpec) -> None:
        limit = self.bounds.tokens(subject)
        if not limit:
            return
        key, amount = _tokens_key(subject.name), estimate(spec)
        spent = await self._budgets.reserve(key, spec.turn_id, amount, limit=limit)
        if not spent.is_granted:
            self._refusals.note("tokens", subject.name)
            raise ProblemError(
                429,
                "token_budget_spent",
                f"Of today's {limit} tokens too few are left for this; they are renewed at 00:00"
                " UTC.",
                headers={"Retry-After": str(math.ceil(spent.resets_in_s))},
            )

    def _settle(self, names: Sequence[str], turn_id: str, used: int) -> None:
        for name in names:
            self._places.give_back(_places_key(name), turn_id)
            if self.bounds.user_tokens or self.bounds.guest_tokens:
                self._budgets.settle(_tokens_key(name), turn_id, used)


def _used(spec: TurnSpec, result: TurnResult) -> int:
    asked = sum(len(message.text) for message in spec.prompt.messages)
    read = result.input_tokens
    return (-(-asked // CHARS_PER_TOKEN) if read is None else read) + (result.output_tokens or 0)


def _places_key(name: str) -> str:
    return key_of(name, "turns")


def _tokens_key(name: str) -> str:
    return key_of(name, "tokens")
