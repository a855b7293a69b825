"""Google Cloud Text-to-Speech as a `Speaker`."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import anyio
import structlog
from anyio.to_thread import run_sync

from streaming.speech.audio import duration_s
from streaming.speech.base import MAX_UTTERANCE_BYTES, Audio, EngineName, Utterance, Voice
from streaming.speech.errors import (
    SpeechError,
    SpeechRefusedError,
    SpeechTooLongError,
    SpeechUnavailableError,
)
from streaming.speech.google.access import AccessError, parse_endpoint, read_credentials
from streaming.speech.google.shortening import in_shorter_sentences
from streaming.speech.google.voice_list import VoiceList
from streaming.speech.google.voices import ChosenVoice, Defaults, choose, regional

Encoding = Literal["ogg_opus", "mp3"]

CALL_TIMEOUT_S = 10.0
"""For one utterance, with all that is asked for it: guards the connection, not the pace."""

LIST_TIMEOUT_S = 5.0

_MEDIA_TYPES: dict[Encoding, Literal["audio/ogg", "audio/mpeg"]] = {
    "ogg_opus": "audio/ogg",
    "mp3": "audio/mpeg",
}

log = structlog.get_logger(__name__)


class _Calls(Protocol):
    """What `calls.GoogleCalls` does; that module is too heavy to import for a name."""

    async def synthesize(self, text: str, voice: ChosenVoice, *, timeout_s: float) -> bytes: ...

    async def stream(self, text: str, voice: ChosenVoice, *, timeout_s: float) -> bytes: ...

    async def voices(self, *, timeout_s: float) -> tuple[Voice, ...]: ...

    async def close(self) -> None: ...


class GoogleSpeaker:
    """Google's voices, through one channel.

    The client package is loaded by `open` or the first call, in a thread.

    Args:
        credentials_path: Credentials file; None takes gcloud's, else the machine's.
        endpoint: `https://eu-texttospeech.googleapis.com`, `host[:port]`; `http://…` is plaintext
            and anonymous; None is Google's own.
        encoding: Of the audio.
        rate: Speaking rate, 0.25 to 2; voices that have none of their own keep theirs.
        default_language: Where an utterance has neither voice nor language.
        default_voice: Where an utterance has no voice that there is and its language is this
            voice's; empty leaves the choice to Google.
        streaming: Ask voices that can for a stream: Google begins to make it sooner.

    Raises:
        ValueError: `endpoint` is none of these.
    """

    def __init__(
        self,
        *,
        credentials_path: Path | None,
        endpoint: str | None,
        encoding: Encoding = "ogg_opus",
        rate: float = 1.0,
        default_language: str = "en-US",
        default_voice: str = "",
        streaming: bool = False,
    ) -> None:
        self._credentials_path = credentials_path
        self._endpoint = parse_endpoint(endpoint)
        self._encoding: Encoding = encoding
        self._rate = rate
        self._defaults = Defaults(regional(default_language) or "en-US", default_voice)
        self._streams = streaming and encoding != "mp3"  # Google streams no MP3
        self._opening = anyio.Lock()
        self._calls: _Calls | None = None
        self._is_closed = False
        self._voices = VoiceList(self._fetch_voices, time.monotonic)

    @property
    def engine(self) -> EngineName:
        return "google"

    @property
    def parallel(self) -> int:
        return 100

    @property
    def identity(self) -> str:
        voice = self._defaults.voice or self._defaults.language
        return f"google:v1:{voice}:{self._rate:g}:{self._encoding}"

    async def open(self) -> None:
        """Load the client package and the credentials; calls nobody.

        Raises:
            SpeechRefusedError: the credentials cannot be used.
        """
        await self._opened()

    async def speak(self, utterance: Utterance) -> Audio:
        text = utterance.text.encode("utf-8", "ignore").decode()  # lone surrogates say nothing
        if len(text.encode()) > MAX_UTTERANCE_BYTES:
            raise SpeechTooLongError(f"More than {MAX_UTTERANCE_BYTES} bytes.")
        until = time.monotonic() + CALL_TIMEOUT_S
        voice = self._chosen(utterance)
        try:
            data = await self._say(text, voice, until)
        except SpeechRefusedError:
            # It may be the voice: only now is it worth asking which there are.
            if not voice.name or await self._is_listed(voice.name):
                raise
            data = await self._say(text, self._chosen(utterance), until)
        return self._audio(data)

    async def voices(self) -> tuple[Voice, ...]:
        await self._opened()  # a closed speaker has none, also where the list is still kept
        return await self._voices.get()

    async def close(self) -> None:
        self._is_closed = True
        calls, self._calls = self._calls, None
        if calls is not None:
            await calls.close()

    def _chosen(self, utterance: Utterance) -> ChosenVoice:
        return choose(utterance, self._defaults, self._voices.knows)

    async def _say(self, text: str, voice: ChosenVoice, until: float) -> bytes:
        """Return the audio of a text; one that Google finds too long is asked for once more."""
        try:
            return await self._ask(text, voice, until)
        except SpeechTooLongError:
            shorter = in_shorter_sentences(text)
            if shorter == text:
                raise
        return await self._ask(shorter, voice, until)

    async def _ask(self, text: str, voice: ChosenVoice, until: float) -> bytes:
        calls = await self._opened()
        ask = calls.stream if self._streams and voice.streams else calls.synthesize
        return await ask(text, voice, timeout_s=max(0.0, until - time.monotonic()))

    def _audio(self, data: bytes) -> Audio:
        media_type = _MEDIA_TYPES[self._encoding]
        try:
            length_s = duration_s(media_type, data)
        except ValueError:
            length_s = 0.0
        if length_s <= 0.0:
            raise SpeechUnavailableError("Google answered without audio.")
        return Audio(media_type, data, length_s)

    async def _is_listed(self, name: str) -> bool:
        """Return whether there is such a voice; yes, where the list cannot be had."""
        try:
            await self._voices.get()
        except SpeechError:
            return True
        return self._voices.knows(name)

    async def _fetch_voices(self) -> tuple[Voice, ...]:
        calls = await self._opened()
        return await calls.voices(timeout_s=LIST_TIMEOUT_S)

    async def _opened(self) -> _Calls:
        if self._calls is None:
            async with self._opening:
                if self._calls is None:
                    await self._connect()
        if self._is_closed or self._calls is None:
            raise SpeechUnavailableError("The connection to Google is closed.")
        return self._calls

    async def _connect(self) -> None:
        if self._is_closed:
            return
        started = time.monotonic()
        # Abandoned by who is cancelled meanwhile: the import goes on and is there for the next.
        make = await run_sync(self._prepared, abandon_on_cancel=True)
        if not self._is_closed:
            self._calls = make()
            log.info(
                "speech.google_opened",
                endpoint=self._endpoint.address,
                anonymous=self._endpoint.is_plaintext,
                opening_s=round(time.monotonic() - started, 3),
            )

    def _prepared(self) -> Callable[[], _Calls]:
        """Return what makes the calls; run in a thread, for it imports, reads files and keys."""
        from streaming.speech.google import calls, keys  # noqa: PLC0415  heavy: see the package

        credentials = None
        if not self._endpoint.is_plaintext:
            try:
                file = read_credentials(self._credentials_path)
                credentials = keys.load_credentials(file)
            except AccessError as exc:
                raise SpeechRefusedError(str(exc)) from None
            except Exception as exc:  # noqa: BLE001  of the package or its cryptography
                detail = f"The Google credentials could not be loaded ({type(exc).__name__})."
                raise SpeechRefusedError(detail) from None  # the cause may quote the key
        return partial(
            calls.GoogleCalls,
            self._endpoint,
            credentials,
            encoding=self._encoding,
            rate=self._rate,
        )
