"""Turns that are spoken, in the whole engine: real log, real store, real runner."""

from pathlib import Path

import anyio
import pytest

from streaming.cursor import START, Cursor
from streaming.errors import SourceRefusedError
from streaming.speech.errors import SpeechRefusedError, SpeechUnavailableError
from streaming.speech.turn_speech import NOT_REQUESTED, TIMED_OUT, SpeechLimits, SpeechSpec
from streaming.turn import Cancelled, Failed, Interrupted, LiveTurn, Outcome
from tests.history.factories import a_turn
from tests.streaming.harness import Stage, Told, on_stage, opened_history, spec_of
from tests.support.sources import STOP, ScriptedTokenSource, a_chain
from tests.support.speakers import HANGS, ScriptedSpeaker, audio_of

ENGLISH = SpeechSpec(language="en")
SENTENCES = ["The river was quiet. ", "Nobody was there. ", "Then it rained."]


def spoken(events: list[Told]) -> list[str]:
    """Return what came of each unit: `spoken`, or the code of its failure."""
    units = [event for event in events if event.name.startswith("speech.")]
    assert [event.data["index"] for event in units] == list(range(len(units)))
    return [event.data.get("code", "spoken") for event in units]


async def begun(stage: Stage, *, readers: int = 1) -> LiveTurn:
    """Start a spoken turn that is read."""
    turn = await stage.start(speech=ENGLISH)
    for _ in range(readers):
        stage.runner.readership.joined(turn.spec.turn_id)
    return turn


async def until_told(stage: Stage, turn: LiveTurn, name: str) -> None:
    """Wait until the log of a turn has an event of this name."""
    mark, frames = f"\nevent: {name}\n".encode(), b""
    reader = stage.log.attach(turn.spec.turn_id, START)
    with anyio.fail_after(10):
        while mark not in frames:
            await reader.wait()
            frames += reader.take(1 << 20)
    reader.close()


async def test_each_sentence_is_told_and_spoken(tmp_path: Path) -> None:
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[ScriptedSpeaker("espeak")]) as stage:
        turn = await begun(stage)
        events = await stage.ended(turn)
        record = await stage.record(turn)

    told = [event.data["text"] for event in events if event.name == "sentence.completed"]
    assert told == [sentence.strip() for sentence in SENTENCES]
    assert spoken(events) == ["spoken"] * 3
    assert [unit.text for unit in record.speech] == told
    assert {unit.language for unit in record.speech} == {"en"}
    assert events[-1].name == "turn.completed"


async def test_a_turn_that_is_not_spoken_has_neither_sentences_nor_audio(tmp_path: Path) -> None:
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[ScriptedSpeaker("espeak")]) as stage:
        turn = await stage.start()
        events = await stage.ended(turn)

    assert turn.speech is None
    assert {event.name for event in events} == {
        "turn.started",
        "text.delta",
        "text.done",
        "turn.completed",
    }


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (SpeechRefusedError("no"), "speech_refused"),
        (SpeechUnavailableError("down"), "speech_unavailable"),
    ],
)
async def test_an_engine_that_fails_leaves_the_text_alone(
    tmp_path: Path, step: Exception, code: str
) -> None:
    source = ScriptedTokenSource([*SENTENCES, STOP])
    engine = ScriptedSpeaker("google", [step])  # type: ignore[list-item]  # one of its steps
    async with on_stage(tmp_path, source, speakers=[engine]) as stage:
        events = await stage.ended(await begun(stage))

    assert spoken(events) == [code] * 3
    assert events[-1].name == "turn.completed"


async def test_without_an_engine_each_unit_says_so(tmp_path: Path) -> None:
    async with on_stage(tmp_path, ScriptedTokenSource([*SENTENCES, STOP])) as stage:
        events = await stage.ended(await begun(stage))

    assert spoken(events) == ["speech_off"] * 3


