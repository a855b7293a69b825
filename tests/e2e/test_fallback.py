"""Two providers, real sockets: whatever the first one does, the reader gets one whole answer."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from httpx_sse import ServerSentEvent

from streaming.llm.chain import NOTICE
from tests.e2e.told import next_event
from tests.support.chat import data_of, log_of, running_chat
from tests.support.server import Server, running_server, text_of
from tests.support.simulator import Simulator, running_simulator

pytestmark = pytest.mark.long

FLOOR = 20
"""Further calls a minute that the retry budget grants however little there is to do."""


@dataclass
class Pair:
    """A server with a provider and another one behind it, which know the same answers."""

    server: Server
    primary: Simulator
    fallback: Simulator

    async def turn(
        self, message: str = "Hello", **body: object
    ) -> tuple[list[ServerSentEvent], dict[str, Any]]:
        """Run a turn; return what its page was told, and its state."""
        started = await self.server.start(message, **body)
        events = await self.server.all_events(started["turn_id"])
        return events, await self.server.state(started["turn_id"])

    async def check(self, events: list[ServerSentEvent], state: dict[str, Any]) -> str:
        """Hold an answer to be one text for all who see it, and return it."""
        path = f"/api/v1/conversations/{state['conversation_id']}/messages"
        messages = (await self.server.client.get(path)).json()["messages"]
        texts = {text_of(events), data_of(events[-1])["text"], state["text"], messages[-1]["text"]}
        assert texts == {text_of(events)}
        assert (events[-1].event, state["status"]) == ("turn.completed", "completed")
        return text_of(events)

    async def calls(self) -> tuple[int, int]:
        """Return how often each provider was asked."""
        return await _calls(self.primary), await _calls(self.fallback)

    async def model(self) -> dict[str, Any]:
        """Return what health tells of the models."""
        health: dict[str, Any] = (await self.server.client.get("/health")).json()
        model: dict[str, Any] = health["checks"]["model"]
        return model

    async def series(self, name: str, **labels: str) -> float:
        """Return a sample of the server's metrics; 0 where there is none."""
        return await _series(self.server, name, **labels)


async def _calls(simulator: Simulator) -> int:
    if simulator.process.returncode is not None:
        return 0
    calls: int = (await simulator.stats())["requests"]
    return calls


async def _series(server: Server, name: str, **labels: str) -> float:
    text = (await server.client.get("/metrics")).text
    wanted = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    sample = f"{name}{{{wanted}}}" if wanted else name
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


async def at_once(pair: Pair, turns: int) -> list[dict[str, Any]]:
    """Run turns at the same time; return their states."""
    states: list[dict[str, Any]] = []

    async def run(number: int) -> None:
        states.append((await pair.turn(f"Hello {number}"))[1])

    await pair.server.client.get("/api/v1/conversations")  # all of them are one guest's
    async with anyio.create_task_group() as tasks:
        for number in range(turns):
            tasks.start_soon(run, number)
    return states


@asynccontextmanager
async def a_pair(
    folder: Path, model: str, *, models: Mapping[str, str] | None = None, **settings: object
) -> AsyncGenerator[Pair, None]:
    """Run both providers, and a server that asks the first one for a model.

    Args:
        folder: Where the server's data and log go.
        model: The first provider's.
        models: Chatbots to have, by id: the first provider's model that each asks.
        settings: Of the server.
    """
    async with running_simulator() as fallback:
        defaults: dict[str, object] = {
            "openai_model": model,
            "openai_max_retries": 1,
            "fallback_base_url": fallback.base_url,
            "fallback_model": "sim",
            "connect_timeout_s": 1,
        }
        async with running_chat(folder, models=models, **{**defaults, **settings}) as chat:
            yield Pair(chat.server, chat.simulator, fallback)
            assert "Traceback" not in log_of(chat.server)


async def whole_answer(simulator: Simulator) -> str:
    """Return what a provider answers that nothing happens to."""
    body = {"model": "sim", "messages": [{"role": "user", "content": "Hello"}]}
    answer = await simulator.http.post("/v1/chat/completions", json=body)
    await simulator.reset()
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


