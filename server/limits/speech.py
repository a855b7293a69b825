"""How much audio is made for one in a day; what comes from the cache costs nothing.

Looked at before a unit is made and charged after it: a budget is overspent by what is being made at
that moment, two units of each turn at the most.
"""

import math
from collections.abc import Sequence

from server.errors import ProblemError
from server.limits.addresses import PREFIX
from server.limits.refusals import Refusals
from server.limits.shared import SharedBudgets
from server.limits.subjects import Subject, key_of
from streaming.speech.metering import SpeechMeter


class SpeechLimits:
    """Counts the audio that is made, in milliseconds.

    Args:
        budgets: Of milliseconds.
        seconds_a_day: Of one user, or guest; 0: any number.
        address_factor: How many times as many those of an address have together.
        refusals: Told of refusals.
    """

    def __init__(
        self,
        budgets: SharedBudgets,
        *,
        seconds_a_day: int,
        address_factor: int,
        refusals: Refusals,
    ) -> None:
        self.seconds_a_day = seconds_a_day
        self._factor = address_factor
        self._budgets = budgets
        self._refusals = refusals

    def meter(self, names: Sequence[str]) -> SpeechMeter | None:
        """Return what counts the speech of a turn that counts for these; None: nothing does."""
        return _Meter(self, tuple(names)) if names and self.seconds_a_day else None

    async def check(self, subjects: Sequence[Subject]) -> None:
        """Let who has something left of the day pass.

        Raises:
            ProblemError: 429, the day's are spent.
        """
        meter = self.meter([subject.name for subject in subjects])
        if meter is not None and not await meter.allows():
            resets_in_s = (await self._budgets.spend(_key(subjects[-1].name), 0)).resets_in_s
            raise ProblemError(
                429,
                "speech_budget_spent",
                f"Today's {self.seconds_a_day} seconds of speech are spent; they are renewed at"
                " 00:00 UTC. Text goes on.",
                headers={"Retry-After": str(math.ceil(resets_in_s))},
            )

    async def spent_ms(self, name: str) -> int:
        """Return the milliseconds made today."""
        return (await self._budgets.spend(_key(name), 0)).amount

    async def charge(self, name: str, ms: int) -> int:
        """Add what was made; return what is spent."""
        return (await self._budgets.spend(_key(name), ms)).amount

    def limit_ms(self, name: str) -> int:
        """Return how much may be made for somebody in a day."""
        share = self._factor if name.startswith(PREFIX) else 1
        return 1000 * self.seconds_a_day * share

    def refused(self, name: str) -> None:
        """Take a refusal."""
        self._refusals.note("speech_seconds", name)


class _Meter:
    """Counts the speech of one turn, or of one text; asks once, then knows from what it charges."""

    def __init__(self, limits: SpeechLimits, names: Sequence[str]) -> None:
        self._limits = limits
        self._names = names
        self._spent: dict[str, int] = {}

    async def allows(self) -> bool:
        for name in self._names:
            if name not in self._spent:
                self._spent[name] = await self._limits.spent_ms(name)
            if self._spent[name] >= self._limits.limit_ms(name):
                self._limits.refused(name)
                return False
        return True

    async def made(self, seconds: float) -> None:
        for name in self._names:
            self._spent[name] = await self._limits.charge(name, round(1000 * seconds))


def _key(name: str) -> str:
    return key_of(name, "speech")