async def test_text_is_done_and_the_conversation_free_while_speech_goes_on(tmp_path: Path) -> None:
    gate = anyio.Event()
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[ScriptedSpeaker("google", [gate])]) as stage:
        turn = await begun(stage)
        await until_told(stage, turn, "text.done")
        conversation = await stage.history.conversations.get(
            turn.spec.owner_id, turn.spec.conversation_id
        )
        was_live = stage.runner.find(turn.spec.turn_id) is turn
        gate.set()
        events = await stage.ended(turn)

    assert conversation.active_turn_id is None
    assert was_live
    assert spoken(events) == ["spoken"] * 3


async def test_the_next_turn_cuts_the_speech_of_the_last(tmp_path: Path) -> None:
    engine = ScriptedSpeaker("google", [0.0, HANGS])
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[engine]) as stage:
        turn = await begun(stage)
        await until_told(stage, turn, "text.done")
        await engine.until_asked(2)
        following = a_turn(conversation_id=turn.spec.conversation_id)
        await stage.history.turns.begin(following)
        second = stage.runner.start(spec_of(following))
        with anyio.fail_after(10):
            await turn.ended.wait()
        events = await stage.ended(turn)
        await stage.ended(second)

    assert events[-1].name == "turn.completed"
    assert spoken(events) == ["spoken"]
    assert engine.running == 0


async def test_a_cancel_after_the_text_ends_only_the_speech(tmp_path: Path) -> None:
    engine = ScriptedSpeaker("google", [HANGS])
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[engine]) as stage:
        turn = await begun(stage)
        await until_told(stage, turn, "text.done")
        await stage.runner.cancel(turn.spec.turn_id, Cancelled("user"), wait_s=10)
        events = await stage.ended(turn)

    assert events[-1].name == "turn.completed"
    assert spoken(events) == []
    assert engine.running == 0


async def test_a_cancel_in_the_text_ends_the_speech_with_it(tmp_path: Path) -> None:
    engine = ScriptedSpeaker("google", [HANGS])
    source = ScriptedTokenSource([*SENTENCES, anyio.Event()])
    async with on_stage(tmp_path, source, speakers=[engine]) as stage:
        turn = await begun(stage)
        await engine.until_asked()
        await stage.runner.cancel(turn.spec.turn_id, Cancelled("user"), wait_s=10)
        events = await stage.ended(turn)

    assert events[-1].name == "turn.cancelled"
    assert spoken(events) == []
    assert engine.running == 0


async def test_an_answer_that_is_silenced_can_be_heard_to_its_end_later(tmp_path: Path) -> None:
    engine = ScriptedSpeaker("google", [0.0, HANGS])
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[engine]) as stage:
        turn = await begun(stage)
        assert turn.speech is not None
        turn.speech.played(played_s=0, buffered_s=0)
        await until_told(stage, turn, "text.done")
        await stage.runner.cancel(turn.spec.turn_id, Cancelled("user"), wait_s=10)
        await stage.ended(turn)
        record = await stage.record(turn)

    assert [unit.text for unit in record.speech] == [sentence.strip() for sentence in SENTENCES]


@pytest.mark.parametrize("cause", [Cancelled("user"), Failed("upstream_stalled", "-", True)])
async def test_what_was_told_keeps_its_index_however_the_turn_ends(
    tmp_path: Path, cause: Outcome
) -> None:
    clause, rest = "On the morning of that long cold day,", "it rained."
    gate = anyio.Event()
    source = ScriptedTokenSource([f"{clause} ", gate, f"{rest} The river r", anyio.Event()])
    async with on_stage(tmp_path, source, speakers=[ScriptedSpeaker("espeak")]) as stage:
        turn = await begun(stage)
        await until_told(stage, turn, "speech.chunk")  # of a sentence that would be one unit
        gate.set()
        await until_told(stage, turn, "sentence.completed")
        turn.stop(cause)
        await stage.ended(turn)
        record = await stage.record(turn)

    assert [unit.text for unit in record.speech] == [clause, rest, "The river r."]


