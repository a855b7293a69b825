"""Audio of a turn: which text a chunk speaks, while the turn runs and long after.

A live turn knows its units; of an ended one the record does; an answer that was never spoken is
cut into units now, always the same ones.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import anyio
import anyio.to_thread

from history.errors import TurnNotFoundError
from history.model import SpokenUnit, TurnRecord, TurnStatus
from server.auth.caller import Owner
from server.errors import ProblemError
from server.services import Services
from streaming.languages import guess_language
from streaming.speech.base import Audio, Utterance, Voice
from streaming.speech.errors import SpeechError
from streaming.speech.whole import complete_sentences_of, sentences_of, units_of
from streaming.turn import LiveTurn

AudioOf = Callable[[int], Awaitable[Audio | None]]

VOICES_WAIT_S = 1.0
"""How long a turn may wait for the list of voices: text does not wait for speech."""

_AUDIO_ID = re.compile(r"([A-Za-z0-9_-]{1,64})\.(0|[1-9][0-9]{0,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SpokenAnswer:
    """A turn's units so far, and the text they speak."""

    text: str
    language: str
    voice: str
    units: Sequence[SpokenUnit]
    inline: bool = True
    is_spoken: bool = True

    def utterance(self, index: int) -> Utterance | None:
        """Return what the engine was given for a unit; None where there is none (yet)."""
        if index >= len(self.units):
            return None
        unit = self.units[index]
        return Utterance(unit.text, unit.language, self.voice)

    async def range_of(self, index: int) -> tuple[int, int] | None:
        """Return where the (first) sentence of a unit stands in the text, in code points."""
        sentences = await anyio.to_thread.run_sync(sentences_of, self.text, self.language)
        place = self.units[index].sentence
        if place >= len(sentences):
            return None
        return sentences[place].start, sentences[place].end


def parse_audio_id(audio_id: str) -> tuple[str, int]:
    """Return the turn and the index of `<turn_id>.<index>`.

    Raises:
        TurnNotFoundError: it is none.
    """
    match = _AUDIO_ID.fullmatch(audio_id)
    if match is None:
        raise TurnNotFoundError(audio_id)
    return match[1], int(match[2])


async def spoken_answer(services: Services, owner: Owner, turn_id: str) -> SpokenAnswer:
    """Return what a turn says.

    Raises:
        TurnNotFoundError: no such turn, or another owner's.
        HistoryUnavailableError: it has ended, and the record cannot be read.
    """
    live = services.runner.find(turn_id)
    if live is not None:
        if live.spec.owner_id != owner.owner_id:
            raise TurnNotFoundError(turn_id)
        return live_answer(live)
    record = await services.history.turns.get(owner.owner_id, turn_id)
    answer = recorded_answer(record)
    if answer.is_spoken or record.status is TurnStatus.RUNNING:
        return answer
    units = await anyio.to_thread.run_sync(_units_now, record.text, answer.language)
    return replace(answer, units=units)


async def check_voice(services: Services, voice: str) -> None:
    """Refuse a voice that does not exist; where the list cannot be had (soon), any may.

    While another engine stands in, too: it knows other voices, and an outage of speech must not
    refuse a text.

    Raises:
        ProblemError: 422.
    """
    voices: Sequence[Voice] = ()
    with anyio.move_on_after(VOICES_WAIT_S), suppress(SpeechError):
        voices = await services.studio.maker.voices(preferred=True)
    if voices and not any(known.name == voice for known in voices):
        message = "is not a voice; GET /api/v1/speech/voices lists them"
        raise ProblemError(
            422, "invalid", f"voice {message}.", errors=[{"field": "voice", "message": message}]
        )


def audio_reader(
    services: Services, answer: SpokenAnswer, *, inline: bool | None
) -> AudioOf | None:
    """Return what gives a unit's audio where it is still kept: framing must not wait for more.

    Args:
        services: Where audio is kept.
        answer: What is spoken.
        inline: Whether the reader wants audio in its events; None: as the turn was started.

    Returns:
        None where frames go out as they are: nothing is spoken, or not to be inline.
    """
    if not answer.is_spoken or not (answer.inline if inline is None else inline):
        return None

    async def audio_of(index: int) -> Audio | None:
        utterance = answer.utterance(index)
        return None if utterance is None else await services.studio.maker.cached(utterance)

    return audio_of


def live_answer(live: LiveTurn) -> SpokenAnswer:
    """Return what a running turn says; its units grow with the turn."""
    if live.speech is None:
        return SpokenAnswer(live.draft.text, "", "", (), is_spoken=False)
    spec = live.speech.spec
    return SpokenAnswer(
        live.draft.text, spec.language, spec.voice, live.speech.units, inline=spec.inline
    )


def recorded_answer(record: TurnRecord) -> SpokenAnswer:
    """Return what an ended turn said."""
    wish = record.spec.get("speech")
    wish = wish if isinstance(wish, dict) else {}
    return SpokenAnswer(
        record.text,
        str(wish.get("language", "")),
        str(wish.get("voice", "")),
        record.speech,
        inline=wish.get("inline") is not False,
        is_spoken=bool(record.speech),
    )


async def count_sentences(record: TurnRecord) -> int:
    """Return how many sentences were told of an ended turn; 0 where it was not to be spoken."""
    wish = record.spec.get("speech")
    if not isinstance(wish, dict):
        return 0
    told = sentences_of if record.status is TurnStatus.COMPLETED else complete_sentences_of
    return len(await anyio.to_thread.run_sync(told, record.text, str(wish.get("language", ""))))


async def lost_its_speech(record: TurnRecord) -> bool:
    """Whether a turn was to be spoken and has something to say, but nothing is known to be said."""
    if not record.spec.get("speech") or record.speech:
        return False
    return bool(await anyio.to_thread.run_sync(_units_now, record.text, ""))


def _units_now(text: str, language: str) -> Sequence[SpokenUnit]:
    spoken_in = language or guess_language(text)
    return [SpokenUnit(unit.sentence, unit.text, spoken_in) for unit in units_of(text, language)]
