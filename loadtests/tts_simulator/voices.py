"""The voices that the simulator says it has, and what each of them accepts."""

import re
from dataclasses import dataclass

from google.cloud import texttospeech_v1 as tts

from loadtests.tts_simulator import faults

LANGUAGES = (
    "ar-XA", "bn-IN", "cmn-CN", "cmn-TW", "cs-CZ", "da-DK", "de-DE", "el-GR", "en-GB", "en-US",
    "es-ES", "es-US", "fi-FI", "fr-FR", "he-IL", "hi-IN", "hu-HU", "it-IT", "ja-JP", "ko-KR",
    "nb-NO", "nl-NL", "pl-PL", "pt-BR", "pt-PT", "ro-RO", "ru-RU", "sv-SE", "ta-IN", "th-TH",
    "tr-TR", "uk-UA", "ur-IN", "vi-VN",
)  # fmt: skip
_FAMILIES = ("Chirp3-HD-Kore", "Chirp3-HD-Puck", "Neural2-A", "Neural2-B", "Standard-A")
_GEMINI = ("Charon", "Kore")
_LOCALE = re.compile(r"^([a-z]{2,3}-[A-Z]{2})-")


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice; `is_plain` takes neither SSML nor pitch, `streams` may be streamed."""

    name: str
    languages: tuple[str, ...]
    is_plain: bool = False
    streams: bool = False
    needs_model: bool = False


def _all() -> dict[str, Voice]:
    voices = {
        name: Voice(name, LANGUAGES, is_plain=True, streams=True, needs_model=True)
        for name in _GEMINI
    }
    for language in LANGUAGES:
        for family in _FAMILIES:
            chirp = "Chirp" in family
            name = f"{language}-{family}"
            voices[name] = Voice(name, (language,), is_plain=chirp, streams=chirp)
    for fault in faults.CATALOGUE:
        name = f"en-US-Fault-{fault}"
        voices[name] = Voice(name, ("en-US",), streams=True)
    return voices


VOICES = _all()


class VoiceError(ValueError):
    """The voice asked for cannot be had; the text says why."""


def chosen(params: tts.VoiceSelectionParams) -> Voice:
    """Return the voice that a request asks for.

    Raises:
        VoiceError: Answer INVALID_ARGUMENT with its text.
    """
    if not params.language_code:
        raise VoiceError("Language code is required.")
    if params.name:
        return _named(params)
    primary = params.language_code.lower().partition("-")[0]
    primary = {"zh": "cmn", "no": "nb"}.get(primary, primary)
    for language in sorted(LANGUAGES, key=lambda each: each != params.language_code):
        if language.partition("-")[0] == primary:
            return VOICES[f"{language}-Neural2-A"]
    raise VoiceError(f"Language code '{params.language_code}' is not supported.")


def _named(params: tts.VoiceSelectionParams) -> Voice:
    voice = VOICES.get(params.name)
    if voice is None:
        raise VoiceError(f"Voice '{params.name}' does not exist. Is it misspelled?")
    if params.language_code not in voice.languages:
        raise VoiceError(
            f"Requested language code '{params.language_code}' doesn't match the voice "
            f"'{voice.name}'."
        )
    if voice.needs_model and not params.model_name:
        raise VoiceError("This voice requires a model name to be specified.")
    return voice


def listed(language: str) -> tts.ListVoicesResponse:
    """Return the voices of a language, of all of them where none is given."""
    return tts.ListVoicesResponse(
        voices=[
            tts.Voice(
                name=voice.name,
                language_codes=voice.languages,
                ssml_gender=tts.SsmlVoiceGender.FEMALE,
                natural_sample_rate_hertz=24_000,
            )
            for voice in VOICES.values()
            if not language or any(each.startswith(language) for each in voice.languages)
        ]
    )
