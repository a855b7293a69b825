"""The embedded engine: eSpeak NG speaks a hundred languages, robot-like, without an account."""

import importlib.metadata
import importlib.util
import re
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from streaming.speech.base import MAX_UTTERANCE_BYTES, Audio, EngineName, Utterance, Voice
from streaming.speech.errors import (
    SpeechRefusedError,
    SpeechTooLongError,
    SpeechUnavailableError,
)
from streaming.speech.espeak.process import EspeakProcess, ProcessEndedError
from streaming.speech.espeak.voices import VoiceList

MAX_WAITING = 64
"""Calls at once, beyond which one is refused: a sentence takes about 10 ms, one after another."""

_PACKAGE = "espeakng-loader"
_NOT_INSTALLED = "eSpeak NG is missing: `make run` installs it, or pip install chatstream[espeak]."
_WORDS_PER_MINUTE = 175
_SLOWEST, _FASTEST = 80, 450
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Of these the library takes 0 for the end, and 1 for the beginning of a command."""
_SAFE_PUNCTUATION = " .,?!"


def espeak_available() -> bool:
    """Whether the optional package is installed; loads nothing of it."""
    return importlib.util.find_spec(_PACKAGE.replace("-", "_")) is not None


class EspeakSpeaker:
    """Speaks with eSpeak NG in a process of its own, one text after another; WAV in mu-law.

    The process starts with the first call (about 0.1 s) and again after it died: on some texts the
    library does, whatever their length. Such a text is said once more in words only, and if that
    too ends the process, it is refused.

    Args:
        rate: Pace beside the usual 175 words a minute; the library has 80 to 450.
        default_language: BCP 47 tag, for utterances without a language, or with an unknown one.
    """

    def __init__(self, *, rate: float = 1.0, default_language: str = "en") -> None:
        self._words_per_minute = round(min(max(rate * _WORDS_PER_MINUTE, _SLOWEST), _FASTEST))
        self._default_language = default_language
        self._lock = anyio.Lock()
        self._calls = 0
        self._running: tuple[EspeakProcess, VoiceList] | None = None
        self._closed = False
        self._identity = ""

    @property
    def engine(self) -> EngineName:
        return "espeak"

    @property
    def parallel(self) -> int:
        return 1

    @property
    def identity(self) -> str:
        # The package carries the library and all its data: its version is theirs.
        if not self._identity:
            self._identity = f"{_installed()} {self._words_per_minute}wpm wav-mulaw"
        return self._identity

    async def speak(self, utterance: Utterance) -> Audio:
        text = _speakable(utterance.text)
        async with self._turn():
            for attempt in (text, _in_words(text)):
                process, voices = await self._started()
                voice = voices.identifier_for(utterance.voice, utterance.language)
                try:
                    return await process.speak(
                        attempt, voice=voice, words_per_minute=self._words_per_minute
                    )
                except ProcessEndedError:
                    await self._end()
            self._refuse_if_closed()
            raise SpeechRefusedError("eSpeak NG ended twice over a text.")

    async def voices(self) -> tuple[Voice, ...]:
        async with self._turn():
            _, voices = await self._started()
            return voices.voices

    async def close(self) -> None:
        self._closed = True
        await self._end()

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None, None]:
        """Wait for one's turn with the process; refuse where too many wait."""
        if self._calls >= MAX_WAITING:
            raise SpeechUnavailableError(f"{self._calls} calls wait for eSpeak NG already.")
        self._calls += 1
        try:
            async with self._lock:
                yield
        finally:
            self._calls -= 1

    async def _started(self) -> tuple[EspeakProcess, VoiceList]:
        self._refuse_if_closed()
        if self._running is not None and not self._running[0].has_ended:
            return self._running
        await self._end()
        if not espeak_available():
            raise SpeechUnavailableError(_NOT_INSTALLED)
        process = await EspeakProcess.start()
        voices = VoiceList(process.hello.voices, default_language=self._default_language)
        self._running = process, voices
        if self._closed:  # while it started
            await self._end()
        self._refuse_if_closed()
        return self._running

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise SpeechUnavailableError("eSpeak NG was closed.")

    async def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running[0].close()


def _installed() -> str:
    try:
        return f"{_PACKAGE} {importlib.metadata.version(_PACKAGE)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {_PACKAGE}"


def _speakable(text: str) -> str:
    """Return a text that the library takes as text.

    Raises:
        SpeechTooLongError: it is longer than the seam allows.
    """
    encoded = text.encode("utf-8", "replace")  # half a character is said as a question mark
    if len(encoded) > MAX_UTTERANCE_BYTES:
        raise SpeechTooLongError(f"{len(encoded)} bytes.")
    return _CONTROL.sub(" ", encoded.decode())


def _in_words(text: str) -> str:
    """Return a text without the signs that the library may stumble over."""
    return "".join(char if _is_word(char) else " " for char in text)


def _is_word(char: str) -> bool:
    return char in _SAFE_PUNCTUATION or unicodedata.category(char)[0] in "LMN"
