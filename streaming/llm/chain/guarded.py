"""A source under guard: its breaker hears how its answers come, and is asked before the next one.

An answer is judged twice. Whether it begins decides a probe, which so lasts no longer than a first
token. Whether it then comes whole is judged as well, where another source can go on: a provider
that dies in the middle of a hundred answers is known to be gone before the first of them is gone on
with. Of a source alone that is not counted: a link that breaks under many answers breaks once, and
nobody else could go on with them.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from time import monotonic
from typing import Literal

import structlog

from metrics.turns import TurnMetrics
from resilience.breaker import Breaker, BreakerSnapshot, BreakerState
from streaming.errors import (
    SourceError,
    SourceTimeoutError,
    SourceTruncatedError,
    SourceUnavailableError,
)
from streaming.llm.base import Finish, Prompt, TokenSource

SourceName = Literal["primary", "fallback", "offline"]
SourceKind = Literal["openai", "offline"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """A source for `/health`; `error_code` is how it failed last, None where it worked since."""

    name: SourceName
    kind: SourceKind
    breaker: BreakerSnapshot
    error_code: str | None


class GuardedSource:
    """One source and what is known of it lately.

    The breaker hears of retryable errors: unreachable, overloaded, broken off. That a request was
    refused or an answer filtered tells of neither. Being left early tells nothing; who left
    because nothing came says so (`fell_silent`).

    Args:
        name: Its place among the sources.
        source: The model; closed with this.
        kind: What it is.
        breaker: Its own; further tries of the source may ask it too.
        metrics: Told of calls and of the breaker.
        keeps_model: Whether a prompt's model is one of this source's; else it is asked for its
            own.
        is_alone: Whether no other source can go on with its answers.
    """

    def __init__(
        self,
        name: SourceName,
        source: TokenSource,
        *,
        kind: SourceKind,
        breaker: Breaker,
        metrics: TurnMetrics,
        keeps_model: bool = False,
        is_alone: bool = False,
    ) -> None:
        self.name = name
        self._source = source
        self._kind = kind
        self._breaker = breaker
        self._metrics = metrics
        self._keeps_model = keeps_model
        self._is_alone = is_alone
        self._error_code: str | None = None

    @property
    def default_model(self) -> str:
        """Name of the model asked when the chatbot names none."""
        return self._source.default_model

    @property
    def serves(self) -> bool:
        """Whether it may be asked now."""
        return self._breaker.allows()

    @property
    def is_well(self) -> bool:
        """Whether its breaker is closed."""
        return self._breaker.state is BreakerState.CLOSED

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        """Yield what the source does; it is not asked at all while it is left alone.

        Raises:
            SourceError: the source's own, or that it is left alone.
        """
        if not self._breaker.allows():
            retry_in_s = self._breaker.snapshot().retry_in_s
            detail = "The model provider keeps failing and is left alone for a moment."
            raise SourceUnavailableError(detail, retry_after_s=retry_in_s)
        if not self._keeps_model:
            prompt = replace(prompt, model=self._source.default_model)
        item: str | Finish | None = None
        outcome = "left"
        opening = _Opening(self._metrics, prompt)
        items = self._source.stream(replace(prompt, on_open=opening.succeeded))
        try:
            item = await self._first(items)
            yield item
            async for item in items:
                yield item
        except SourceError as error:
            outcome = self._error_code = error.code
            opening.failed()
            if item is not None and _is_outage(error):
                self._broke_off()
            raise
        finally:
            await items.aclose()
            is_whole = isinstance(item, Finish)
            self._metrics.source_called(self.name, "finished" if is_whole else outcome)

    def fell_silent(self, error: SourceTimeoutError) -> None:
        """Hear that an answer of this source was left because nothing (more) came of it."""
        self._error_code = error.code
        if self._breaker.state is BreakerState.OPEN:
            return  # it began before that; no probe of now
        if self._breaker.allows():
            with self._breaker.attempt() as attempt:
                attempt.failed()

    def health(self) -> SourceHealth:
        """Return what `/health` shows."""
        return SourceHealth(self.name, self._kind, self._breaker.snapshot(), self._error_code)

    async def close(self) -> None:
        """Release the source."""
        await self._source.close()

    async def _first(self, items: AsyncGenerator[str | Finish, None]) -> str | Finish:
        with self._breaker.attempt() as attempt:
            try:
                item = await anext(items, None)
                if item is None:
                    raise SourceTruncatedError("The model ended its answer without a reason.")
            except SourceError as error:
                if _is_outage(error):
                    attempt.failed()
                raise
            attempt.succeeded()
            self._error_code = None
            return item

    def _broke_off(self) -> None:
        """Count an answer that began and broke off; one that began before it opened is no probe."""
        if self.is_well and not self._is_alone:
            with self._breaker.attempt() as attempt:
                attempt.failed()


class _Opening:
    """Times how long a model takes to begin to answer; told once, whatever follows."""

    def __init__(self, metrics: TurnMetrics, prompt: Prompt) -> None:
        self._metrics = metrics
        self._prompt = prompt
        self._began_at = monotonic()
        self._is_told = False

    def succeeded(self) -> None:
        self._prompt.opened()
        self._tell(is_ok=True)

    def failed(self) -> None:
        self._tell(is_ok=False)

    def _tell(self, *, is_ok: bool) -> None:
        if not self._is_told:
            self._is_told = True
            self._metrics.dependency_called("model", monotonic() - self._began_at, is_ok=is_ok)


def _is_outage(error: SourceError) -> bool:
    """Whether an error says that the source is out of order, and was not told by who waited."""
    return error.retryable and not is_silence(error)


def is_silence(error: SourceError) -> bool:
    """Whether a source was left because nothing came: whoever waited for it tells the breaker."""
    return isinstance(error, SourceTimeoutError) and error.phase in {"first_token", "inter_token"}


def watched_breaker(name: SourceName, metrics: TurnMetrics) -> Breaker:
    """Return a closed breaker for a source, whose changes are logged and shown."""

    def changed(_: str, before: BreakerState, after: BreakerState) -> None:
        log.warning("source.breaker_changed", source=name, before=before.value, after=after.value)
        metrics.source_breaker_changed(name, is_open=after is not BreakerState.CLOSED)

    metrics.source_breaker_changed(name, is_open=False)
    return Breaker(name, on_change=changed)
