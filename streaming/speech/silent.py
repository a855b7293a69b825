"""No engine: nothing is spoken."""

from typing import NoReturn

from streaming.speech.base import EngineName, Utterance, Voice
from streaming.speech.errors import SpeechOffError


class SilentSpeaker:
    """Stands where an engine would; has no voice, and refuses to speak."""

    @property
    def engine(self) -> EngineName:
        return "off"

    @property
    def identity(self) -> str:
        return "off"

    @property
    def parallel(self) -> int:
        return 1

    async def speak(self, utterance: Utterance) -> NoReturn:  # noqa: ARG002 - the seam's parameter
        raise SpeechOffError

    async def voices(self) -> tuple[Voice, ...]:
        return ()

    async def close(self) -> None:
        """Has nothing to release."""
