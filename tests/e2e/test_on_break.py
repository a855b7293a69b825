"""What becomes of an answer that breaks off, as its chatbot says, over real sockets.

The three causes: the provider breaks off, another provider takes its place, the worker is lost.
"""

import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from httpx_sse import ServerSentEvent

from chatbots.model import OnBreak
from tests.chaos.cluster import SETTINGS
from tests.chaos.guests import Model, Turn
from tests.chaos.scene import WAIT_S, Scene, played
from tests.e2e.operators import Operator, operating
from tests.support.chat import data_of, log_of, running_chat
from tests.support.server import text_of
from tests.support.simulator import Simulator, running_simulator

pytestmark = pytest.mark.long

ONCE = "fault:cut:after=5,times=1"
TWICE = "fault:cut:after=5,times=2"
DOWN = "fault:http-503"
CHATBOTS = "/api/v1/chatbots"


@dataclass
class Table:
    """An operator beside a server, and the two providers that it asks."""

    operator: Operator
    primary: Simulator
    fallback: Simulator

    async def answered(
        self, model: str, on_break: OnBreak
    ) -> tuple[list[ServerSentEvent], dict[str, Any]]:
        """Have a chatbot with this policy, whose model this is, answer; return events and state."""
        for each in (self.primary, self.fallback):
            await each.reset()
        body = {"name": "Bot", "instructions": "Answer.", "model": model, "on_break": on_break}
        await self.operator.put(f"{CHATBOTS}/bot", body)
        started = await self.operator.server.start("Hello", chatbot_id="bot")
        events = await self.operator.server.all_events(started["turn_id"])
        return events, await self.operator.server.state(started["turn_id"])

    async def asked(self) -> list[tuple[str, bool]]:
        """Return who was asked, and whether to go on from some text."""
        return [
            (name, stream["continued"])
            for name, each in (("primary", self.primary), ("fallback", self.fallback))
            for stream in (await each.stats())["streams"]
        ]


@asynccontextmanager
async def laid(folder: Path) -> AsyncIterator[Table]:
    """Run a server, its two providers and an operator."""
    async with (
        running_simulator() as fallback,
        running_chat(
            folder,
            openai_max_retries=0,
            fallback_base_url=fallback.base_url,
            fallback_model="sim",
        ) as chat,
        operating(chat.server) as operator,
    ):
        yield Table(operator, chat.simulator, fallback)
        assert "Traceback" not in log_of(chat.server)


PRIMARY, PRIMARY_AGAIN = ("primary", False), ("primary", True)
FALLBACK, FALLBACK_GOES_ON = ("fallback", False), ("fallback", True)
ASKED: Mapping[tuple[str, OnBreak], list[tuple[str, bool]]] = {
    (ONCE, "continue"): [PRIMARY, PRIMARY_AGAIN],
    (ONCE, "restart"): [PRIMARY, PRIMARY],
    (TWICE, "continue"): [PRIMARY, PRIMARY_AGAIN, FALLBACK_GOES_ON],
    (TWICE, "restart"): [PRIMARY, PRIMARY, FALLBACK],
    (DOWN, "interrupt"): [PRIMARY, FALLBACK],  # nothing had broken off yet
}


async def test_a_broken_answer_becomes_whole_as_its_chatbot_says(tmp_path: Path) -> None:
    async with laid(tmp_path) as table:
        events, state = await table.answered("sim", "continue")
        whole = state["text"]
        for (model, on_break), asked in ASKED.items():
            events, state = await table.answered(model, on_break)

            case = (model, on_break)
            assert (state["status"], state["text"], text_of(events)) == (
                "completed", whole, whole,
            ), case  # fmt: skip
            assert await table.asked() == asked, case
            resets = [data_of(event) for event in events if event.event == "turn.reset"]
            breaks = len(asked) - 1 if on_break == "restart" else 0
            assert [(each["text"], each["reason"]) for each in resets] == [
                ("", "restarted")
            ] * breaks, case
            has_joined = any(continued for _, continued in asked)
            assert state["usage"]["source"] == ("estimated" if has_joined else "exact"), case


async def test_a_broken_answer_stays_as_it_is_where_its_chatbot_says_so(tmp_path: Path) -> None:
    async with laid(tmp_path) as table:
        _, state = await table.answered("sim", "interrupt")
        whole = state["text"]

        events, state = await table.answered(ONCE, "interrupt")

        end = data_of(events[-1])
        assert (events[-1].event, end["code"]) == ("turn.failed", "upstream_truncated")
        assert end["text"] == state["text"] == text_of(events)
        assert 0 < len(end["text"]) < len(whole)
        assert whole.startswith(end["text"])
        assert not any(event.event == "turn.reset" for event in events)
        assert await table.asked() == [PRIMARY]


RESTARTS, STAYS, GONE = (
    Model(name, "sim:tokens=60,rate=20,ttft=0.1", 60) for name in ("restarts", "stays", "gone")
)


@pytest.mark.services
async def test_a_lost_workers_turns_end_as_their_chatbots_say(tmp_path: Path) -> None:
    async with played(tmp_path, RESTARTS, STAYS, GONE) as (scene, judged):
        await _put(scene, RESTARTS, "restart")
        await _put(scene, STAYS, "interrupt")
        turns = [await scene.start(model, scene.a) for model in (RESTARTS, STAYS, GONE)]
        async with followed(scene, turns):
            await _put(scene, STAYS, "continue")  # too late for a turn that has begun
            await _change(scene, "DELETE", GONE)
            scene.a.signal(signal.SIGKILL)
            scene.fault("kill", scene.a)

        judgement = judged()
        restarted, stayed, gone = (judgement.stored(turn) for turn in turns)
        assert (restarted.name, restarted.epoch) == ("completed", 2)
        assert restarted.text == RESTARTS.answer("guest asks for the 1. time")
        for end in (stayed, gone):
            assert (end.name, end.epoch) == ("interrupted", 2)
            assert end.text
        resets = {each.turn: len(each.resets) for each in judgement.view.readers}
        assert [resets[turn.turn_id] for turn in turns] == [1, 0, 0]
        assert await scene.calls() == len(turns) + 1  # only what restarts is asked again
        assert scene.b.faults() == []


@asynccontextmanager
async def followed(scene: Scene, turns: Sequence[Turn]) -> AsyncIterator[None]:
    """Read turns on the second worker while the block runs, and on to their ends."""
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as readers:
            for turn in turns:
                readers.start_soon(partial(scene.guest.follow, turn, worker=scene.b))
            for turn in turns:
                await scene.until_shown(turn, 20)
            yield


async def _put(scene: Scene, model: Model, on_break: OnBreak) -> None:
    body = {
        "name": model.chatbot_id,
        "instructions": "Answer.",
        "model": model.name,
        "on_break": on_break,
    }
    await _change(scene, "PUT", model, body)


async def _change(scene: Scene, method: str, model: Model, body: object = None) -> None:
    answer = await scene.guest.http.request(
        method,
        f"{scene.b.url}{CHATBOTS}/{model.chatbot_id}",
        json=body,
        headers={"Authorization": f"Bearer {SETTINGS['admin_token']}"},
    )
    assert answer.is_success, answer.text