async def test_of_an_answer_that_was_cut_back_no_more_is_said_than_is_kept(tmp_path: Path) -> None:
    engine = ScriptedSpeaker("google", [HANGS])
    source = ScriptedTokenSource([*SENTENCES, anyio.Event()])
    async with on_stage(tmp_path, source, speakers=[engine]) as stage:
        turn = await begun(stage)
        await engine.until_asked(2)
        seen = Cancelled("user", seen=Cursor(1, 2))  # the first delta
        await stage.runner.cancel(turn.spec.turn_id, seen, wait_s=10)
        await stage.ended(turn)
        record = await stage.record(turn)

    assert record.text == SENTENCES[0]
    assert [unit.text for unit in record.speech] == [SENTENCES[0].strip()]


async def test_speech_that_takes_too_long_is_given_up_and_told(tmp_path: Path) -> None:
    engine = ScriptedSpeaker("google", [0.0, HANGS])
    source = ScriptedTokenSource([*SENTENCES, STOP])
    limits = SpeechLimits(timeout_s=0.3)
    async with on_stage(tmp_path, source, speakers=[engine], speech_limits=limits) as stage:
        events = await stage.ended(await begun(stage))

    assert spoken(events) == ["spoken", TIMED_OUT, TIMED_OUT]
    assert events[-1].name == "turn.completed"


async def test_nothing_is_made_for_nobody(tmp_path: Path) -> None:
    engine = ScriptedSpeaker("google")
    source = ScriptedTokenSource([*SENTENCES, STOP])
    limits = SpeechLimits(idle_s=0.3)
    async with on_stage(tmp_path, source, speakers=[engine], speech_limits=limits) as stage:
        events = await stage.ended(await begun(stage, readers=0))

    assert spoken(events) == [NOT_REQUESTED] * 3
    assert engine.asked == []


async def test_audio_is_made_once_a_reader_comes_late(tmp_path: Path) -> None:
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[ScriptedSpeaker("espeak")]) as stage:
        turn = await begun(stage, readers=0)
        await until_told(stage, turn, "text.done")
        stage.runner.readership.joined(turn.spec.turn_id)
        events = await stage.ended(turn)

    assert spoken(events) == ["spoken"] * 3


async def test_an_end_that_is_stored_during_the_speech_is_told_as_stored(tmp_path: Path) -> None:
    engine, gate = ScriptedSpeaker("google", [HANGS]), anyio.Event()
    source = ScriptedTokenSource([*SENTENCES, gate, STOP])
    async with on_stage(tmp_path, source, speakers=[engine]) as stage:
        turn = await begun(stage)
        await engine.until_asked()
        stage.history.cut()
        gate.set()
        await until_told(stage, turn, "text.done")
        stage.history.mend()
        await stage.keeper.retry_ends()
        await stage.runner.cancel(turn.spec.turn_id, Cancelled("user"), wait_s=10)
        events = await stage.ended(turn)

    (done,) = [event for event in events if event.name == "text.done"]
    assert done.data["stored"] is False
    assert events[-1].data["stored"] is True


async def test_a_seal_that_history_misses_is_told_later(tmp_path: Path) -> None:
    gate = anyio.Event()
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[ScriptedSpeaker("google", [gate])]) as stage:
        turn = await begun(stage)
        await until_told(stage, turn, "text.done")
        stage.history.cut()
        gate.set()
        with anyio.fail_after(10):
            await turn.ended.wait()
        before = await stage.record(turn)
        stage.history.mend()
        await stage.keeper.retry_ends()
        await stage.ended(turn)  # which holds the record to the log

    assert before.speech == ()


async def test_a_speaking_turn_is_not_fenced_by_its_own_end(tmp_path: Path) -> None:
    gate = anyio.Event()
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[ScriptedSpeaker("google", [gate])]) as stage:
        turn = await begun(stage)
        await until_told(stage, turn, "text.done")
        turn.checkpointed_at = -1e9  # long due a sign of life
        stage.history.turns.attempted = anyio.Event()
        await anyio.sleep(1.0)  # one round of checkpoints
        gate.set()
        events = await stage.ended(turn)

    assert spoken(events) == ["spoken"] * 3


