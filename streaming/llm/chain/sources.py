"""Which source answers a turn, and which goes on where one fails.

The order: the first provider, then the others. A source whose breaker is open is passed over. An
answer that breaks off is gone on with by the provider that began it, once, then by another one:
the same model goes on best, but not with an answer that it has broken twice.

Asking one source again costs budget (`RetryBudget`); the first time that a turn asks another one
does not. It adds nothing to the load of the one that failed, and no turn has more than a few.
"""

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack

from metrics.turns import TurnMetrics
from resilience.budget import RetryBudget
from streaming.errors import SourceFilteredError, SourceTimeoutError
from streaming.llm.chain.guarded import GuardedSource, SourceHealth, is_silence
from streaming.llm.choice import Failure


class SourceChain:
    """Providers in order of preference, and at their end maybe a stand-in.

    Args:
        providers: At least one, the first choice first.
        stand_in: Who answers where none of them does; it begins answers, and never goes on with
            another's.
        budget: Asked before a source is asked again, told of each turn.
        metrics: Told of answers that are gone on with.
        max_continuations: How often one turn may be gone on with.
    """

    def __init__(
        self,
        providers: Sequence[GuardedSource],
        *,
        stand_in: GuardedSource | None = None,
        budget: RetryBudget,
        metrics: TurnMetrics,
        max_continuations: int = 2,
    ) -> None:
        self._providers = tuple(providers)
        self._all = self._providers if stand_in is None else (*providers, stand_in)
        self._budget = budget
        self._metrics = metrics
        self._max_continuations = max_continuations

    @property
    def default_model(self) -> str:
        """Name of the model asked when the chatbot names none."""
        return self._providers[0].default_model

    def first(self) -> GuardedSource:
        """Return the first source that may be asked; where none may, the first, which says so."""
        self._budget.begin()
        return next((each for each in self._all if each.serves), self._all[0])

    def next(self, failures: Sequence[Failure], *, has_text: bool) -> GuardedSource | None:
        """Return who is asked after these failures of one turn; None: the last one stands."""
        failed, error = self._found(failures[-1]), failures[-1].error
        if isinstance(error, SourceTimeoutError) and is_silence(error):
            failed.fell_silent(error)
        if isinstance(error, SourceFilteredError):
            return None  # what one provider's filter stops is not asked of another's
        if not has_text:
            return self._another(self._all, failures)
        if sum(each.has_text for each in failures[:-1]) >= self._max_continuations:
            return None
        other = self._another(self._providers, failures)
        if self._may_go_on(failures, other) and self._budget.spend():
            other = failed
        if other is not None:
            self._metrics.turn_continued("upstream" if other is failed else "fallback")
        return other

    def health(self) -> tuple[SourceHealth, ...]:
        """Return the sources in order."""
        return tuple(each.health() for each in self._all)

    async def close(self) -> None:
        """Close every source, also after one that fails to; safe to call twice."""
        async with AsyncExitStack() as closing:
            for each in self._all:
                closing.push_async_callback(each.close)

    def _may_go_on(self, failures: Sequence[Failure], other: GuardedSource | None) -> bool:
        """Whether the source that failed last may be asked to go on with its own answer."""
        failed = self._found(failures[-1])
        broken = sum(each.source is failed for each in failures)
        may_again = other is None or broken == 1
        return failures[-1].error.retryable and failed.is_well and may_again

    def _another(
        self, sources: Iterable[GuardedSource], failures: Sequence[Failure]
    ) -> GuardedSource | None:
        """Return the first that may be asked now and has not failed this turn."""
        failed = {id(each.source) for each in failures}
        return next((each for each in sources if id(each) not in failed and each.serves), None)

    def _found(self, failure: Failure) -> GuardedSource:
        """Return the source of a failure: whoever fails was chosen here."""
        return next(each for each in self._all if each is failure.source)
