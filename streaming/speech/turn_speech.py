"""The speech of one turn: beside its text, in order, bounded at its end.

    text ─► SentenceSplitter ─► UnitPlanner ─► engine calls, two at a time ─► reorder ─► log

The text side never waits and never fails for speech: `hear` is synchronous, and whatever goes wrong
here ends as `speech.failed`. Every unit that was planned gets exactly one entry in the log, in the
order of its index, unless the speech is cut: then nothing follows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

import anyio
import structlog

from history.model import SpokenUnit
from metrics.turns import TurnMetrics
from streaming.draft import Draft
from streaming.event_log.base import EventWriter
from streaming.events import SentenceCompleted, SpeechChunk, SpeechFailed
from streaming.languages import guess_language
from streaming.sentences import Sentence, SentenceKind, SentenceSplitter
from streaming.speech.audience import Audience
from streaming.speech.base import Utterance
from streaming.speech.errors import SpeechError
from streaming.speech.maker import AudioMaker, MadeAudio
from streaming.speech.spoken import SpokenText
from streaming.speech.units import Unit, UnitPlanner

log = structlog.get_logger(__name__)

JOIN_ABOVE_S = 5.0
"""Short sentences are joined while this much audio is still to be played."""

EARLY_AFTER_S = 0.3
"""A first sentence that takes longer than this to be written is begun with its first clause."""

CHARS_PER_S = 15.0
"""About how fast text is spoken: what audio that is being made will come to."""

CHECK_EVERY_S = 0.25
"""How often the limits are looked at once the text has ended."""

TIMED_OUT = "speech_timeout"
NOT_REQUESTED = "not_requested"
"""Codes of units that were given up, because time was up or because nobody listened."""

WORKER_LOST = "worker_lost"
"""Code of the unit that stands for what a lost process had not spoken."""


@dataclass(frozen=True, slots=True)
class SpeechSpec:
    """How a turn is spoken. Empty names leave the choice to the text and to the engine."""

    voice: str = ""
    language: str = ""
    inline: bool = True


@dataclass(frozen=True, slots=True)
class SpeechLimits:
    """Bounds of one turn's speech.

    `timeout_s` and `idle_s` count from the end of the text: how long audio may still come out, and
    how long without anybody listening. Half-way through `timeout_s` what is left is made at once.
    """

    timeout_s: float = 60.0
    idle_s: float = 30.0
    parallel: int = 2
    prefetch_s: float = 25.0


@dataclass(frozen=True, slots=True)
class Studio:
    """What the speech of all turns shares. `clock` gives monotonic seconds."""

    maker: AudioMaker
    metrics: TurnMetrics
    limits: SpeechLimits
    clock: Callable[[], float] = monotonic


class TurnSpeech:  # noqa: PLR0904  # text, listeners and engines meet here
    """Cuts one turn's text into sentences and gets them spoken.

    Args:
        turn_id: Named in `audio_id`.
        spec: Voice and language.
        studio: Makes audio, and states the bounds.
        writer: Where entries go.
        draft: The turn's text, which `hear` is told of after it was added.
        received_at: When the request came; time to first audio counts from there.
    """

    def __init__(
        self,
        turn_id: str,
        spec: SpeechSpec,
        studio: Studio,
        *,
        writer: EventWriter,
        draft: Draft,
        received_at: float,
    ) -> None:
        self.turn_id = turn_id
        self.audience = Audience(studio.clock())
        self.units: list[SpokenUnit] = []
        self.next_index = 0
        self.sentence_count = 0
        self.spec = spec
        self._writer = writer
        self._draft = draft
        self._maker = studio.maker
        self._metrics = studio.metrics
        self._limits = studio.limits
        self._clock = studio.clock
        self._received_at = received_at
        self._language = spec.language
        self._spoken: SpokenText | None = None
        self._sentence_ends: list[int] = []
        self._made: dict[int, MadeAudio | str] = {}
        self._out_s = 0.0
        self._is_text_complete = False
        self._is_hurried = False
        self._is_over = False
        self._changed = anyio.Event()
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()
        self._slots = anyio.Semaphore(studio.limits.parallel)
        self.restart()

    def resume(self, draft: Draft, *, sentence: int, speech: int) -> None:
        """Go on where another process was lost: with sentences that were not completed there.

        What was completed there and not spoken is lost, and told as one failed unit.

        Args:
            draft: The text so far.
            sentence: Index of the next sentence.
            speech: Index of the next unit.
        """
        self._draft = draft
        self.units += [SpokenUnit(0, "")] * speech  # in the log, but known there only
        self.next_index = speech
        with self._contained():
            for index, each in enumerate(self._splitter.push(draft.text)):
                if index >= sentence:
                    self._complete(each)
                    continue
                self.sentence_count += 1
                self._sentence_ends.append(each.end)
            if sentence:
                self.units.append(SpokenUnit(sentence - 1, ""))
                self._append(WORKER_LOST)

    # The text side: between two deltas, synchronous.

    def restart(self) -> None:
        """Hear another text from its beginning: what is not out is not said, indexes go on."""
        del self.units[self.next_index :]
        self._made.clear()
        self._heard_at: float | None = None
        self._splitter = SentenceSplitter(self.spec.language)
        self._planner = UnitPlanner(self._say, lambda start, end: self._draft.text[start:end])

    def hear(self, text: str) -> None:
        """Take the next piece of text; its completed sentences are in the log when this returns."""
        if self._is_over:
            return
        if self._heard_at is None:
            self._heard_at = self._clock()
        with self._contained():
            for sentence in (sentences := self._splitter.push(text)):
                self._complete(sentence)
            if sentences or not self.units:
                self._changed.set()

    def complete_text(self) -> None:
        """Close the last sentence: the text has ended as it should."""
        if self._is_over:
            return
        with self._contained():
            for sentence in self._splitter.flush():
                self._complete(sentence)
        self._is_text_complete = True
        self._changed.set()

    # Who listens.

    def reader_joined(self) -> None:
        """Count a reader."""
        self.audience.joined()
        self._changed.set()

    def reader_left(self) -> None:
        """Count a reader out."""
        self.audience.left(self._clock())
        self._changed.set()

    def played(self, *, played_s: float, buffered_s: float) -> None:
        """Note a page's report."""
        self.audience.reported(self._clock(), played_s=played_s, buffered_s=buffered_s)
        self._changed.set()

    def hurry(self) -> None:
        """Make what is left at once, whoever listens how far: time is short."""
        self._is_hurried = True
        self._changed.set()

    def cut(self) -> None:
        """End it now: calls are cancelled, and nothing more is appended."""
        self._is_over = True
        self._scope.cancel()

    def all_units(self, text: str) -> tuple[SpokenUnit, ...]:
        """Return what the answer says, from which audio is made again: also what was not told.

        Ask once it is over, however it ended: what was told keeps its index.

        Args:
            text: The answer as it is kept. Where a cancel made it shorter than what was written,
                of the rest nothing is said but what was told.
        """
        with self._contained():
            if len(text) == self._draft.length:
                for index, sentence in enumerate(self._splitter.flush(), self.sentence_count):
                    self._planner.add(index, sentence)
            while self._planned(self._planner.next(joined=False)):
                pass
        untold = (unit for unit in self.units[self.next_index :] if self._is_within(unit, text))
        return (*self.units[: self.next_index], *untold)

    # The engine side.

    async def run(self) -> None:
        """Make and deliver, until all was said, or it was cut or given up. Never raises."""
        try:
            with self._contained(), self._scope:
                await self._make_all()
        finally:
            self._ended.set()

    async def finish(self) -> None:
        """Wait until all that was heard is out; what is not within the limits is given up.

        Never raises, and returns a moment after `timeout_s` at the latest.
        """
        since = self._clock()
        while not self._ended.is_set():
            if not self._is_over:
                with self._contained():
                    self._keep_limits(self._clock() - since)
            with anyio.move_on_after(CHECK_EVERY_S):
                await self._ended.wait()

    def _keep_limits(self, waited_s: float) -> None:
        if waited_s >= self._limits.timeout_s:
            self._give_up(TIMED_OUT)
        elif self.audience.absent_s(self._clock()) >= self._limits.idle_s:
            self._give_up(NOT_REQUESTED)
        elif waited_s >= self._limits.timeout_s / 2 and not self._is_hurried:
            self.hurry()

    async def _make_all(self) -> None:
        async with anyio.create_task_group() as calls:
            while True:
                await self._slots.acquire()
                unit = await self._next_unit()
                if unit is None:
                    return
                calls.start_soon(self._make, len(self.units) - 1, unit)

    async def _next_unit(self) -> SpokenUnit | None:
        """Wait for something to say and somebody to hear it; None once all was said."""
        while True:
            self._changed = anyio.Event()  # what happens from here on is not missed: no await
            wait_s = self._pause_s()
            if wait_s <= 0:
                unit = self._plan()
                if unit is not None:
                    return unit
                if self._is_text_complete:
                    return None
                wait_s = float("inf") if self.units or self._heard_at is None else EARLY_AFTER_S
            with anyio.move_on_after(wait_s):
                await self._changed.wait()

    def _pause_s(self) -> float:
        """Return how long to wait before more is made; 0: not at all."""
        now = self._clock()
        if not self.audience.is_listening(now):
            return float("inf")
        unplayed_s = self.audience.unplayed_s(now, self._out_s)
        if unplayed_s is None or self._is_hurried:
            return 0.0
        coming = sum(len(unit.text) for unit in self.units[self.next_index :])
        return unplayed_s + coming / CHARS_PER_S - self._limits.prefetch_s

    def _plan(self) -> SpokenUnit | None:
        now = self._clock()
        if not self._planner.is_begun:
            is_late = self._heard_at is not None and now - self._heard_at >= EARLY_AFTER_S
            early = self._planner.early(
                *self._splitter.pending(), is_late=is_late, index=self.sentence_count
            )
            return self._planned(early)
        unplayed_s = self.audience.unplayed_s(now, self._out_s)
        joined = unplayed_s is not None and unplayed_s >= JOIN_ABOVE_S
        return self._planned(self._planner.next(joined=joined))

    def _planned(self, unit: Unit | None) -> SpokenUnit | None:
        if unit is None:
            return None
        planned = SpokenUnit(unit.sentence, unit.text, self._language)
        self.units.append(planned)
        return planned

    async def _make(self, index: int, unit: SpokenUnit) -> None:
        utterance = Utterance(unit.text, unit.language, self.spec.voice)
        try:
            made: MadeAudio | str = await self._maker.make(utterance, first=index == 0)
        except SpeechError as error:
            made = error.code
        finally:
            self._slots.release()
        if index < len(self.units) and self.units[index] is unit:  # else it was withdrawn
            self._made[index] = made
            self._deliver()

    def _deliver(self) -> None:
        """Append what is next in order, as far as it is there."""
        while not self._is_over and (made := self._made.pop(self.next_index, None)) is not None:
            self._append(made)

    def _append(self, made: MadeAudio | str) -> None:
        index, sentence = self.next_index, self.units[self.next_index].sentence
        self.next_index += 1
        if isinstance(made, str):
            self._writer.append(SpeechFailed(index, sentence, made))
            self._metrics.unit_ended("none", made)
            return
        if self._out_s == 0:
            self._metrics.first_audio(self._clock() - self._received_at, made.engine)
        elif gap_s := self.audience.dry_s(self._clock(), self._out_s):
            self._metrics.audio_gap(gap_s)
        audio, audio_id = made.audio, f"{self.turn_id}.{index}"
        self._out_s += audio.duration_s
        chunk = SpeechChunk(
            index=index,
            sentence=sentence,
            media_type=audio.media_type,
            duration_s=round(audio.duration_s, 3),
            size_bytes=len(audio.data),
            audio_id=audio_id,
            url=f"/api/v1/speech/{audio_id}",
        )
        self._writer.append(chunk)
        self._metrics.unit_ended(made.engine, "spoken")

    def _give_up(self, code: str) -> None:
        """Tell of every unit that is not out, then nothing more."""
        while self._planned(self._planner.next(joined=False)):
            pass
        while self.next_index < len(self.units):
            self._append(self._made.pop(self.next_index, code))
        self.cut()

    @contextmanager
    def _contained(self) -> Iterator[None]:
        """Let a bug in here end the speech, and nothing else."""
        try:
            yield
        except Exception:
            log.exception("speech.crashed", turn_id=self.turn_id)
            self.cut()

    def _is_within(self, unit: SpokenUnit, text: str) -> bool:
        if len(text) == self._draft.length:
            return True
        ends = self._sentence_ends[unit.sentence : unit.sentence + 1]  # none: it is still written
        return bool(ends) and ends[0] <= len(text)

    def _complete(self, sentence: Sentence) -> None:
        index = self.sentence_count
        self.sentence_count += 1
        self._sentence_ends.append(sentence.end)
        self._planner.add(index, sentence)
        self._writer.append(
            SentenceCompleted(index, sentence.text, sentence.kind, sentence.start, sentence.end)
        )

    def _say(self, kind: SentenceKind, text: str) -> str:
        if self._spoken is None:  # the language is chosen once, by what there is then
            self._language = self._language or guess_language(self._draft.text)
            self._spoken = SpokenText(self._language)
        return self._spoken.say(kind, text)