FAULTS = {  # how often each provider is asked
    "sim": (1, 0),
    "fault:http-401": (1, 1),
    "fault:http-404": (1, 1),
    "fault:http-503": (2, 1),
    "fault:http-503:times=1": (2, 0),
    "fault:html": (2, 1),
    "fault:rate-limit:retry_after=3600": (1, 1),
    "fault:stall-headers": (1, 1),
    "fault:stall-first": (1, 1),
    "fault:cut:after=5": (2, 1),
    "fault:cut:after=5,times=1": (2, 0),
    "fault:reset:after=0": (2, 1),
    "fault:error-frame:after=9": (2, 1),
    "fault:bad-json:after=1": (2, 1),
    "fault:truncate:after=19": (2, 1),
    "fault:stall:after=7": (2, 1),
}


async def test_whatever_the_first_provider_does_the_answer_is_whole(tmp_path: Path) -> None:
    models = {f"bot-{place}": model for place, model in enumerate(FAULTS)}
    limits = {"first_token_timeout_s": 1, "inter_token_timeout_s": 0.5}
    async with a_pair(tmp_path, "sim", models=models, **limits) as pair:
        whole = await whole_answer(pair.fallback)
        for chatbot_id, model in models.items():
            await pair.turn("Well?")  # else a run of faults would open the breaker
            await pair.primary.reset()
            await pair.fallback.reset()

            with anyio.fail_after(15):
                events, state = await pair.turn(chatbot_id=chatbot_id)

            assert await pair.check(events, state) == whole, model
            assert await pair.calls() == FAULTS[model], model
            asked = [stream["model"] for stream in (await pair.fallback.stats())["streams"]]
            assert asked == ["sim"] * FAULTS[model][1]  # never the chatbot's own


@pytest.mark.fault(41)
async def test_a_provider_that_is_not_there_is_replaced_from_the_first_token(
    tmp_path: Path,
) -> None:
    async with a_pair(tmp_path, "sim") as pair:
        whole = await whole_answer(pair.fallback)
        pair.primary.process.kill()
        await pair.primary.process.wait()

        events, state = await pair.turn()

        assert await pair.check(events, state) == whole
        assert await pair.calls() == (0, 1)
        assert state["usage"]["source"] == "exact"
        primary, fallback = (await pair.model())["sources"]
        assert (primary["status"], primary["error"]) == ("degraded", "upstream_unavailable")
        assert (fallback["status"], fallback["breaker"]) == ("healthy", "closed")
        assert await pair.series("chat_turns_continued_total", cause="fallback") == 0


@pytest.mark.fault(32)
async def test_a_provider_that_dies_in_mid_answer_is_replaced_within_it(tmp_path: Path) -> None:
    async with a_pair(tmp_path, "sim:tokens=20,rate=20") as pair:
        whole = await whole_answer(pair.fallback)
        started = await pair.server.start()
        async with aclosing(pair.server.events(started["turn_id"])) as stream:
            seen = [await next_event(stream) for _ in range(5)]
            pair.primary.process.kill()
            events = seen + [event async for event in stream]

        state = await pair.server.state(started["turn_id"])
        assert await pair.check(events, state) == whole
        assert [event.event for event in events].count("turn.reset") == 0
        assert await pair.calls() == (0, 1)
        assert (await pair.fallback.stats())["streams"][0]["continued"]
        assert state["usage"]["source"] == "estimated"
        assert await pair.series("chat_turns_continued_total", cause="fallback") == 1


@pytest.mark.fault(40)
async def test_a_provider_that_keeps_failing_is_left_alone_and_found_again(tmp_path: Path) -> None:
    async with a_pair(tmp_path, "fault:http-503:times=5", openai_max_retries=0) as pair:
        for _ in range(8):
            events, state = await pair.turn()
            await pair.check(events, state)
        assert await pair.calls() == (5, 8)
        primary, fallback = (await pair.model())["sources"]
        assert (primary["status"], primary["breaker"]) == ("unhealthy", "open")
        assert fallback["status"] == "healthy"
        assert await pair.series("chat_source_breaker_open", source="primary") == 1
        assert await pair.series("chat_source_breaker_open", source="fallback") == 0
        assert (await pair.model())["status"] == "degraded"
        assert (await pair.server.client.get("/health")).json()["status"] == "healthy"

        with anyio.fail_after(20):
            while (await pair.calls())[0] == 5:
                await pair.turn()
                await anyio.sleep(0.2)

        before = await pair.calls()
        await pair.turn()
        assert await pair.calls() == (before[0] + 1, before[1])
        model = await pair.model()
        assert (model["status"], model["sources"][0]["breaker"]) == ("healthy", "closed")
        assert await pair.series("chat_source_breaker_open", source="primary") == 0


