"""What operators are told of a turn's waits: where they come from, each of them once."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

from metrics.turns import TurnMetrics
from streaming.errors import SourceTruncatedError, SourceUnavailableError
from streaming.llm.base import Finish, Prompt
from tests.history.factories import a_first_turn
from tests.streaming.harness import Stage, opened_history, spec_of
from tests.support.sources import STOP, ScriptedTokenSource, a_chain

CONNECT_S = 0.04
WRITE_S = 0.03
PART = "chat_time_to_first_token_part_seconds"


class SlowSource(ScriptedTokenSource):
    """Takes a while to answer, and another to write."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        self.asked.append(prompt)
        await anyio.sleep(CONNECT_S)
        prompt.opened()
        await anyio.sleep(WRITE_S)
        yield "Hello"
        yield STOP


def samples(metrics: TurnMetrics, name: str) -> dict[str, float]:
    """Return the samples of a family's name by their only label's value."""
    text = metrics.exposition()[0].decode()
    found = (each for family in read_text(text) for each in family.samples)
    return {
        next(iter(each.labels.values()), ""): each.value
        for each in found
        if each.name == name and "le" not in each.labels
    }


async def test_the_parts_add_up_to_the_time_to_first_token(tmp_path: Path) -> None:
    async with opened_history(tmp_path) as history:
        stage = Stage(history, SlowSource([]))
        async with stage.runner.running():
            new_turn = a_first_turn(streaming=True)
            await history.turns.begin(new_turn)
            came_at = monotonic() - 1.0
            spec = replace(spec_of(new_turn), received_at=came_at, queued_s=0.25)
            turn = stage.runner.start(spec)
            await stage.ended(turn)

    parts = samples(stage.metrics, f"{PART}_sum")
    assert turn.ttft_s is not None
    assert parts["planning"] >= 1.0
    assert parts["connect"] >= CONNECT_S * 0.9
    assert parts["upstream"] >= WRITE_S * 0.9
    before_flush = parts["planning"] + parts["connect"] + parts["upstream"]
    assert before_flush == pytest.approx(turn.ttft_s)
    assert samples(stage.metrics, f"{PART}_count") == dict.fromkeys(parts, 1)
    snapshot = stage.metrics.snapshot()
    assert snapshot.queue_wait.mean_s == 0.25
    assert snapshot.ttft_parts["connect"].mean_s == pytest.approx(parts["connect"])


async def test_an_answer_that_is_not_streamed_has_nobody_to_be_written_to(tmp_path: Path) -> None:
    async with opened_history(tmp_path) as history:
        stage = Stage(history, SlowSource([]))
        async with stage.runner.running():
            await stage.ended(await stage.start(streaming=False))

    counts = samples(stage.metrics, f"{PART}_count")
    assert counts == {"planning": 1, "connect": 1, "upstream": 1, "flush": 0}
    assert stage.metrics.snapshot().queue_wait.count == 0


async def test_a_source_is_timed_until_it_has_begun_to_answer_or_failed(tmp_path: Path) -> None:
    metrics = TurnMetrics()
    down = ScriptedTokenSource([SourceUnavailableError("down")])
    async with opened_history(tmp_path) as history:
        sources = a_chain(down, SlowSource([]), metrics=metrics)
        stage = Stage(history, down, metrics=metrics, sources=sources)
        async with stage.runner.running():
            await stage.ended(await stage.start())

    model = metrics.snapshot().dependencies["model"]
    assert (model.duration.count, model.errors) == (2, 1)
    assert samples(metrics, "chat_dependency_errors_total")["model"] == 1


async def test_text_that_models_repeat_is_counted(tmp_path: Path) -> None:
    metrics = TurnMetrics()
    written = "The quick brown fox jumps over the lazy dog."
    broken = ScriptedTokenSource([written, SourceTruncatedError("cut")])
    going_on = ScriptedTokenSource([f"{written} And then", " it sleeps.", STOP])
    async with opened_history(tmp_path) as history:
        sources = a_chain(broken, going_on, metrics=metrics)
        stage = Stage(history, broken, metrics=metrics, sources=sources)
        async with stage.runner.running():
            first = await stage.start()
            events = await stage.ended(first)
            whole = ScriptedTokenSource(["Hello", STOP])
            plain = Stage(history, whole, metrics=metrics)
            async with plain.runner.running():
                await plain.ended(await plain.start())

    assert events[-1].data["text"] == f"{written} And then it sleeps."
    # The first provider is asked again before another one is, and repeats itself, too.
    assert samples(metrics, "chat_duplicates_dropped_total") == {"append": 0, "join": 2}
    assert metrics.snapshot().duplicates == {"join": 2}


async def test_whoever_keeps_a_prompt_keeps_no_turn(tmp_path: Path) -> None:
    source = SlowSource([])
    async with opened_history(tmp_path) as history:
        stage = Stage(history, source)
        async with stage.runner.running():
            turn = await stage.start()
            await stage.ended(turn)

    assert source.asked[0] == turn.spec.prompt
    source.asked[0].opened()  # late, and harmless
