"""The speech of many turns, each with its own luck: latency, errors, readers, cancels. Seeded.

Time is virtual, so that minutes of speech take milliseconds. `make acceptance` runs 10,000.
"""

import random
from dataclasses import dataclass, field

import anyio

from metrics.turns import TurnMetrics
from streaming.cursor import START
from streaming.draft import Draft
from streaming.event_log.base import EventWriter
from streaming.event_log.memory import MemoryEventLog
from streaming.events import TextDelta, TurnInterrupted, UsageData
from streaming.speech.base import EngineName, Utterance
from streaming.speech.errors import SpeechRefusedError, SpeechUnavailableError
from streaming.speech.turn_speech import SpeechLimits, SpeechSpec, TurnSpeech
from tests.streaming.harness import Told, a_studio, follow
from tests.support.speakers import HANGS, ScriptedSpeaker, Step
from tests.support.virtual_time import run_in_virtual_time

LIMITS = SpeechLimits()
CANCEL_S = 0.05
END = TurnInterrupted("msg", True, "", UsageData(None, None, "unknown"), "over")


def a_word(number: int) -> str:
    """Return a word of letters that no other number has."""
    letters = ""
    while True:
        number, place = divmod(number, 20)
        letters += "bcdfghjklmnpqrstvwxz"[place] + "aeiou"[place % 5]
        if not number:
            return letters


def an_answer(luck: random.Random) -> str:
    """Return some paragraphs, with lists and code between; every word of them is met once."""
    words = iter(range(400, 100_000))
    blocks: list[str] = []
    for _ in range(luck.randint(1, 6)):
        shape = luck.random()
        sentences = [
            " ".join(a_word(next(words)) for _ in range(luck.choice((2, 5, 9, 30)))).capitalize()
            for _ in range(luck.randint(1, 5))
        ]
        if shape < 0.15:
            blocks.append("```python\nprint(1)\n```")
        elif shape < 0.3:
            blocks.append("\n".join(f"- {sentence}" for sentence in sentences))
        else:
            mark = luck.choice((".", "!", ", indeed."))
            blocks.append(" ".join(f"{sentence}{mark}" for sentence in sentences))
    return "\n\n".join(blocks)


def an_engine(name: EngineName, seed: int, *, trouble: float) -> ScriptedSpeaker:
    """Return an engine with latency, and a share of calls in trouble."""

    def step(number: int, utterance: Utterance) -> Step:
        luck = random.Random(f"{seed} {number} {utterance.text}")  # noqa: S311
        latency_s = luck.lognormvariate(-1, 0.8)
        if luck.random() >= trouble:
            return latency_s
        return luck.choice(
            (
                HANGS,
                SpeechRefusedError("no"),
                SpeechUnavailableError("busy"),
                (latency_s, SpeechUnavailableError("broke off")),
            )
        )

    return ScriptedSpeaker(name, step_of=step)


