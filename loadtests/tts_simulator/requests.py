"""What the service accepts: each check ends the call as Google's does."""

import re

import grpc
from google.cloud import texttospeech_v1 as tts

from loadtests.tts_simulator import encodings, faults, voices
from loadtests.tts_simulator.stats import Call

MAX_INPUT_BYTES = 5_000

_Status = grpc.StatusCode
_SLOWEST, _FASTEST = 0.25, 2.0
_HIGHEST_PITCH = 20.0

# The stops of Latin and Cyrillic text count before a blank; the others (Chinese and Japanese,
# Devanagari, Arabic) anywhere.
_SENTENCE_END = re.compile(
    "[.!?\u2026]+(?=\\s|$)|[\u3002\uff01\uff1f\u0964\u061f]+|\n",
)


class RefusedError(Exception):
    """The call ends with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


def invalid(details: str) -> RefusedError:
    """Return INVALID_ARGUMENT."""
    return RefusedError(_Status.INVALID_ARGUMENT, details)


def read_voice(call: Call, params: tts.VoiceSelectionParams) -> voices.Voice:
    """Return the voice that is asked for.

    Raises:
        RefusedError: There is none.
    """
    call.voice, call.language, call.model = params.name, params.language_code, params.model_name
    try:
        return voices.chosen(params)
    except voices.VoiceError as exc:
        raise invalid(str(exc)) from None


def read_text(call: Call, source: tts.SynthesisInput, voice: voices.Voice) -> str:
    """Return what is to be said.

    Raises:
        RefusedError: Nothing, or SSML for a voice that knows none.
    """
    if source.ssml and voice.is_plain:
        raise invalid("This voice does not support SSML.")
    text = str(source.text or source.ssml or source.markup)
    if not text:
        raise invalid("The input is empty.")
    call.note_text(text)
    return text


def check_text(text: str, max_sentence: int) -> None:
    """Refuse a text of more than 5,000 bytes or with a long stretch without a sentence end.

    Raises:
        RefusedError: It is too long.
    """
    if len(text.encode()) > MAX_INPUT_BYTES:
        raise invalid("Either `input.text` or `input.ssml` is longer than the limit of 5000 bytes.")
    if max_sentence and max(map(len, _SENTENCE_END.split(text))) > max_sentence:
        raise invalid(faults.TOO_LONG)


def check_audio(call: Call, config: tts.AudioConfig, voice: voices.Voice) -> None:
    """Refuse what a unary call cannot give.

    Raises:
        RefusedError: Of encoding, rate or pitch.
    """
    call.encoding = encodings.name_of(config.audio_encoding)
    if call.encoding not in encodings.WHOLE:
        raise invalid("The audio encoding is not supported here.")
    if abs(config.pitch) > _HIGHEST_PITCH or (config.pitch and voice.is_plain):
        raise invalid("This voice does not support this pitch.")
    _check_rate(call, config.speaking_rate)


def check_stream(call: Call, config: tts.StreamingSynthesizeConfig, voice: voices.Voice) -> None:
    """Refuse what a stream cannot give.

    Raises:
        RefusedError: Of voice, encoding or rate.
    """
    audio = config.streaming_audio_config
    call.encoding = encodings.name_of(audio.audio_encoding)
    if call.encoding not in encodings.STREAMED:
        raise invalid("The audio encoding cannot be streamed.")
    if not voice.streams:
        raise invalid("Currently, only Chirp 3: HD voices can be streamed.")
    _check_rate(call, audio.speaking_rate)


def _check_rate(call: Call, rate: float) -> None:
    if rate and not _SLOWEST <= rate <= _FASTEST:
        raise invalid("The speaking rate must be 0.25 to 2.0.")
    call.rate = rate
