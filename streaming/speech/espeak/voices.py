"""Which of eSpeak NG's voices speaks what: its own codes as BCP 47 tags, and the choice of one.

Source: RFC 5646 (the form of tags), RFC 4647 section 3.4 (looking one up: the exact tag, then
shorter ones).
"""

from collections.abc import Iterable, Iterator

import msgspec

from streaming.speech.base import Voice

_TAGS = {
    "ca-ba": "ca-x-balearic",
    "ca-nw": "ca-x-nwestern",
    "ca-va": "ca-valencia",
    "chr": "chr-US",
    "cmn": "zh",
    "cmn-Latn-pinyin": "zh-Latn-pinyin",
    "en-US-nyc": "en-US-x-nyc",
    "piqd": "tlh",
    "pt": "pt-PT",
    "py": "art-x-pyash",
    "ru-cl": "ru-x-classic",
}
"""Names that are no tags, or another language's."""

_ALIASES = {
    "in": "id",
    "iw": "he",
    "nn": "nb",
    "sh": "hr",
    "zh-hk": "yue",
    "zh-mo": "yue",
    "zh-hant-hk": "yue",
}
"""Languages that are asked for under a name that eSpeak NG does not have."""

_MUTE = frozenset({"fo", "kaa", "xex"})
"""Listed in version 1.52, but without the dictionary that they need to say a word."""

_LAST_RESORT = "en"


class ListedVoice(msgspec.Struct, frozen=True):
    """A voice, and its languages: the smaller a number, the better it speaks that language."""

    identifier: str
    languages: tuple[tuple[int, str], ...]


class VoiceList:
    """All voices.

    Args:
        listed: At least one.
        default_language: Spoken where neither voice nor language is known.
    """

    def __init__(self, listed: Iterable[ListedVoice], *, default_language: str) -> None:
        named = {_name(voice): voice for voice in listed if _name(voice) not in _MUTE}
        tags = {name: _tag(name, voice) for name, voice in named.items()}
        self.voices = tuple(
            sorted(
                (Voice(name, tag) for name, tag in tags.items()),
                key=lambda voice: (voice.language, voice.name),
            )
        )
        self._by_name = {name.lower(): voice.identifier for name, voice in named.items()}
        self._by_language = _by_language(named.values())
        self._by_language |= {tags[name].lower(): named[name].identifier for name in named}
        self._default = (
            self._of_language(default_language)
            or self._of_language(_LAST_RESORT)
            or next(iter(self._by_name.values()))
        )

    def identifier_for(self, voice: str, language: str) -> str:
        """Return the voice of that name, else the best one of that language, else the default."""
        return self._by_name.get(voice.lower()) or self._of_language(language) or self._default

    def _of_language(self, language: str) -> str | None:
        code = language.replace("_", "-").lower()
        while code:
            identifier = self._by_language.get(_ALIASES.get(code, code))
            if identifier is not None:
                return identifier
            code = code.rpartition("-")[0]
        return None


def _by_language(voices: Iterable[ListedVoice]) -> dict[str, str]:
    """Return the best voice of each language: the one that says so, then the plainest."""
    best: dict[str, tuple[int, int, str]] = {}
    for voice in voices:
        for priority, language in _all_languages(voice):
            rank = (priority, len(voice.identifier), voice.identifier)
            best[language] = min(best.get(language, rank), rank)
    return {language: identifier for language, (_, _, identifier) in best.items()}


def _all_languages(voice: ListedVoice) -> Iterator[tuple[int, str]]:
    """Yield a voice's languages; its base language comes last, for it may have no other voice."""
    worst = 256
    yield from voice.languages
    yield worst, voice.languages[0][1].partition("-")[0]


def _name(voice: ListedVoice) -> str:
    """Return the file's name out of `family/file`: unique, and stable between versions."""
    return voice.identifier.rpartition("/")[2]


def _tag(name: str, voice: ListedVoice) -> str:
    # Names of more than one part are written as tags; the others say less than the languages do.
    if name in _TAGS or "-" in name:
        return _TAGS.get(name, name)
    language, _, region = voice.languages[0][1].partition("-")
    return f"{language}-{region.upper()}" if region else language
