"""Many things at once, drawn from a seed: no answer is a fault of ours, the record is whole."""

import random
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
import pytest

from tests.support.chat import Chat, log_of, open_sockets, running_chat, until

MODELS = {
    "well": "sim:tokens=30,rate=200",
    "cut": "fault:cut:after=5",
    "stalled": "fault:stall",
}
TURNS = "/api/v1/turns"
WORKERS = 4
STEPS = 20


@dataclass
class Guest:
    """One user with several tabs, who does anything at any time, and leaves in between."""

    client: httpx.AsyncClient
    dice: random.Random
    turns: list[str] = field(default_factory=lambda: ["turn_none"])
    conversations: list[str] = field(default_factory=lambda: ["conv_none"])
    statuses: list[int] = field(default_factory=list)

    async def live(self) -> None:
        """Do so many things, one after another."""
        doings: list[Callable[[], Awaitable[httpx.Response]]] = [
            self._ask, self._ask, self._ask_again, self._retry, self._cancel, self._attach,
            self._delete, self._list,
        ]  # fmt: skip
        for _ in range(STEPS):
            patience_s = 0.2 * self.dice.random() if self.dice.random() < 0.15 else 30
            with anyio.move_on_after(patience_s):
                self.statuses.append((await self.dice.choice(doings)()).status_code)

    async def _ask(self, headers: dict[str, str] | None = None) -> httpx.Response:
        body = {"message": "Hello", "chatbot_id": self.dice.choice(list(MODELS))}
        if self.dice.random() < 0.7:
            body["conversation_id"] = self.dice.choice(self.conversations)
        accept = self.dice.choice(["text/event-stream", "*/*"])
        answer = await self.client.post(
            TURNS, json=body, headers={"Accept": accept} | (headers or {})
        )
        if "x-turn-id" in answer.headers:
            self.turns.append(answer.headers["x-turn-id"])
            self.conversations.append(answer.headers["x-conversation-id"])
        return answer

    async def _ask_again(self) -> httpx.Response:
        return await self._ask({"Idempotency-Key": f"key-{self.dice.randrange(8)}"})

    async def _retry(self) -> httpx.Response:
        return await self.client.post(TURNS, json={"retry_of": self.dice.choice(self.turns)})

    async def _cancel(self) -> httpx.Response:
        turn_id = self.dice.choice(self.turns)
        body = {"seen": f"{turn_id}.1-{self.dice.randrange(1, 40)}"}
        return await self.client.post(f"{TURNS}/{turn_id}/cancel", json=body)

    async def _attach(self) -> httpx.Response:
        turn_id = self.dice.choice(self.turns)
        cursor = f"{turn_id}.{self.dice.randrange(1, 3)}-{self.dice.randrange(1, 40)}"
        path = f"{TURNS}/{turn_id}/events"
        return await self.client.get(path, headers={"Last-Event-ID": cursor})

    async def _delete(self) -> httpx.Response:
        return await self.client.delete(
            f"/api/v1/conversations/{self.dice.choice(self.conversations)}"
        )

    async def _list(self) -> httpx.Response:
        return await self.client.get("/api/v1/conversations?limit=5")


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_at_once_nothing_is_left_half_done(
    tmp_path: Path, seed: int
) -> None:
    settings = {"inter_token_timeout_s": 0.5, "default_streaming_percentage": 60}
    async with running_chat(tmp_path, models=MODELS, **settings) as chat:
        before = open_sockets(chat.server)
        statuses = await _crowd(chat, seed)
        with anyio.fail_after(20):
            while await _active_turns(chat):  # noqa: ASYNC110  in another process
                await anyio.sleep(0.05)
        # The own client's connection, and those to the model that are kept for the next turn.
        await until(lambda: open_sockets(chat.server) <= before + 1 + 3 * WORKERS)

        assert set(statuses) <= {200, 201, 204, 404, 409}
        assert {200, 404} <= set(statuses)
        assert len(statuses) > STEPS * WORKERS
        assert "Traceback" not in log_of(chat.server)
    _assert_whole(tmp_path / "chat.db")


async def _active_turns(chat: Chat) -> int:
    answer = (await chat.server.client.get("/api/metrics/streaming")).json()
    return int(answer["metrics"]["streams"]["active"])


async def _crowd(chat: Chat, seed: int) -> list[int]:
    statuses: list[int] = []

    async def visit(number: int) -> None:
        async with chat.server.guest() as client:
            await client.get("/api/v1/conversations")
            guest = Guest(client, random.Random(seed * 100 + number), statuses=statuses)  # noqa: S311  # drawn, not secret
            async with anyio.create_task_group() as tabs:
                for _ in range(WORKERS):
                    tabs.start_soon(guest.live)

    with anyio.fail_after(120):
        async with anyio.create_task_group() as guests:
            for number in range(3):
                guests.start_soon(visit, number)
    return statuses


def _assert_whole(path: Path) -> None:
    """Hold the record to what must be so once nothing runs."""
    database = sqlite3.connect(path)
    for nothing in (
        "SELECT turn_id FROM turns WHERE status = 'running'",
        "SELECT turn_id FROM turns WHERE ended_at IS NULL",
        "SELECT conversation_id FROM conversations WHERE active_turn_id IS NOT NULL",
        "SELECT seq FROM messages GROUP BY conversation_id, seq HAVING count(*) > 1",
        "SELECT turn_id FROM messages WHERE turn_id NOT IN (SELECT turn_id FROM turns)",
        "SELECT turn_id FROM turns WHERE message_id NOT IN (SELECT message_id FROM messages)",
        "SELECT seq FROM turns t JOIN messages m USING (message_id) WHERE t.text != m.text",
    ):
        assert database.execute(nothing).fetchall() == [], nothing
    database.close()
