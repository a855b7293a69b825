"""A server with the simulated model behind it, and what can be seen of the pair from outside."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from httpx_sse import ServerSentEvent

from chatbots.model import Chatbot
from chatbots.sqlite import SqliteChatbots
from storage.sqlite import SqliteDatabase
from tests.support.server import Server, client_of, running_server
from tests.support.simulator import Simulator, running_simulator

TERMINAL_EVENTS = frozenset({"turn.completed", "turn.failed", "turn.cancelled", "turn.interrupted"})


@dataclass
class Chat:
    """A server and the simulated model behind it; its client is one guest."""

    server: Server
    simulator: Simulator

    @asynccontextmanager
    async def joined(self) -> AsyncGenerator["Chat", None]:
        """Join what runs already, maybe in another event loop, as a new guest."""
        async with self.server.guest() as guest, client_of(self.simulator.port) as upstream:
            server, simulator = replace(self.server, client=guest), self.simulator
            yield Chat(server, replace(simulator, http=upstream))

    async def messages(self, conversation_id: str) -> list[dict[str, Any]]:
        """Return a conversation's messages as the server keeps them, oldest first."""
        path = f"/api/v1/conversations/{conversation_id}/messages"
        answer = await self.server.client.get(path)
        assert answer.status_code == 200, answer.text
        messages: list[dict[str, Any]] = answer.json()["messages"]
        return messages

    async def cancel(self, turn_id: str, seen: str | None = None) -> dict[str, Any]:
        """Stop a turn and return its state."""
        path = f"/api/v1/turns/{turn_id}/cancel"
        body = {} if seen is None else {"seen": seen}
        answer = await self.server.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state


@asynccontextmanager
async def running_chat(
    folder: Path, *, models: Mapping[str, str] | None = None, **settings: object
) -> AsyncGenerator[Chat, None]:
    """Run a simulator and a server that asks it until the block ends.

    Args:
        folder: Where the server's data and log go.
        models: Chatbots to have, by id: the simulator's model that each asks.
        settings: Of the server.
    """
    await _store_chatbots(folder, models or {})
    async with running_simulator() as simulator:
        defaults = {"openai_base_url": simulator.base_url, "openai_model": "sim"}
        async with running_server(folder, **{**defaults, **settings}) as server:
            yield Chat(server, simulator)


def chat_fixtures(
    *, models: Mapping[str, str] | None = None, **settings: object
) -> tuple[object, object]:
    """Make two fixtures for a module to keep as `shared_chat` and `chat`.

    The first runs a server and a simulator for all its tests, the second joins as a new guest.
    """

    @pytest.fixture(scope="module")
    def shared_chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
        running = running_chat(tmp_path_factory.mktemp("chat"), models=models, **settings)
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(running) as chat,
        ):
            yield chat
            assert "Traceback" not in log_of(chat.server)

    @pytest.fixture
    async def chat(shared_chat: Chat) -> AsyncIterator[Chat]:
        async with shared_chat.joined() as chat:
            yield chat

    return shared_chat, chat


async def _store_chatbots(folder: Path, models: Mapping[str, str]) -> None:
    database = SqliteDatabase(folder / "chat.db", timeout_s=5)
    chatbots = SqliteChatbots(database)
    await chatbots.open()
    for chatbot_id, model in models.items():
        await chatbots.put(Chatbot(chatbot_id, chatbot_id, "Answer.", model=model))
    await database.close()


async def until(claim: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Wait until something is so that can only be looked at from outside."""
    with anyio.fail_after(within_s):
        while not claim():  # noqa: ASYNC110  it happens in another process
            await anyio.sleep(0.01)


def data_of(event: ServerSentEvent) -> dict[str, Any]:
    """Return an event's data."""
    data: dict[str, Any] = json.loads(event.data)
    return data


def cookie_of(server: Server) -> str:
    """Return the client's cookies as the header of a request made by other means."""
    return "; ".join(f"{name}={value}" for name, value in server.client.cookies.items())


def log_of(server: Server) -> str:
    """Return what the server has logged so far."""
    return (server.data_dir / "server.log").read_text(encoding="utf-8", errors="replace")


def open_sockets(server: Server) -> int:
    """Count the sockets that the server has open."""
    links = Path(f"/proc/{server.process.pid}/fd").iterdir()
    return sum(_target(link).startswith("socket:") for link in links)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed meanwhile
        return ""
