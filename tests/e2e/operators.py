"""An operator beside a real server: bears the token, changes flags, looks at who gets what."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from tests.support.chat import log_of
from tests.support.front import cookie
from tests.support.server import Server, client_of, running_server

STATE = "/api/metrics/feature-flags"
ROLLOUT = "/api/metrics/feature-flags/rollout"
FLAGS = "/api/v1/flags"
STREAMING = "/api/v1/flags/streaming"
SEGMENTS = "/api/v1/segments"
TURNS = "/api/v1/turns"
WAIT_S = 10.0


@dataclass
class Operator:
    """Somebody with the token. `http` sends it, and no cookie is ever set there."""

    server: Server
    http: httpx.AsyncClient

    async def put(self, path: str, definition: object, **headers: str) -> dict[str, Any]:
        """Create or replace a definition, and return it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.http.put(path, json=definition, headers=named)
        assert answer.status_code in {200, 201}, answer.text
        stored: dict[str, Any] = answer.json()
        assert answer.headers["etag"] == f'"{stored["version"]}"'
        return stored

    async def get(self, path: str, **params: object) -> dict[str, Any]:
        """Return what an address tells; its query, if any, is in `params`."""
        assert "?" not in path  # the client would drop it
        answer = await self.http.get(path, params={k: str(v) for k, v in params.items()})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def roll_out(self, percentage: float) -> dict[str, Any]:
        """Give streaming a percentage, as operators' scripts do."""
        body = {"feature": "streaming", "percentage": percentage}
        answer = await self.http.post(ROLLOUT, json=body)
        assert answer.status_code == 200, answer.text
        rollout: dict[str, Any] = answer.json()
        return rollout

    async def state(self) -> dict[str, Any]:
        """Return how streaming stands."""
        told: dict[str, Any] = (await self.get(STATE))["flags"]["streaming"]
        return told

    async def until_streaming(self, **wanted: object) -> None:
        """Wait until the flag stands so: what others do is noticed by looking now and then."""
        with anyio.fail_after(WAIT_S):
            while not wanted.items() <= (await self.state()).items():  # noqa: ASYNC110  # elsewhere
                await anyio.sleep(0.02)

    async def until_store(self, *, stale: bool) -> None:
        """Wait until the server has noticed that its store is gone, or is back."""
        with anyio.fail_after(WAIT_S):
            while (await self.get(STATE))["store"]["stale"] is not stale:  # noqa: ASYNC110  # elsewhere
                await anyio.sleep(0.02)

    async def arm(self) -> str:
        """Return which arm a new guest's turn is in."""
        async with self.server.guest() as guest:
            return await arm_of(guest)


async def arm_of(client: httpx.AsyncClient) -> str:
    """Start a turn as a guest, and return which arm it is in."""
    answer = await client.post(TURNS, json={"message": "Hello"})
    assert answer.status_code in {200, 201}, answer.text
    assert (answer.status_code == 201) is (answer.headers["x-streaming"] == "on")
    return str(answer.headers["x-streaming"])


def guest_id(client: httpx.AsyncClient) -> str:
    """Return whom a client's cookie names."""
    return client.cookies[cookie("chat_guest")].rpartition(".")[0]


def token_of(data_dir: Path) -> str:
    """Return the token that a server in development has made."""
    return (data_dir / "admin-token").read_text(encoding="ascii").strip()


@asynccontextmanager
async def operating(server: Server, token: str | None = None) -> AsyncIterator[Operator]:
    """Have an operator beside a server, maybe in another event loop, and a guest of their own."""
    async with client_of(server.port) as http, server.guest() as guest:
        http.headers["Authorization"] = f"Bearer {token or token_of(server.data_dir)}"
        yield Operator(replace(server, client=guest), http)
        assert not http.cookies


@asynccontextmanager
async def operated_server(data_dir: Path, **settings: object) -> AsyncIterator[Operator]:
    """Run a server and have an operator beside it until the block ends."""
    token = settings.get("admin_token")
    async with (
        running_server(data_dir, **settings) as server,
        operating(server, None if token is None else str(token)) as operator,
    ):
        yield operator


def operator_fixtures(**settings: object) -> tuple[object, object]:
    """Make two fixtures for a module to keep as `shared_server` and `operator`."""

    @pytest.fixture(scope="module")
    def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        running = running_server(tmp_path_factory.mktemp("server"), **settings)
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(running) as server,
        ):
            yield server
            assert "Traceback" not in log_of(server)

    @pytest.fixture
    async def operator(shared_server: Server) -> AsyncIterator[Operator]:
        async with operating(shared_server) as operator:
            yield operator

    return shared_server, operator
