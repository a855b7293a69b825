"""A real server whose model says what the test tells it to, word for word."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import SocketAttribute
from httpx_sse import ServerSentEvent

from tests.e2e.conftest import Telling, ToldModel
from tests.support.server import Server, running_server

WAIT_S = 10.0


@asynccontextmanager
async def told_server(folder: Path, **settings: object) -> AsyncIterator[tuple[Server, ToldModel]]:
    """Run a server of one's own, and the model that it asks."""
    model = ToldModel()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra_attributes[SocketAttribute.local_port]()
    upstream = {"openai_base_url": f"http://127.0.0.1:{port}/v1", "openai_max_retries": 0}
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, model.serve)
        async with running_server(folder, **{**upstream, **settings}) as server:
            yield server, model
        tasks.cancel_scope.cancel()
        model.close()


async def ask(server: Server, model: ToldModel, message: str = "Hello") -> tuple[str, Telling]:
    """Start a turn; return its id and the answer that is to be told."""
    started = await server.start(message)
    return started["turn_id"], await model.asked()


async def next_event(events: AsyncIterator[ServerSentEvent]) -> ServerSentEvent:
    """Return a reader's next event."""
    with anyio.fail_after(WAIT_S):
        return await anext(events)
