"""The seam: whether texts may be said. A list of words and OpenAI's endpoint keep these promises.

Texts are judged one by one; nothing of them is kept or logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Policy = Literal["off", "flag", "block"]
"""What becomes of what may not be said: it is not looked for, it is noted, or it is kept back."""

Stage = Literal["input", "output"]
"""What is judged: what a user asks, or what is answered."""

BATCH = 16
"""Texts that one call of a moderator gets at most."""

MAX_TEXT_CHARS = 4_000
"""Longest text that a moderator gets; of longer ones overlapping pieces."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one text. `score` is how sure that is, from 0 to 1, where it is known."""

    categories: tuple[str, ...] = ()
    score: float | None = None

    @property
    def is_flagged(self) -> bool:
        """Whether it may not be said."""
        return bool(self.categories)


CLEAN = Verdict()


class Moderator(Protocol):
    """Judges texts. One instance serves all turns of a process, concurrently."""

    @property
    def name(self) -> str:
        """What health and logs call it."""
        ...

    async def check(self, texts: Sequence[str]) -> Sequence[Verdict]:
        """Return one verdict for each text, in order.

        Category names are of lower case letters, digits and `_/-`, at most 64 characters long.
        How long it may take is the caller's to bound; cancelling it frees what it uses at once.

        Args:
            texts: At most `BATCH`, each at most `MAX_TEXT_CHARS` long, none of white space alone.

        Raises:
            ModerationUnavailableError: it cannot judge now; its reason says why.
        """
        ...

    async def close(self) -> None:
        """Release connections; safe to call twice."""
        ...
