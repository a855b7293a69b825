"""The program around the library, in this process: only texts that the library is known to survive.

The library's state is global: one instance for all tests here.
"""

from typing import Any

import pytest

from streaming.speech.audio import duration_s
from streaming.speech.espeak_program import __main__ as program
from streaming.speech.espeak_program.library import EspeakLibrary, LibraryError
from tests.support.espeak import require_espeak

TEXT = b"The answer is spoken while it is being written."


@pytest.fixture(scope="module")
def library() -> EspeakLibrary:
    require_espeak()
    return program._loaded()


def spoken(library: EspeakLibrary, *, voice: str = "gmw/en", words_per_minute: int = 175) -> int:
    """Return how many samples a text takes."""
    pieces: list[bytes] = []

    def take(pcm: bytes) -> bool:
        pieces.append(pcm)
        return True

    library.speak(TEXT, voice=voice, words_per_minute=words_per_minute, take=take)
    return sum(map(len, pieces)) // 2


def asked(*, voice: str = "gmw/en", text: str = TEXT.decode()) -> program.Request:
    return {"id": 7, "text": text, "voice": voice, "words_per_minute": 175}


class Stopped:
    """Requests of which one is stopped."""

    def __init__(self, *ids: int) -> None:
        self._ids = ids

    def is_stopped(self, request: program.Request) -> bool:
        return request["id"] in self._ids


def answer(library: EspeakLibrary, request: program.Request, *stopped: int) -> Any:
    return program._spoken(library, request, Stopped(*stopped))  # type: ignore[arg-type]


def test_voices_come_with_their_languages(library: EspeakLibrary) -> None:
    languages = {voice["identifier"]: voice["languages"] for voice in library.voices()}

    assert len(languages) > 100
    assert languages["gmw/de"] == [(5, "de")]
    assert (2, "en-gb") in languages["gmw/en"]


def test_speaking_stops_when_it_is_told_to_and_the_next_text_is_whole(
    library: EspeakLibrary,
) -> None:
    whole = spoken(library)
    pieces: list[bytes] = []

    def take(pcm: bytes) -> bool:
        pieces.append(pcm)
        return False

    library.speak(TEXT, voice="gmw/en", words_per_minute=175, take=take)

    assert len(pieces) == 1
    assert len(pieces[0]) // 2 < whole / 2
    assert spoken(library) == pytest.approx(whole, rel=0.05)


def test_an_error_of_the_taker_ends_the_speech_and_travels_on(library: EspeakLibrary) -> None:
    calls: list[int] = []

    def take(pcm: bytes) -> bool:
        calls.append(len(pcm))
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        library.speak(TEXT, voice="gmw/en", words_per_minute=175, take=take)
    assert len(calls) == 1
    assert spoken(library) > 0


def test_a_voice_that_is_not_there_is_refused(library: EspeakLibrary) -> None:
    with pytest.raises(LibraryError, match="voice"):
        spoken(library, voice="gmw/nobody")
    assert spoken(library, words_per_minute=350) < spoken(library, words_per_minute=175)


def test_a_library_that_cannot_be_loaded_is_told() -> None:
    with pytest.raises(LibraryError, match="loaded"):
        EspeakLibrary("/nonexistent/libespeak-ng.so", "/nonexistent")


def test_an_answer_is_a_file_and_its_length(library: EspeakLibrary) -> None:
    told, file = answer(library, asked())

    assert told == {"id": 7, "samples": told["samples"], "bytes": len(file)}
    assert duration_s("audio/wav", file) == told["samples"] / library.sample_rate


def test_what_was_stopped_or_refused_is_no_file(library: EspeakLibrary) -> None:
    assert answer(library, asked(), 7) == ({"id": 7, "failed": "stopped"}, b"")
    told, file = answer(library, asked(voice="nobody"))
    assert (told["id"], file) == (7, b"")
    assert "voice" in told["failed"]


def test_endless_sound_is_cut_off_and_refused(
    library: EspeakLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "MAX_AUDIO_S", 0.5)

    assert answer(library, asked()) == ({"id": 7, "failed": "too_long"}, b"")


def test_a_text_without_a_sound_is_a_short_silence(library: EspeakLibrary) -> None:
    told, file = answer(library, asked(text=" "))

    assert 0 < told["samples"] < 1000
    assert duration_s("audio/wav", file) > 0
