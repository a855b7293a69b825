"""Models for tests: small, exact, and under the test's control."""

from collections.abc import AsyncGenerator, Sequence

import anyio
from anyio.lowlevel import checkpoint

from metrics.turns import TurnMetrics
from resilience.breaker import Breaker
from resilience.budget import RetryBudget
from streaming.llm.base import Finish, Prompt, TokenSource
from streaming.llm.chain import GuardedSource, SourceChain, SourceName

STOP = Finish("stop", input_tokens=3, output_tokens=5)

Step = str | Finish | anyio.Event | Exception


NAMES: tuple[SourceName, ...] = ("primary", "fallback")


def a_chain(
    *providers: TokenSource,
    stand_in: TokenSource | None = None,
    metrics: TurnMetrics | None = None,
    budget: RetryBudget | None = None,
    breakers: Sequence[Breaker] = (),
    max_continuations: int = 2,
) -> SourceChain:
    """Return a chain of models; without breakers and budget of its own neither ever says no."""
    metrics = metrics or TurnMetrics()
    held = [*breakers, *(Breaker(name, failures=1_000_000) for name in NAMES[len(breakers) :])]
    guarded = [
        GuardedSource(
            name, source, kind="openai", breaker=breaker, metrics=metrics, keeps_model=place == 0
        )
        for place, (name, source, breaker) in enumerate(zip(NAMES, providers, held, strict=False))
    ]
    last = None
    if stand_in is not None:
        breaker = Breaker("offline")
        last = GuardedSource("offline", stand_in, kind="offline", breaker=breaker, metrics=metrics)
    return SourceChain(
        guarded,
        stand_in=last,
        budget=budget or RetryBudget(floor=1_000_000),
        metrics=metrics,
        max_continuations=max_continuations,
    )


class ScriptedTokenSource:
    """Plays a script: yields text and `Finish`, waits for events, raises exceptions.

    Args:
        script: The steps, in order; a script without `Finish` ends cut off.
        yields: Times the loop may run others before each step; for races.
    """

    default_model = "scripted"

    def __init__(self, script: Sequence[Step], *, yields: Sequence[int] = ()) -> None:
        self.opened = 0
        self.closed = 0
        self.asked: list[Prompt] = []
        self._script = script
        self._yields = yields

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        self.asked.append(prompt)
        self.opened += 1
        try:
            for place, step in enumerate(self._script):
                for _ in range(self._yields[place % len(self._yields)] if self._yields else 1):
                    await checkpoint()
                match step:
                    case anyio.Event():
                        await step.wait()
                    case Exception():
                        raise step
                    case _:
                        yield step
        finally:
            self.closed += 1

    async def close(self) -> None:
        """Has nothing to release."""


class FailingTokenSource(ScriptedTokenSource):
    """Yields `after` pieces and raises."""

    def __init__(self, *, after: int, error: Exception) -> None:
        super().__init__([*(f"piece {n} " for n in range(after)), error])


class StallingTokenSource(ScriptedTokenSource):
    """Yields its pieces and then nothing, for ever; tells when it has got there."""

    def __init__(self, pieces: Sequence[str] = ()) -> None:
        super().__init__(pieces)
        self.stalled = anyio.Event()

    async def until_stalled(self) -> None:
        """Wait until some turn has got there."""
        with anyio.fail_after(10):
            await self.stalled.wait()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        self.asked.append(prompt)
        self.opened += 1
        try:
            for piece in self._script:
                assert isinstance(piece, str)
                yield piece
            self.stalled.set()
            await anyio.sleep_forever()
        finally:
            self.closed += 1


class DribblingTokenSource:
    """Yields empty pieces for ever: alive, with nothing to show."""

    default_model = "dribbling"

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:  # noqa: ARG002  # the seam's
        while True:
            await anyio.sleep(0.005)
            yield ""

    async def close(self) -> None:
        """Has nothing to release."""


class SlowClosingTokenSource(ScriptedTokenSource):
    """Has said everything, and then closes its connection only when `may_close` is set."""

    def __init__(self, script: Sequence[Step]) -> None:
        super().__init__(script, yields=[0])  # all at once: no deadline can come in between
        self.closing = anyio.Event()
        self.may_close = anyio.Event()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        try:
            async for item in super().stream(prompt):
                yield item
        finally:
            self.closing.set()
            await self.may_close.wait()
