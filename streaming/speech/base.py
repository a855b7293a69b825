"""The seam: an engine that turns a short text into audio.

One call is one unit of speech: about a sentence, already normalised (`streaming.speech.spoken`),
never markup. Engines know nothing of turns, order, caches or retries.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

EngineName = Literal["google", "espeak", "off"]

MAX_UTTERANCE_BYTES = 4800
"""Longest text of one call, in UTF-8; Google's own limit is 5,000 bytes."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that can be asked for; `language` is a BCP 47 tag such as `de-DE`."""

    name: str
    language: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """What to say, and how. Empty names leave the choice to the engine.

    `language` is a BCP 47 tag. A voice that the engine does not have counts as none, so that
    another engine can stand in: then the language decides.
    """

    text: str
    language: str = ""
    voice: str = ""


@dataclass(frozen=True, slots=True)
class Audio:
    """A complete, decodable file: no header is shared between units."""

    media_type: Literal["audio/ogg", "audio/mpeg", "audio/wav"]
    data: bytes
    duration_s: float


class Speaker(Protocol):
    """One engine."""

    @property
    def engine(self) -> EngineName:
        """Which one it is: in metrics, logs and `/health`."""
        ...

    @property
    def identity(self) -> str:
        """All that decides how an utterance sounds beside itself: version, rate, encoding.

        Part of the audio cache's key: audio of another identity is never served.
        """
        ...

    @property
    def parallel(self) -> int:
        """How many calls it serves at the same time; more would only wait inside it."""
        ...

    async def speak(self, utterance: Utterance) -> Audio:
        """Return the utterance as audio. Cancelling it stops the engine within 50 ms.

        May run in parallel with other calls. Does not retry, and has no deadline of its own but
        what guards a connection: the caller sets both.

        Raises:
            SpeechError: and nothing else; its class says whether trying again may help.
        """
        ...

    async def voices(self) -> tuple[Voice, ...]:
        """Return what can be asked for, sorted by language and name.

        Raises:
            SpeechError: the list could not be had.
        """
        ...

    async def close(self) -> None:
        """Release threads and connections; safe to call twice."""
        ...
