"""The seam: which model answers, and which goes on where one fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streaming.errors import SourceError
from streaming.llm.base import TokenSource


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that was asked, and how it failed. `has_text`: the turn had some text by then."""

    source: TokenSource
    error: SourceError
    has_text: bool


class SourceChoice(Protocol):
    """Chooses token sources for the turns of a process."""

    @property
    def default_model(self) -> str:
        """Name of the model asked when the chatbot names none."""
        ...

    def first(self) -> TokenSource:
        """Return who is asked first, now; called once a turn."""
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
