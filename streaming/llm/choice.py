"""The seam: which model answers, and which goes on where one fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streaming.errors import SourceError
from streaming.llm.base import TokenSource


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that was asked, and how it failed."""

    source: TokenSource
    error: SourceError


class SourceChoice(Protocol):
    """Chooses token sources for the turns of a process."""

    @property
    def default_model(self) -> str:
        """Name of the model asked when the chatbot names none."""
        ...

    def first(self) -> TokenSource:
        """Return who is asked first, now."""
        ...

    def next(self, failures: Sequence[Failure], *, has_text: bool) -> TokenSource | None:
        """Return who is asked after these failures of one turn; None: the last one stands.

        Args:
            failures: At least one, in order.
            has_text: Whether some text has come: then what is asked for is its continuation.
        """
        ...

    async def close(self) -> None:
        """Release all sources; safe to call twice."""
        ...


class OneSource:
    """One source. It retries by itself before the first token; after it, it is asked to go on.

    Args:
        source: The model.
        max_continuations: How often one turn may be gone on with.
    """

    def __init__(self, source: TokenSource, *, max_continuations: int = 2) -> None:
        self._source = source
        self._max_continuations = max_continuations

    @property
    def default_model(self) -> str:
        """Name of the model asked when the chatbot names none."""
        return self._source.default_model

    def first(self) -> TokenSource:
        """Return the source."""
        return self._source

    def next(self, failures: Sequence[Failure], *, has_text: bool) -> TokenSource | None:
        """Return the source again, where it can help."""
        can_help = has_text and failures[-1].error.retryable
        return self._source if can_help and len(failures) <= self._max_continuations else None

    async def close(self) -> None:
        """Release the source."""
        await self._source.close()
