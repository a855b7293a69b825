"""The calls to Google, and the one place where their errors become ours.

With `keys` the only module that imports the client package. Each call has one deadline and no
retry: pauses, tries and the breaker are the caller's, who knows how long a unit may take.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from anyio.lowlevel import checkpoint_if_cancelled
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import Credentials
from google.cloud import texttospeech_v1 as tts
from google.cloud.texttospeech_v1.services.text_to_speech.transports import (
    TextToSpeechGrpcAsyncIOTransport,
)

from streaming.speech.base import Voice
from streaming.speech.errors import (
    SpeechError,
    SpeechRefusedError,
    SpeechTimeoutError,
    SpeechTooLongError,
    SpeechUnavailableError,
)
from streaming.speech.google.access import Endpoint
from streaming.speech.google.voices import ChosenVoice

_MAX_ANSWER_BYTES = 16 << 20  # four minutes of uncompressed sound; a unit has some seconds
_MAX_RECONNECT_MS = 5_000  # gRPC's own pause grows to two minutes, long after Google is back

# The package logs whole requests at DEBUG, on these.
_TALKATIVE = "google.cloud.texttospeech_v1.services.text_to_speech"

_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", _MAX_ANSWER_BYTES),
    ("grpc.max_reconnect_backoff_ms", _MAX_RECONNECT_MS),
]

_ENCODINGS = {"ogg_opus": tts.AudioEncoding.OGG_OPUS, "mp3": tts.AudioEncoding.MP3}

_Status = grpc.StatusCode

# Whatever is not here, and whatever is no status, is SpeechUnavailableError. So is, as UNAVAILABLE,
# a token that could not be had: gRPC does not say whether Google or the network was at fault.
_ERRORS: dict[grpc.StatusCode, tuple[type[SpeechError], str]] = {
    _Status.UNAVAILABLE: (SpeechUnavailableError, "Google could not be reached."),
    _Status.RESOURCE_EXHAUSTED: (SpeechUnavailableError, "Google's quota is used up."),
    _Status.INTERNAL: (SpeechUnavailableError, "Google had an internal error."),
    _Status.ABORTED: (SpeechUnavailableError, "Google aborted the call."),
    _Status.CANCELLED: (SpeechUnavailableError, "Google cancelled the call."),
    _Status.DEADLINE_EXCEEDED: (SpeechTimeoutError, "Google did not answer in time."),
    _Status.UNAUTHENTICATED: (SpeechRefusedError, "Google refused the credentials."),
    _Status.PERMISSION_DENIED: (
        SpeechRefusedError,
        "Google does not allow this account to use the Text-to-Speech API.",
    ),
    _Status.INVALID_ARGUMENT: (SpeechRefusedError, "Google did not accept the request."),
    _Status.NOT_FOUND: (SpeechRefusedError, "Google does not know the voice."),
    _Status.FAILED_PRECONDITION: (SpeechRefusedError, "Google does not do this now."),
    _Status.OUT_OF_RANGE: (SpeechRefusedError, "Google did not accept the request."),
    _Status.UNIMPLEMENTED: (SpeechRefusedError, "What answers is not the Text-to-Speech API."),
}

# Of "contains sentences that are too long" and "longer than the limit of 5000 bytes".
_TOO_LONG = ("too long", "longer than the limit")


class GoogleCalls:
    """One channel to Google, for all calls of the process; make it on the event loop."""

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials | None, *, encoding: str, rate: float
    ) -> None:
        self._encoding = _ENCODINGS[encoding]
        self._rate = rate
        logging.getLogger(_TALKATIVE).setLevel(logging.INFO)
        self._client = _client(endpoint, credentials)

    async def synthesize(self, text: str, voice: ChosenVoice, *, timeout_s: float) -> bytes:
        """Return the audio of a text.

        Raises:
            SpeechError: as the table above says.
        """
        async with _translated():
            request = tts.SynthesizeSpeechRequest(
                input=tts.SynthesisInput(text=text),
                voice=_params(voice),
                audio_config=tts.AudioConfig(
                    audio_encoding=self._encoding, speaking_rate=self._rate_for(voice)
                ),
            )
            answer = await self._client.synthesize_speech(request, retry=None, timeout=timeout_s)
            return bytes(answer.audio_content)

    async def stream(self, text: str, voice: ChosenVoice, *, timeout_s: float) -> bytes:
        """Return the audio of a text, made in pieces by a stream of its own.

        Raises:
            SpeechError: as the table above says.
        """
        messages = self._messages(text, voice)
        # Not the client's method: it waits for the connection, and who cancels it meanwhile leaves
        # the call behind.
        start: Callable[..., Any] = self._client.transport.streaming_synthesize
        async with _translated():
            call = start(messages, timeout=timeout_s)
            try:
                audio = bytearray()
                while (answer := await call.read()) is not grpc.aio.EOF:
                    audio += answer.audio_content
            finally:
                call.cancel()
            return bytes(audio)

    async def voices(self, *, timeout_s: float) -> tuple[Voice, ...]:
        """Return all voices, one for each language of each, sorted by language and name.

        Raises:
            SpeechError: as the table above says.
        """
        async with _translated():
            answer = await self._client.list_voices(
                tts.ListVoicesRequest(), retry=None, timeout=timeout_s
            )
        # The bare message: the package's own objects would cost 20 times as much to read.
        listed = tts.ListVoicesResponse.pb(answer).voices
        voices = {Voice(each.name, code) for each in listed for code in each.language_codes}
        return tuple(sorted(voices, key=lambda voice: (voice.language, voice.name)))

    async def close(self) -> None:
        """End the calls under way and close the channel."""
        close: Callable[[], Awaitable[None]] = self._client.transport.close
        await close()

    def _rate_for(self, voice: ChosenVoice) -> float:
        return self._rate if voice.takes_rate and self._rate != 1.0 else 0.0

    async def _messages(
        self, text: str, voice: ChosenVoice
    ) -> AsyncIterator[tts.StreamingSynthesizeRequest]:
        """Yield configuration and text, and end at once: an idle stream is aborted after 5 s."""
        yield tts.StreamingSynthesizeRequest(
            streaming_config=tts.StreamingSynthesizeConfig(
                voice=_params(voice),
                streaming_audio_config=tts.StreamingAudioConfig(
                    audio_encoding=self._encoding, speaking_rate=self._rate_for(voice)
                ),
            )
        )
        yield tts.StreamingSynthesizeRequest(input=tts.StreamingSynthesisInput(text=text))


def _client(endpoint: Endpoint, credentials: Credentials | None) -> tts.TextToSpeechAsyncClient:
    if endpoint.is_plaintext:
        # No proxy of the environment either: plaintext stays on this machine or in its network.
        options = [*_CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0)]
        channel = grpc.aio.insecure_channel(endpoint.address, options=options)
        transport = TextToSpeechGrpcAsyncIOTransport(channel=channel, host=endpoint.address)
        return tts.TextToSpeechAsyncClient(transport=transport)
    return tts.TextToSpeechAsyncClient(
        credentials=credentials,
        client_options=ClientOptions(api_endpoint=endpoint.address),
        transport=_secure_transport,
    )


def _secure_transport(**settings: Any) -> TextToSpeechGrpcAsyncIOTransport:
    return TextToSpeechGrpcAsyncIOTransport(**settings, channel=_secure_channel)


def _secure_channel(address: str, **settings: Any) -> grpc.aio.Channel:
    """Make the channel as the package does, but with bounds of ours."""
    settings["options"] = _CHANNEL_OPTIONS
    return TextToSpeechGrpcAsyncIOTransport.create_channel(address, **settings)


def _params(voice: ChosenVoice) -> tts.VoiceSelectionParams:
    return tts.VoiceSelectionParams(
        language_code=voice.language, name=voice.name, model_name=voice.model
    )


@asynccontextmanager
async def _translated() -> AsyncGenerator[None, None]:
    """Turn whatever a call raises into a SpeechError.

    Never `from` the cause: Google quotes the text in some of its messages.
    """
    try:
        yield
    except asyncio.CancelledError:
        # gRPC swallows the cancellation it gets and raises a new one, in which a cancel scope does
        # not recognise its own: it would pass every scope and end whoever runs the task. This
        # raises the scope's.
        await checkpoint_if_cancelled()
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Closing the channel raises it in all who wait, and nobody cancelled them.
        raise SpeechUnavailableError("The connection to Google was closed.") from None
    except GoogleAPICallError as exc:
        raise _error_of(exc.grpc_status_code, exc.message or "") from None
    except grpc.RpcError as exc:
        raise _error_of(exc.code(), exc.details() or "") from None
    except Exception as exc:  # noqa: BLE001  the adapter's single mapping point
        detail = f"Google could not be asked ({type(exc).__name__})."
        raise SpeechUnavailableError(detail) from None


def _error_of(code: grpc.StatusCode | None, details: str) -> SpeechError:
    if code is _Status.INVALID_ARGUMENT and any(words in details for words in _TOO_LONG):
        return SpeechTooLongError("Google wants shorter sentences.")
    name = code.name if code is not None else "no status"
    kind, detail = _ERRORS.get(code, (SpeechUnavailableError, f"Google failed ({name})."))
    return kind(detail)
