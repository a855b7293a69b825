"""One real server, shared by the tests of a module; each test is a guest of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from tests.support.chat import Chat, running_chat


@pytest.fixture(scope="module")
def shared_chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    """Run a server and a simulator for the module's tests."""
    folder = tmp_path_factory.mktemp("server")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running_chat(folder)) as chat,
    ):
        yield chat


@pytest.fixture
async def chat(shared_chat: Chat) -> AsyncIterator[Chat]:
    """Join the module's server as a new guest."""
    async with shared_chat.joined() as chat:
        yield chat