@dataclass
class Run:
    """One turn's speech, from a seed, and what its log says afterwards."""

    seed: int
    luck: random.Random = field(init=False)
    text: str = ""
    cut_at: int | None = None
    finished_in_s: float = 0.0

    def __post_init__(self) -> None:
        self.luck = random.Random(self.seed)  # noqa: S311
        self.text = an_answer(self.luck)
        self.engines = [an_engine("google", self.seed, trouble=self.luck.choice((0, 0.1, 0.5)))]
        if self.luck.random() < 0.5:
            self.engines.append(an_engine("espeak", self.seed, trouble=0.05))

    async def play(self) -> list[Told]:
        """Write the text and let it be spoken; return the log."""
        log = MemoryEventLog(replay_window_s=60, max_bytes=1 << 30, clock=anyio.current_time)
        self.writer = log.create("turn_1")
        self.draft = Draft()
        studio = a_studio(self.engines, TurnMetrics(), LIMITS)
        self.speech = TurnSpeech(
            "turn_1",
            SpeechSpec(language="en"),
            studio,
            writer=self.writer,
            draft=self.draft,
            received_at=anyio.current_time(),
        )
        with anyio.fail_after(1000):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.speech.run)
                async with anyio.create_task_group() as others:
                    others.start_soon(self._listen)
                    others.start_soon(self._cut)
                    await self._write()
                    began = anyio.current_time()
                    await self.speech.finish()
                    self.finished_in_s = anyio.current_time() - began
                    others.cancel_scope.cancel()
        said_until = self.writer.cursor.seq
        await anyio.sleep(100)  # whatever is left over would speak now
        assert self.writer.cursor.seq == said_until
        _end(self.writer)
        return await follow(log, "turn_1", START)

    async def _write(self) -> None:
        pace_s = self.luck.choice((0.0, 0.01, 0.025, 0.2))
        at = 0
        while at < len(self.text) and self.cut_at is None:
            await anyio.sleep(pace_s * self.luck.random() * 2)
            piece = self.text[at : at + self.luck.randint(1, 12)]
            at += len(piece)
            self.draft.add(piece, self.writer.append(TextDelta(piece)))
            self.speech.hear(piece)
        if self.cut_at is None:
            self.speech.complete_text()

    async def _listen(self) -> None:
        reports = self.luck.random() < 0.5
        for _ in range(self.luck.choice((1, 1, 1, 2, 5))):
            await anyio.sleep(self.luck.random())
            self.speech.reader_joined()
            for _ in range(self.luck.choice((1, 5, 1000))):
                await anyio.sleep(2)
                if reports:
                    played_s = anyio.current_time()
                    self.speech.played(played_s=played_s, buffered_s=self.luck.random() * 20)
            self.speech.reader_left()
            await anyio.sleep(self.luck.choice((0.1, 5, 50)))

    async def _cut(self) -> None:
        if self.luck.random() < 0.3:
            await anyio.sleep(self.luck.random() * self.luck.choice((1, 10, 60)))
            self.cut_at = self.writer.cursor.seq
            self.speech.cut()
            await anyio.sleep(CANCEL_S)
            assert not any(engine.running for engine in self.engines)


def _end(writer: EventWriter) -> None:
    writer.append(END)
    writer.close()


def check(run: Run, told: list[Told]) -> None:
    """Hold a run to what is promised of every turn."""
    spoken = [event for event in told if event.name.startswith("speech.")]
    assert [event.data["index"] for event in spoken] == list(range(len(spoken)))
    for event in spoken:
        unit = run.speech.units[event.data["index"]]
        assert event.data["sentence"] == unit.sentence
        if event.name == "speech.chunk":  # its own audio, not a neighbour's
            assert event.data["duration_s"] == round(len(unit.text) / 15, 3)
    sentences = [event.data for event in told if event.name == "sentence.completed"]
    assert [sentence["index"] for sentence in sentences] == list(range(len(sentences)))
    for sentence in sentences:
        assert run.draft.text[sentence["start"] : sentence["end"]] == sentence["text"]
    assert run.finished_in_s < LIMITS.timeout_s + 1
    assert not any(engine.running for engine in run.engines)
    assert "".join(e.data["text"] for e in told if e.name == "text.delta") == run.draft.text
    if run.cut_at is None:
        assert run.draft.text == run.text
        assert len(spoken) == len(run.speech.units)
        assert _words(" ".join(unit.text for unit in run.speech.units)) == _words(run.text)
    else:
        late = [event for event in spoken if event.cursor.seq > run.cut_at]
        assert not late


def _words(text: str) -> list[str]:
    """Return the words that only the text itself has, in order."""
    cut = "".join(char if char.isalpha() else " " for char in text.lower()).split()
    placeholders = {"code", "block", "python", "print", "indeed"}
    return [word for word in cut if word not in placeholders]


def test_every_unit_is_told_once_and_in_order_whatever_happens(runs: int) -> None:
    for seed in range(runs):
        run = Run(seed)
        try:
            check(run, run_in_virtual_time(run.play))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
