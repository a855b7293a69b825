"""One turn's speech: when it begins, how far it runs ahead, and how it ends. Virtual time."""

from collections.abc import Awaitable, Callable, Sequence

import anyio

from metrics.turns import TurnMetrics
from streaming.cursor import START
from streaming.draft import Draft
from streaming.event_log.memory import MemoryEventLog
from streaming.events import TextDelta, TurnInterrupted, UsageData
from streaming.speech.base import Speaker
from streaming.speech.turn_speech import SpeechLimits, SpeechSpec, TurnSpeech
from tests.streaming.harness import Told, a_studio, follow
from tests.support.speakers import HANGS, ScriptedSpeaker
from tests.support.virtual_time import run_in_virtual_time

LIMITS = SpeechLimits()
A_SENTENCE = "The river was quiet and nobody had been there since the morning came."
SENTENCE_S = len(A_SENTENCE) / 15
END = TurnInterrupted("msg", True, "", UsageData(None, None, "unknown"), "over")


class Scene:
    """A turn's speech while a test plays its model, its page and its user."""

    def __init__(self, speakers: Sequence[Speaker], *, language: str = "en") -> None:
        self._log = MemoryEventLog(replay_window_s=60, max_bytes=1 << 30, clock=anyio.current_time)
        self.writer = self._log.create("turn_1")
        self.draft = Draft()
        self.metrics = TurnMetrics()
        self.speech = TurnSpeech(
            "turn_1",
            SpeechSpec(language=language),
            a_studio(speakers, self.metrics, LIMITS),
            writer=self.writer,
            draft=self.draft,
            received_at=anyio.current_time(),
        )

    def write(self, text: str) -> None:
        """Write a delta, as the engine does."""
        self.draft.add(text, self.writer.append(TextDelta(text)))
        self.speech.hear(text)

    async def told(self) -> list[Told]:
        """End the log and return it."""
        self.writer.append(END)
        self.writer.close()
        return await follow(self._log, "turn_1", START)


def play(script: Callable[[Scene], Awaitable[None]], speakers: Sequence[Speaker]) -> list[Told]:
    """Run a scene to its end in virtual time; return what of its log is about speech."""

    async def main() -> list[Told]:
        scene = Scene(speakers)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scene.speech.run)
            await script(scene)
            scene.speech.cut()
        return [event for event in await scene.told() if event.name.startswith("speech.")]

    return run_in_virtual_time(main)


def test_the_first_clause_is_spoken_while_its_sentence_is_written() -> None:
    engine = ScriptedSpeaker("espeak")

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        scene.write("When the morning came over the hills, everybody began")
        await engine.until_asked()

    told = play(script, [engine])

    assert [utterance.text for utterance in engine.asked] == [
        "When the morning came over the hills,"
    ]
    assert told == []  # cut before it was out


def test_a_slow_first_sentence_is_begun_with_a_short_clause_in_time() -> None:
    engine = ScriptedSpeaker("espeak")

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        scene.write("As far as anybody knows, ")
        assert engine.asked == []
        await engine.until_asked()
        assert anyio.current_time() < 1

    play(script, [engine])

    assert engine.asked[0].text == "As far as anybody knows,"


def test_no_more_is_made_than_will_be_heard_soon() -> None:
    engine = ScriptedSpeaker("espeak")

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        scene.speech.played(played_s=0, buffered_s=0)
        for number in range(100):  # none is in the cache
            scene.write(f"Number {number}: {A_SENTENCE} ")
        await anyio.sleep(20)
        made_s = sum(len(utterance.text) for utterance in engine.asked) / 15
        longest_s = max(len(utterance.text) for utterance in engine.asked) / 15

        assert LIMITS.prefetch_s <= made_s <= LIMITS.prefetch_s + longest_s

        scene.speech.played(played_s=made_s, buffered_s=0)
        await anyio.sleep(20)

        assert sum(len(u.text) for u in engine.asked) / 15 >= made_s + LIMITS.prefetch_s

    play(script, [engine])


def test_without_reports_all_is_made_as_it_is_written() -> None:
    engine = ScriptedSpeaker("espeak")

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        for number in range(50):
            scene.write(f"Number {number}: {A_SENTENCE} ")
        scene.speech.complete_text()
        await scene.speech.finish()

    told = play(script, [engine])

    assert [event.name for event in told] == ["speech.chunk"] * 51  # the first is in two
    assert max(len(utterance.text) for utterance in engine.asked) < 2 * len(A_SENTENCE)