async def test_where_both_fail_the_last_error_is_told_and_each_was_asked_once(
    tmp_path: Path,
) -> None:
    async with a_pair(tmp_path, "fault:http-401", fallback_model="fault:http-500") as pair:
        events, state = await pair.turn()

        assert data_of(events[-1])["code"] == state["error"]["code"] == "upstream_unavailable"
        assert await pair.calls() == (1, 2)  # the second one's own retry


async def test_a_filtered_answer_is_asked_of_nobody_else(tmp_path: Path) -> None:
    async with a_pair(tmp_path, "fault:content-filter") as pair:
        events, _ = await pair.turn()

        assert data_of(events[-1])["code"] == "upstream_filtered"
        assert await pair.calls() == (1, 0)


async def test_the_offline_model_stands_in_where_it_may_and_says_so(tmp_path: Path) -> None:
    async with a_pair(
        tmp_path,
        "fault:http-500",
        fallback_model="fault:http-500",
        openai_max_retries=0,
        offline_last_resort=True,
    ) as pair:
        events, state = await pair.turn("What is a turn?")

        text = await pair.check(events, state)
        assert text.startswith(f"{NOTICE}\n\n")
        assert len(text) > len(NOTICE) + 20
        assert await pair.series("chat_source_calls_total", outcome="finished", source="offline")
        assert [each["kind"] for each in (await pair.model())["sources"]] == [
            "openai", "openai", "offline",
        ]  # fmt: skip


@pytest.mark.fault(40)
async def test_a_storm_of_failing_turns_makes_few_further_calls(tmp_path: Path) -> None:
    turns = 100
    async with a_pair(
        tmp_path, "fault:cut:after=3", fallback_model="fault:cut:after=2", openai_max_retries=2
    ) as pair:
        with anyio.fail_after(60):
            states = await at_once(pair, turns)

        primary, fallback = await pair.calls()
        assert {state["status"] for state in states} == {"failed"}
        assert primary <= turns + FLOOR + turns // 10
        assert fallback <= turns + FLOOR + turns // 10
        further = primary + fallback - 2 * turns
        assert further <= FLOOR + turns // 10
        retried = await pair.series("chat_source_retries_total")
        went_on = await pair.series("chat_turns_continued_total", cause="upstream")
        assert 0 < retried + went_on <= FLOOR + turns // 10


async def test_answers_that_keep_breaking_off_are_gone_on_with_within_the_budget(
    tmp_path: Path,
) -> None:
    turns = 40  # each begins well, so that no breaker opens
    async with running_chat(tmp_path, openai_model="fault:cut:after=3") as chat:
        ends = [await chat.server.run_turn(f"Hello {number}") for number in range(turns)]

        assert {end["error"]["code"] for end in ends} == {"upstream_truncated"}
        assert all(end["text"] for end in ends)
        assert await _calls(chat.simulator) == turns + FLOOR + turns // 10
        refused = await _series(chat.server, "chat_retry_budget_exhausted_total")
        assert refused > 0
        assert await _series(chat.server, "chat_source_breaker_open", source="primary") == 0


async def test_a_provider_alone_in_a_storm_is_spared_once_it_is_known_to_be_down(
    tmp_path: Path,
) -> None:
    turns = 60
    async with running_chat(tmp_path, openai_model="fault:http-503", openai_max_retries=2) as chat:
        ends = [await chat.server.run_turn(f"Hello {number}") for number in range(turns)]

        assert {end["error"]["code"] for end in ends} == {"upstream_unavailable"}
        assert await _calls(chat.simulator) < turns / 2
        health = (await chat.server.client.get("/health")).json()
        assert health["checks"]["model"]["status"] == "unhealthy"
        assert await _series(chat.server, "chat_source_breaker_open", source="primary") == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"fallback_model": "sim"},
        {"fallback_base_url": "http://127.0.0.1:1/v1"},
        {"openai_api_key": "sk-x", "fallback_model": "sim"},
        {"openai_api_key": "sk-x", "fallback_base_url": "127.0.0.1:1"},
    ],
)
async def test_a_fallback_that_cannot_be_meant_is_refused_at_start(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    with pytest.raises(AssertionError, match="did not start"):
        async with running_server(tmp_path, **settings):
            pass
    line = (tmp_path / "server.log").read_text().strip()
    assert line.startswith("FALLBACK_")
    assert line.count("\n") == 0
