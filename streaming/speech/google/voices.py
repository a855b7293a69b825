"""Which voice says an utterance: names, languages, and what each kind of voice can do."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from streaming.speech.base import Utterance

GEMINI_MODEL = "gemini-2.5-flash-tts"
"""The model behind voices with a bare name, such as `Kore`: Google refuses them without one."""

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
_LOCALE = re.compile(r"^([a-z]{2,3}-[A-Z]{2})-[A-Za-z0-9]")
_TAG = re.compile(r"^([A-Za-z]{2,3})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}|\d{3}))?(?:-.*)?$")

# Google knows these languages by another name.
_RENAMED = {"zh": "cmn", "no": "nb", "iw": "he", "tl": "fil", "in": "id"}

# The region of a language without one: where most of its voices are.
_REGIONS = {
    "af": "ZA", "am": "ET", "ar": "XA", "bg": "BG", "bn": "IN", "ca": "ES", "cmn": "CN",
    "cs": "CZ", "da": "DK", "de": "DE", "el": "GR", "en": "US", "es": "ES", "et": "EE",
    "eu": "ES", "fi": "FI", "fil": "PH", "fr": "FR", "gl": "ES", "gu": "IN", "he": "IL",
    "hi": "IN", "hr": "HR", "hu": "HU", "id": "ID", "is": "IS", "it": "IT", "ja": "JP",
    "kn": "IN", "ko": "KR", "lt": "LT", "lv": "LV", "ml": "IN", "mr": "IN", "ms": "MY",
    "nb": "NO", "nl": "NL", "pa": "IN", "pl": "PL", "pt": "BR", "ro": "RO", "ru": "RU",
    "sk": "SK", "sl": "SI", "sr": "RS", "sv": "SE", "sw": "KE", "ta": "IN", "te": "IN",
    "th": "TH", "tr": "TR", "uk": "UA", "ur": "IN", "vi": "VN", "yue": "HK",
}  # fmt: skip

_ELSEWHERE = {"es-419": "es-US", "cmn-HK": "yue-HK", "cmn-MO": "yue-HK", "cmn-SG": "cmn-CN"}


@dataclass(frozen=True, slots=True)
class ChosenVoice:
    """What a request says of its voice; an empty name leaves the choice to Google."""

    language: str
    name: str = ""

    @property
    def model(self) -> str:
        """Return the model to name beside a bare name."""
        return GEMINI_MODEL if self.name and not locale_of(self.name) else ""

    @property
    def streams(self) -> bool:
        """Return whether it may be streamed."""
        return bool(self.model) or "-Chirp3-HD-" in self.name

    @property
    def takes_rate(self) -> bool:
        """Return whether its speaking rate can be set."""
        return "-Journey-" not in self.name and "-Chirp-HD-" not in self.name


@dataclass(frozen=True, slots=True)
class Defaults:
    """What speaks where an utterance leaves it open."""

    language: str
    voice: str = ""


def choose(utterance: Utterance, defaults: Defaults, knows: Callable[[str], bool]) -> ChosenVoice:
    """Return the voice of an utterance.

    The utterance's voice if it is known; else the default voice if it speaks the language asked
    for; else whichever Google has for the language.

    Args:
        utterance: Its voice and language.
        defaults: Where they are empty or of no use.
        knows: Whether there is a voice of that name.
    """
    voice = utterance.voice if _NAME.match(utterance.voice) else ""
    asked = regional(utterance.language) or locale_of(voice)
    if voice and knows(voice):
        return ChosenVoice(locale_of(voice) or asked or defaults.language, voice)
    language = asked or locale_of(defaults.voice) or defaults.language
    spoken = locale_of(defaults.voice) or language
    if defaults.voice and knows(defaults.voice) and _primary(spoken) == _primary(language):
        return ChosenVoice(spoken, defaults.voice)
    return ChosenVoice(language)


def locale_of(voice: str) -> str:
    """Return the language in a voice's name: `de-DE` of `de-DE-Neural2-B`, nothing of `Kore`."""
    match = _LOCALE.match(voice)
    return match[1] if match else ""


def regional(tag: str) -> str:
    """Return a language as Google writes it: with its region, without script; empty for nonsense.

    `de` is `de-DE`, `zh-Hant` is `cmn-TW`.
    """
    match = _TAG.match(tag.strip().replace("_", "-"))
    if match is None:
        return ""
    language, script, region = (part or "" for part in match.groups())
    language = _RENAMED.get(language.lower(), language.lower())
    if not region:
        is_traditional = language == "cmn" and script.lower() == "hant"
        region = "TW" if is_traditional else _REGIONS.get(language, "")
    full = f"{language}-{region.upper()}" if region else language
    return _ELSEWHERE.get(full, full)


def _primary(tag: str) -> str:
    return tag.partition("-")[0]