async def test_draining_makes_what_is_left_at_once(tmp_path: Path) -> None:
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[ScriptedSpeaker("espeak")]) as stage:
        turn = await begun(stage)
        assert turn.speech is not None
        turn.speech.played(played_s=0, buffered_s=0)
        with anyio.fail_after(10):
            await stage.runner.drain(10)
        events = await stage.ended(turn)

    assert spoken(events) == ["spoken"] * 3


async def test_what_is_left_when_the_drain_is_over_is_cut(tmp_path: Path) -> None:
    engine = ScriptedSpeaker("google", [HANGS])
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[engine]) as stage:
        turn = await begun(stage)
        await until_told(stage, turn, "text.done")
        with anyio.fail_after(10):
            await stage.runner.drain(0.1)
        events = await stage.ended(turn)

    assert events[-1].name == "turn.completed"
    assert spoken(events) == []


async def test_a_bug_in_speech_does_not_touch_the_text(tmp_path: Path) -> None:
    source = ScriptedTokenSource([*SENTENCES, STOP])
    async with on_stage(tmp_path, source, speakers=[ScriptedSpeaker("espeak")]) as stage:
        turn = await begun(stage)
        assert turn.speech is not None
        turn.speech._splitter = None  # type: ignore[assignment]  # a bug
        events = await stage.ended(turn)

    assert events[-1].name == "turn.completed"
    assert spoken(events) == []


async def test_a_turn_interrupted_in_its_text_says_nothing_more(tmp_path: Path) -> None:
    engine = ScriptedSpeaker("google", [HANGS])
    source = ScriptedTokenSource([*SENTENCES, anyio.Event()])
    async with opened_history(tmp_path) as history:
        stage = Stage(history, source, speakers=[engine])
        async with stage.runner.running():
            turn = await begun(stage)
            await engine.until_asked()
            turn.stop(Interrupted("shutdown"))
            events = await stage.ended(turn)

    assert events[-1].name == "turn.interrupted"
    assert spoken(events) == []


async def test_an_answer_that_is_begun_anew_is_spoken_anew(tmp_path: Path) -> None:
    said, written, gate = anyio.Event(), anyio.Event(), anyio.Event()
    primary = ScriptedTokenSource(
        [
            "One old sentence. Another ",
            said,
            "old sentence. Half of ",
            written,
            SourceRefusedError("no"),
        ]
    )
    anew = ScriptedTokenSource(["Everything is new here. ", "And this is all.", STOP])
    engine = ScriptedSpeaker(
        "espeak", step_of=lambda _, asked: gate if "Another" in asked.text else 0.0
    )
    async with on_stage(
        tmp_path, primary, sources=a_chain(primary, anew), speakers=[engine]
    ) as stage:
        turn = await stage.start(speech=ENGLISH, on_break="restart")
        stage.runner.readership.joined(turn.spec.turn_id)
        await until_told(stage, turn, "speech.chunk")
        said.set()
        await engine.until_asked(2)
        written.set()
        await until_told(stage, turn, "turn.reset")
        gate.set()
        events = await stage.follow(turn)
        with anyio.fail_after(10):
            await turn.ended.wait()
        record = await stage.record(turn)

    place = next(n for n, event in enumerate(events) if event.name == "turn.reset")
    assert (events[place].data["sentence"], events[place].data["speech"]) == (2, 1)
    sentences = [event.data for event in events[place:] if event.name == "sentence.completed"]
    assert [(each["index"], each["text"]) for each in sentences] == [
        (2, "Everything is new here."),
        (3, "And this is all."),
    ]
    assert [record.text[each["start"] : each["end"]] for each in sentences] == [
        each["text"] for each in sentences
    ]
    chunks = [event.data for event in events if event.name == "speech.chunk"]
    assert (spoken(events), [each["sentence"] for each in chunks]) == (["spoken"] * 3, [0, 2, 3])
    assert [each["duration_s"] for each in chunks] == [
        round(audio_of("espeak", unit.text).duration_s, 3) for unit in record.speech
    ]
    assert [unit.text for unit in record.speech] == [
        "One old sentence.",
        "Everything is new here.",
        "And this is all.",
    ]