def test_short_sentences_are_joined_once_enough_is_out() -> None:
    engine = ScriptedSpeaker("espeak")

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        scene.write(f"{A_SENTENCE} {A_SENTENCE} ")
        await anyio.sleep(1)
        scene.speech.played(played_s=0, buffered_s=2 * SENTENCE_S)
        scene.write("One two three. Four five six. Seven eight nine. Ten eleven twelve. Now")
        await anyio.sleep(1)

    play(script, [engine])

    assert engine.asked[-1].text.startswith("One two three. Four five six. Seven eight nine.")


def test_short_sentences_are_not_joined_while_the_listener_waits() -> None:
    engine = ScriptedSpeaker("espeak")

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        scene.speech.played(played_s=0, buffered_s=0)
        scene.write("One two three. Four five six. Now")
        await anyio.sleep(1)

    play(script, [engine])

    assert [utterance.text for utterance in engine.asked] == ["One two three.", "Four five six."]


def test_what_is_left_is_made_at_once_half_way_to_the_limit() -> None:
    engine = ScriptedSpeaker("espeak")

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        scene.speech.played(played_s=0, buffered_s=0)
        for number in range(60):
            scene.write(f"Number {number}: {A_SENTENCE} ")
        scene.speech.complete_text()
        await scene.speech.finish()

        assert LIMITS.timeout_s / 2 <= anyio.current_time() < LIMITS.timeout_s

    told = play(script, [engine])

    assert {event.name for event in told} == {"speech.chunk"}


def test_two_calls_run_side_by_side_and_no_more() -> None:
    engine = ScriptedSpeaker("google", [1.0])

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        for number in range(9):
            scene.write(f"Number {number}: {A_SENTENCE} ")
        scene.speech.complete_text()
        await scene.speech.finish()

    play(script, [engine])

    assert engine.most_running == 2


def test_the_first_unit_has_the_shorter_deadline() -> None:
    engine = ScriptedSpeaker("google", [HANGS])

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        scene.write(f"{A_SENTENCE} {A_SENTENCE} ")
        scene.speech.complete_text()
        await anyio.sleep(7)  # between the two deadlines

        assert scene.speech.next_index == 1

    play(script, [engine])


def test_audio_that_is_made_at_the_moment_of_the_cut_is_not_told() -> None:
    gate = anyio.Event()
    engine = ScriptedSpeaker("google", [gate])

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        scene.write(f"{A_SENTENCE} ")
        scene.speech.complete_text()
        await engine.until_asked()
        await anyio.sleep(1)
        gate.set()
        scene.speech.cut()
        await anyio.sleep(1)

    assert play(script, [engine]) == []


def test_what_was_made_behind_a_stuck_unit_is_still_told_when_time_is_up() -> None:
    engine = ScriptedSpeaker("google", [HANGS, 0.0])

    async def script(scene: Scene) -> None:
        scene.speech.reader_joined()
        scene.write(f"{A_SENTENCE} Then it rained for a while. Now")
        await engine.until_asked(2)
        await anyio.sleep(1)
        scene.speech._give_up("speech_timeout")  # before the call's own deadline

    told = play(script, [engine])

    assert [event.name for event in told] == ["speech.failed", "speech.chunk"]


def test_the_voice_is_chosen_by_what_is_written() -> None:
    engine = ScriptedSpeaker("espeak")

    async def main() -> None:
        scene = Scene([engine], language="")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scene.speech.run)
            scene.speech.reader_joined()
            scene.write("Das ist nicht der Weg, den wir gestern gegangen sind. Und ")
            await engine.until_asked()
            scene.speech.cut()

    run_in_virtual_time(main)

    assert engine.asked[0].language == "de"


def test_first_audio_and_units_are_counted() -> None:
    engine = ScriptedSpeaker("espeak", [0.5])

    async def main() -> TurnMetrics:
        scene = Scene([engine])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scene.speech.run)
            scene.speech.reader_joined()
            scene.write(f"{A_SENTENCE} {A_SENTENCE}")
            scene.speech.complete_text()
            await scene.speech.finish()
        return scene.metrics

    speech = run_in_virtual_time(main).snapshot().speech

    assert speech.first_audio.count == 1
    assert speech.units["espeak"]["spoken"] == 2
