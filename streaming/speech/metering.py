"""Who counts the audio that is made for somebody."""

from collections.abc import Callable, Sequence
from typing import Protocol


class SpeechMeter(Protocol):
    """Counts the audio that is made for somebody; never raises."""

    async def allows(self) -> bool:
        """Whether more may be made."""
        ...

    async def made(self, seconds: float) -> None:
        """Audio of so many seconds was made."""
        ...


MeterOf = Callable[[Sequence[str]], SpeechMeter | None]
"""Gives what counts audio, by the names of whom it counts for; None: nothing does."""


def unmetered(_: Sequence[str]) -> None:
    """Count nobody's audio."""
