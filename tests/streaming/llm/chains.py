"""What the tests of the chain are made of: small models, breakers on a clock, failures."""

import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

from metrics.turns import TurnMetrics
from resilience.breaker import Breaker
from streaming.errors import (
    SourceError,
    SourceTruncatedError,
    SourceUnavailableError,
)
from streaming.llm.base import Finish, Prompt, PromptMessage, TokenSource
from streaming.llm.chain import GuardedSource, SourceChain
from streaming.llm.choice import Failure
from tests.support.sources import (
    STOP,
    ScriptedTokenSource,
)

PROMPT = Prompt((PromptMessage("user", "Hi"),), "the-chatbots-own")
DOWN = SourceUnavailableError("down")
CUT = SourceTruncatedError("cut")
FAILURES = 3
OPEN_S = 4.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def a_breaker(clock: Clock, name: str = "primary") -> Breaker:
    return Breaker(name, failures=FAILURES, open_s=OPEN_S, clock=clock)


def opened(clock: Clock) -> Breaker:
    """Return a breaker that has just opened."""
    breaker = a_breaker(clock)
    for _ in range(FAILURES):
        with breaker.attempt() as attempt:
            attempt.failed()
    return breaker


def guarded(
    source: TokenSource,
    breaker: Breaker,
    metrics: TurnMetrics | None = None,
    *,
    is_alone: bool = False,
) -> GuardedSource:
    return GuardedSource(
        "primary",
        source,
        kind="openai",
        breaker=breaker,
        metrics=metrics or TurnMetrics(),
        is_alone=is_alone,
    )


def well(*pieces: str) -> ScriptedTokenSource:
    return ScriptedTokenSource([*pieces, STOP])


async def said(source: TokenSource, prompt: Prompt = PROMPT) -> str:
    """Return the text of an answer that comes whole."""
    *texts, finish = [item async for item in source.stream(prompt)]
    assert isinstance(finish, Finish)
    return "".join(map(str, texts))


async def failed(source: TokenSource) -> SourceError:
    """Return the error of an answer that does not."""
    with pytest.raises(SourceError) as raised:
        await said(source)
    return raised.value


def series(metrics: TurnMetrics, name: str) -> dict[tuple[str, ...], float]:
    """Return a series by its label values, in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in read_text(metrics.exposition()[0].decode())
        for sample in family.samples
        if sample.name == name
    }


def after(
    chain: SourceChain, *failures: tuple[GuardedSource, SourceError], has_text: bool = False
) -> GuardedSource | None:
    """Return who is asked after failures; with text it had come before the first of them."""
    told = [Failure(source, error, has_text) for source, error in failures]
    return chain.next(told, has_text=has_text)
