"""Moderators for tests: exact, and under the test's control."""

import random
from collections.abc import Sequence

import anyio
from prometheus_client import CollectorRegistry

from metrics.moderation import ModerationSeries
from metrics.turns import TurnMetrics
from resilience.breaker import Breaker
from streaming.errors import ModerationUnavailableError
from streaming.moderation.base import CLEAN, Moderator, Verdict
from streaming.moderation.checks import Checks, WhenDown
from streaming.moderation.guarded import GuardedModerator, ModeratorLimits

BAD = Verdict(("bad",))


class MarkModerator:
    """Flags what has a mark in it.

    Attributes:
        asked: The texts of each call.
        is_down: While it is set, it cannot judge.
        gate: What each call waits for, while it is set.
    """

    name = "marks"

    def __init__(self, mark: str = "BAD", *, down: str = "DOWN") -> None:
        self.asked: list[list[str]] = []
        self.is_down = False
        self.gate: anyio.Event | None = None
        self.at_gate = anyio.Event()
        self.most_at_once = 0
        self._at_once = 0
        self._mark = mark
        self._down = down

    async def check(self, texts: Sequence[str]) -> Sequence[Verdict]:
        self.asked.append(list(texts))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self._wait(texts)
        finally:
            self._at_once -= 1
        if self.is_down or any(self._down in text for text in texts):
            raise ModerationUnavailableError("unreachable")
        return [BAD if self._mark in text else CLEAN for text in texts]

    async def close(self) -> None:
        """Has nothing to release."""

    async def _wait(self, texts: Sequence[str]) -> None:  # noqa: ARG002  # subclasses look at them
        if self.gate is not None:
            self.at_gate.set()
            await self.gate.wait()


class TardyModerator(MarkModerator):
    """Takes its time, by chance, and by chance longer than anybody waits."""

    def __init__(self, random_: random.Random, *, longest_s: float) -> None:
        super().__init__()
        self._random = random_
        self._longest_s = longest_s

    async def _wait(self, texts: Sequence[str]) -> None:  # noqa: ARG002  # another one's signature
        await anyio.sleep(self._random.choice([0.0, self._random.uniform(0, self._longest_s)]))


def a_series() -> ModerationSeries:
    return ModerationSeries(CollectorRegistry())


def guarded(
    moderator: Moderator, limits: ModeratorLimits | None = None, *, breaker: Breaker | None = None
) -> GuardedModerator:
    """Return a moderator behind a guard that, without a breaker of its own, never opens."""
    patient = Breaker(moderator.name, failures=1_000_000, clock=anyio.current_time)
    return GuardedModerator(moderator, breaker or patient, limits or ModeratorLimits())


def checks_of(
    *moderators: Moderator,
    metrics: TurnMetrics | None = None,
    when_down: WhenDown = "refuse",
    limits: ModeratorLimits | None = None,
) -> Checks:
    series = metrics.moderation if metrics is not None else a_series()
    return Checks([guarded(each, limits) for each in moderators], series, when_down=when_down)
