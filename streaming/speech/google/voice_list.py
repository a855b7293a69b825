"""Google's list of voices, kept for an hour."""

from collections.abc import Awaitable, Callable

import anyio

from streaming.speech.base import Voice
from streaming.speech.errors import SpeechError

KEPT_S = 3600.0
HELD_OFF_S = 5.0
"""After a failure the next try waits so long: many callers must not ask for the same failure."""


class VoiceList:
    """The voices that can be asked for.

    Args:
        fetch: Asks for them; raises SpeechError.
        clock: Monotonic seconds.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[tuple[Voice, ...]]], clock: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = anyio.Lock()
        self._voices: tuple[Voice, ...] = ()
        self._names: frozenset[str] = frozenset()
        self._good_until = self._held_off_until = -1.0
        self._error: SpeechError | None = None

    def knows(self, name: str) -> bool:
        """Return whether there is such a voice; while there is no list, every name is good."""
        return not self._names or name in self._names

    async def get(self) -> tuple[Voice, ...]:
        """Return the voices, asking at most once at a time; an old list where there is no new one.

        Raises:
            SpeechError: there never was a list.
        """
        if self._clock() < self._good_until:
            return self._voices
        async with self._lock:
            if self._clock() >= max(self._good_until, self._held_off_until):
                await self._refresh()
        if self._error is not None and not self._voices:
            raise type(self._error)(self._error.detail)
        return self._voices

    async def _refresh(self) -> None:
        try:
            self._voices = await self._fetch()
        except SpeechError as exc:
            self._error = exc
            self._held_off_until = self._clock() + HELD_OFF_S
            return
        self._names = frozenset(voice.name for voice in self._voices)
        self._error = None
        self._good_until = self._clock() + KEPT_S
