"""What may not be said, over real sockets: asked, answered, streamed or not, and not judged."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.e2e.operators import Operator, operating
from tests.support.chat import data_of, log_of, running_chat
from tests.support.server import Server, text_of
from tests.support.simulator import Simulator, running_simulator

pytestmark = pytest.mark.services

MODEL = "sim:tokens=80,rate=0,ttft=0"
LATER = "Okafor"
"""A word in the middle of what the model says."""


@dataclass
class Moderated:
    """A server whose moderators are a list of words and the simulator, and its operator."""

    server: Server
    operator: Operator
    simulator: Simulator

    async def chatbot(self, policy: str) -> str:
        """Have a chatbot with this policy."""
        body = {"name": "Bot", "instructions": "Answer.", "model": MODEL, "moderation": policy}
        await self.operator.put(f"/api/v1/chatbots/{policy}", body)
        return policy

    async def ask(self, message: str, policy: str) -> httpx.Response:
        """Ask a chatbot with this policy."""
        body = {"message": message, "chatbot_id": await self.chatbot(policy)}
        return await self.server.client.post("/api/v1/turns", json=body)

    async def verdicts(self) -> dict[str, float]:
        """Return the verdicts counted so far, by their labels."""
        text = (await self.operator.http.get("/metrics")).text
        lines = [line for line in text.splitlines() if "moderation_verdicts_total{" in line]
        return {line.partition("{")[2].partition("}")[0]: float(line.split()[-1]) for line in lines}


@asynccontextmanager
async def moderated(folder: Path, **settings: Any) -> AsyncIterator[Moderated]:
    words = folder / "words"
    folder.mkdir(exist_ok=True)
    words.write_text(f"darn | swearing\n{LATER}\n", "utf-8")
    own = {"moderation_words_file": words, **settings}
    async with (
        running_chat(folder / "data", **own) as chat,
        operating(chat.server) as operator,
    ):
        yield Moderated(chat.server, operator, chat.simulator)
        assert "Traceback" not in log_of(chat.server)


async def test_a_message_that_may_not_be_sent_is_refused_and_leaves_no_trace(
    tmp_path: Path,
) -> None:
    async with moderated(tmp_path) as all_:
        refused = await all_.ask("Well, d**ar**n canary", "block")
        listed = (await all_.server.client.get("/api/v1/conversations")).json()
        requests = (await all_.simulator.stats())["requests"]
        verdicts = await all_.verdicts()

        assert (refused.status_code, refused.json()["code"]) == (422, "message_blocked")
        assert [error["field"] for error in refused.json()["errors"]] == ["message"]
        assert listed["conversations"] == []
        assert requests == 0
        assert verdicts['stage="input",verdict="blocked"'] == 1
        log = log_of(all_.server)
        assert "moderation.judged" in log
        assert "swearing" in log
        assert "canary" not in log


async def test_an_answer_is_shown_up_to_the_sentence_that_may_not_be_said_streamed_or_not(
    tmp_path: Path,
) -> None:
    async with moderated(tmp_path) as all_:
        free = (await all_.ask("Hello", "off")).json()["turn_id"]
        whole = (text_of(await all_.server.all_events(free))).split(f"Mr. {LATER}")[0].rstrip()
        started = (await all_.ask("Hello", "block")).json()
        events = await all_.server.all_events(started["turn_id"])
        state = await all_.server.state(started["turn_id"])
        messages = await _messages(all_.server, started["conversation_id"])
        await all_.operator.roll_out(0)
        unstreamed = await all_.ask("Hello", "block")

    assert data_of(events[-1])["code"] == "content_blocked"
    assert text_of(events) == state["text"] == data_of(events[-1])["text"] == whole
    assert whole.endswith("it worked.")
    assert messages[-1]["text"] == whole
    assert (state["status"], state["error"]["retryable"]) == ("failed", False)
    assert unstreamed.status_code == 200
    assert (unstreamed.json()["text"], unstreamed.json()["error"]["code"]) == (
        whole, "content_blocked",
    )  # fmt: skip


@pytest.mark.long
async def test_under_flag_all_goes_on_and_operators_are_told(tmp_path: Path) -> None:
    async with moderated(tmp_path) as all_:
        asked = await all_.ask("Darn.", "flag")
        started = (await all_.ask("Hello", "flag")).json()
        await all_.server.all_events(started["turn_id"])
        state = await all_.server.state(started["turn_id"])
        with anyio.fail_after(10):
            while (await all_.verdicts())['stage="output",verdict="flagged"'] < 1:  # noqa: ASYNC110  # elsewhere
                await anyio.sleep(0.02)

        assert asked.status_code == 201
        assert (state["status"], LATER in state["text"]) == ("completed", True)
        assert (await all_.verdicts())['stage="input",verdict="flagged"'] == 1


@pytest.mark.long
async def test_the_endpoint_is_asked_of_what_the_words_let_pass(tmp_path: Path) -> None:
    async with running_with_endpoint(tmp_path, "omni-moderation-latest") as all_:
        refused = await all_.ask("This is violence.", "block")
        fine = await all_.ask("This is fine.", "block")
        health = (await all_.server.client.get("/health")).json()["checks"]["moderation"]

    assert (refused.status_code, refused.json()["code"]) == (422, "message_blocked")
    assert fine.status_code == 201
    assert health["status"] == "healthy"
    assert [each["name"] for each in health["moderators"]] == ["words", "openai"]


@pytest.mark.parametrize(("when_down", "status"), [("refuse", 503), ("allow", 201)])
@pytest.mark.long
async def test_where_nobody_can_judge_the_operators_choice_holds(
    tmp_path: Path, when_down: str, status: int
) -> None:
    settings = {"moderation_when_down": when_down}
    async with running_with_endpoint(tmp_path, "fault:http-500", **settings) as all_:
        answers = [await all_.ask(f"Number {n}", "block") for n in range(5)]
        flagged = await all_.ask("Hello", "flag")
        known = await all_.ask("Darn.", "block")
        health = (await all_.server.client.get("/health")).json()

    assert [answer.status_code for answer in answers] == [status] * 5
    assert (flagged.status_code, known.status_code) == (201, 422)
    assert health["checks"]["moderation"]["status"] == "degraded"
    assert health["status"] == "degraded"
    if status == 503:
        assert answers[0].json()["code"] == "moderation_unavailable"
        assert int(answers[0].headers["retry-after"]) >= 1


@asynccontextmanager
async def running_with_endpoint(
    folder: Path, model: str, **settings: Any
) -> AsyncIterator[Moderated]:
    async with (
        running_simulator() as endpoint,
        moderated(
            folder, moderation_base_url=endpoint.base_url, moderation_model=model, **settings
        ) as all_,
    ):
        yield all_


async def _messages(server: Server, conversation_id: str) -> list[dict[str, Any]]:
    answer = await server.client.get(f"/api/v1/conversations/{conversation_id}/messages")
    messages: list[dict[str, Any]] = answer.json()["messages"]
    return messages
