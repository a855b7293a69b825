"""The choice among eSpeak NG's voices; the list here is a part of its own."""

import pytest

from streaming.speech.base import Voice
from streaming.speech.espeak.voices import ListedVoice, VoiceList

LISTED = [
    ListedVoice("gmw/en-029", ((5, "en-029"), (10, "en"))),
    ListedVoice("gmw/en", ((2, "en-gb"), (2, "en"))),
    ListedVoice("gmw/en-GB-x-rp", ((5, "en-gb-x-rp"), (4, "en-gb"), (5, "en"))),
    ListedVoice("gmw/en-US", ((2, "en-us"), (3, "en"))),
    ListedVoice("gmw/de", ((5, "de"),)),
    ListedVoice("gmq/fo", ((5, "fo"),)),
    ListedVoice("gmq/nb", ((5, "nb"), (5, "no"))),
    ListedVoice("iro/chr", ((5, "chr-US-Qaaa-x-west"),)),
    ListedVoice("ko", ((5, "ko"),)),
    ListedVoice("roa/es", ((5, "es"),)),
    ListedVoice("roa/es-419", ((5, "es-419"), (6, "es-mx"))),
    ListedVoice("roa/fr-BE", ((5, "fr-be"), (8, "fr"))),
    ListedVoice("roa/fr", ((5, "fr-fr"), (5, "fr"))),
    ListedVoice("roa/pt", ((5, "pt"), (5, "pt-pt"))),
    ListedVoice("roa/pt-BR", ((5, "pt-br"), (6, "pt"))),
    ListedVoice("sit/cmn-Latn-pinyin", ((5, "cmn-latn-pinyin"), (5, "zh-cmn"), (5, "zh"))),
    ListedVoice("sit/cmn", ((5, "cmn"), (5, "zh-cmn"), (5, "zh"))),
    ListedVoice("sit/yue", ((5, "yue"), (5, "zh-yue"), (8, "zh"))),
    ListedVoice("aav/vi-VN-x-south", ((5, "vi-vn-x-south"),)),
]
VOICES = VoiceList(LISTED, default_language="de")


def test_voices_have_tags_in_their_usual_form_and_the_mute_are_left_out() -> None:
    tags = {voice.name: voice.language for voice in VOICES.voices}

    assert tags == {
        "chr": "chr-US",
        "cmn": "zh",
        "cmn-Latn-pinyin": "zh-Latn-pinyin",
        "de": "de",
        "en": "en-GB",
        "en-029": "en-029",
        "en-GB-x-rp": "en-GB-x-rp",
        "en-US": "en-US",
        "es": "es",
        "es-419": "es-419",
        "fr": "fr-FR",
        "fr-BE": "fr-BE",
        "ko": "ko",
        "nb": "nb",
        "pt": "pt-PT",
        "pt-BR": "pt-BR",
        "vi-VN-x-south": "vi-VN-x-south",
        "yue": "yue",
    }
    assert VOICES.voices[0] == Voice("chr", "chr-US")
    assert list(VOICES.voices) == sorted(
        VOICES.voices, key=lambda voice: (voice.language, voice.name)
    )


@pytest.mark.parametrize(
    ("language", "identifier"),
    [
        ("en", "gmw/en"),
        ("en-GB", "gmw/en"),
        ("en-AU", "gmw/en"),
        ("EN_us", "gmw/en-US"),
        ("en-GB-x-rp", "gmw/en-GB-x-rp"),
        ("de-AT", "gmw/de"),
        ("nn", "gmq/nb"),
        ("no-NO", "gmq/nb"),
        ("es-MX", "roa/es-419"),
        ("es-ES", "roa/es"),
        ("fr-CA", "roa/fr"),
        ("pt", "roa/pt"),
        ("pt-BR", "roa/pt-BR"),
        ("pt-AO", "roa/pt"),
        ("zh", "sit/cmn"),
        ("zh-Hans-CN", "sit/cmn"),
        ("zh-TW", "sit/cmn"),
        ("cmn", "sit/cmn"),
        ("zh-HK", "sit/yue"),
        ("zh-Hant-HK", "sit/yue"),
        ("yue", "sit/yue"),
        ("zh-Latn-pinyin", "sit/cmn-Latn-pinyin"),
        ("chr", "iro/chr"),
        ("vi", "aav/vi-VN-x-south"),
    ],
)
def test_a_language_gets_its_best_voice(language: str, identifier: str) -> None:
    assert VOICES.identifier_for("", language) == identifier


@pytest.mark.parametrize("language", ["", "-", "--", "xx", "fo", "not a tag", "\0", "x" * 5000])
def test_what_is_no_language_gets_the_default(language: str) -> None:
    assert VOICES.identifier_for("", language) == "gmw/de"


def test_a_voice_goes_before_the_language_and_an_unknown_one_is_none() -> None:
    assert VOICES.identifier_for("en-us", "de") == "gmw/en-US"
    assert VOICES.identifier_for("en-US-Chirp3-HD-Kore", "fr") == "roa/fr"
    assert VOICES.identifier_for("gmw/en", "") == "gmw/de"


def test_a_default_that_has_no_voice_is_english_or_whatever_there_is() -> None:
    assert VoiceList(LISTED, default_language="xx").identifier_for("", "") == "gmw/en"
    assert VoiceList(LISTED[8:9], default_language="xx").identifier_for("", "") == "ko"
