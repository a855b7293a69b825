"""Which of Google's voices says an utterance, and how long its list is kept."""

import anyio
import anyio.lowlevel
import pytest

from streaming.speech.base import Utterance, Voice
from streaming.speech.errors import SpeechRefusedError, SpeechUnavailableError
from streaming.speech.google.voice_list import HELD_OFF_S, KEPT_S, VoiceList
from streaming.speech.google.voices import GEMINI_MODEL, ChosenVoice, Defaults, choose, regional

PATIENCE_S = 5.0


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("de", "de-DE"),
        ("de-AT", "de-AT"),
        ("DE_at", "de-AT"),
        ("en", "en-US"),
        ("pt-pt", "pt-PT"),
        ("zh", "cmn-CN"),
        ("zh-Hant", "cmn-TW"),
        ("zh-Hant-HK", "yue-HK"),
        ("zh-Hans-CN", "cmn-CN"),
        ("sr-Latn-RS", "sr-RS"),
        ("es-419", "es-US"),
        ("no", "nb-NO"),
        ("ar", "ar-XA"),
        ("de-DE-1996", "de-DE"),
        ("tlh", "tlh"),
        ("", ""),
        ("english", ""),
        ("..", ""),
    ],
)
def test_a_language_gets_the_region_that_google_knows(tag: str, language: str) -> None:
    assert regional(tag) == language


@pytest.mark.parametrize(
    ("utterance", "default_voice", "chosen"),
    [
        (Utterance("", "", "de-DE-Neural2-B"), "", ChosenVoice("de-DE", "de-DE-Neural2-B")),
        (Utterance("", "en", "de-DE-Neural2-B"), "", ChosenVoice("de-DE", "de-DE-Neural2-B")),
        (Utterance("", "fr"), "", ChosenVoice("fr-FR")),
        (Utterance(""), "", ChosenVoice("en-GB")),
        (Utterance("", "fr", "robot"), "", ChosenVoice("fr-FR")),
        (Utterance("", "", "es-ES-Unknown-A"), "", ChosenVoice("es-ES")),
        (Utterance("", "fr", "\ud800"), "", ChosenVoice("fr-FR")),
        (Utterance("", "nonsense"), "", ChosenVoice("en-GB")),
        (Utterance(""), "de-DE-Neural2-B", ChosenVoice("de-DE", "de-DE-Neural2-B")),
        (Utterance("", "de-AT"), "de-DE-Neural2-B", ChosenVoice("de-DE", "de-DE-Neural2-B")),
        (Utterance("", "fr"), "de-DE-Neural2-B", ChosenVoice("fr-FR")),
        (Utterance("", "", "robot"), "de-DE-Neural2-B", ChosenVoice("de-DE", "de-DE-Neural2-B")),
        (Utterance("", "de"), "de-DE-Unknown-A", ChosenVoice("de-DE")),
        (Utterance("", "ja", "Kore"), "", ChosenVoice("ja-JP", "Kore")),
        (Utterance("", "ja"), "Kore", ChosenVoice("ja-JP", "Kore")),
        (Utterance(""), "Kore", ChosenVoice("en-GB", "Kore")),
    ],
)
def test_the_voice_decides_then_the_language_then_the_default(
    utterance: Utterance, default_voice: str, chosen: ChosenVoice
) -> None:
    known = {"de-DE-Neural2-B", "Kore"}

    assert choose(utterance, Defaults("en-GB", default_voice), known.__contains__) == chosen


def test_a_voice_tells_what_it_can_do() -> None:
    kore, chirp, neural, journey, none = (
        ChosenVoice("en-US", name)
        for name in ("Kore", "en-US-Chirp3-HD-Kore", "en-US-Neural2-A", "en-US-Journey-D", "")
    )

    assert [voice.model for voice in (kore, chirp, none)] == [GEMINI_MODEL, "", ""]
    assert [voice.streams for voice in (kore, chirp, neural, none)] == [True, True, False, False]
    assert [voice.takes_rate for voice in (chirp, neural, journey)] == [True, True, False]


class Shelf:
    """A list to fetch, that may fail, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.fetched = 0
        self.error: Exception | None = None

    async def fetch(self) -> tuple[Voice, ...]:
        self.fetched += 1
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return (Voice(f"de-DE-{self.fetched}", "de-DE"),)

    def list(self) -> VoiceList:
        return VoiceList(self.fetch, lambda: self.now)


async def test_the_list_is_kept_for_an_hour() -> None:
    shelf = Shelf()
    voices = shelf.list()

    first = await voices.get()
    shelf.now += KEPT_S - 1
    again = await voices.get()
    shelf.now += 2
    later = await voices.get()

    assert first == again != later
    assert shelf.fetched == 2


async def test_many_who_ask_at_once_share_one_call() -> None:
    shelf = Shelf()
    voices = shelf.list()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(voices.get)

    assert shelf.fetched == 1


async def test_a_failed_list_is_not_asked_for_again_at_once() -> None:
    shelf = Shelf()
    voices = shelf.list()
    shelf.error = SpeechUnavailableError("down")

    for _ in range(3):
        with pytest.raises(SpeechUnavailableError, match="down"):
            await voices.get()
    assert shelf.fetched == 1
    shelf.now += HELD_OFF_S
    shelf.error = None

    assert await voices.get()


async def test_an_old_list_is_better_than_none() -> None:
    shelf = Shelf()
    voices = shelf.list()
    old = await voices.get()
    shelf.now += KEPT_S + 1
    shelf.error = SpeechRefusedError("no")

    assert await voices.get() == old


async def test_without_a_list_every_name_is_good() -> None:
    shelf = Shelf()
    voices = shelf.list()

    assert voices.knows("anything")
    await voices.get()

    assert voices.knows("de-DE-1")
    assert not voices.knows("anything")
