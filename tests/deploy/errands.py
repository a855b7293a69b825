"""Callers who ask everything but for streamed turns, and count on an answer each time.

They ask once: nothing is sent again, and whatever does not succeed is noted.
"""

import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx

from tests.support.certificates import trusting
from tests.support.nginx import Nginx
from tests.support.production import PRODUCTION

CALLERS = 1
"""Of each kind."""
PAUSE_S = 2.0
PATIENCE_S = 120.0
"""How quick anything is on a machine that is busy with all this is not asked here."""
_KNOCKS = 5
PASSWORD = "a-heron-stood-in-the-reeds-7"  # noqa: S105  # it guards nothing
_API = "/api/v1"

Json = dict[str, Any]
Errand = Callable[["Caller"], Awaitable[None]]


def knocking(*, verify: ssl.SSLContext | bool) -> httpx.AsyncHTTPTransport:
    """Return what connects again where no connection came about; a request goes out once."""
    return httpx.AsyncHTTPTransport(verify=verify, retries=_KNOCKS)


class Caller:
    """One who asks, and notes what came.

    Attributes:
        name: Tells callers apart.
        asked: How often each thing was asked.
        failed: What was not answered as it should be.
    """

    def __init__(self, name: str, http: httpx.AsyncClient) -> None:
        self.name = name
        self.asked: Counter[str] = Counter()
        self.failed: list[str] = []
        self._http = http

    async def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """Ask once; return the JSON of the answer, {} where it was a refusal or none."""
        what = f"{method} {path.partition('?')[0]}"
        self.asked[method] += 1
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            self.failed.append(f"{self.name}: {what}: {error!r}")
            return {}
        if not answer.is_success:
            self.failed.append(f"{self.name}: {what}: {answer.status_code} {answer.text[:200]}")
            return {}
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return dict(answer.json()) if is_json else {}

    def question(self) -> Json:
        """Return what starts a turn; none is like another, as the judge tells them by it."""
        return {"message": f"{self.name} has asked {self.asked.total()} times"}

    async def pause(self) -> None:
        """Wait a moment."""
        await anyio.sleep(random.uniform(0, PAUSE_S))  # noqa: S311  # when to ask, no secret


class Errands:
    """All callers; through nginx, until they are to end.

    Attributes:
        callers: Who has come.
        is_over: Whether all that was begun has ended.
    """

    def __init__(self, nginx: Nginx) -> None:
        self._nginx = nginx
        self._is_open = True
        self.is_over = False
        self.callers: list[Caller] = []

    async def run(self) -> None:
        """Ask until `close`, and to the end of what was begun."""
        async with anyio.create_task_group() as tasks:
            for errand in (keep_conversations, sign_in, stop_turns, ask_whole, speak, operate):
                for number in range(CALLERS):
                    tasks.start_soon(self._repeat, errand, f"{errand.__name__} {number}")
        self.is_over = True

    def close(self) -> None:
        """Begin nothing new."""
        self._is_open = False

    @property
    def failed(self) -> list[str]:
        """What was not answered as it should be."""
        return [each for caller in self.callers for each in caller.failed]

    @property
    def count(self) -> int:
        """How many requests there were."""
        return sum(caller.asked.total() for caller in self.callers)

    async def _repeat(self, errand: Errand, name: str) -> None:
        async with self._calling(name) as caller:
            await caller.ask("GET", f"{_API}/conversations")
            if errand is ask_whole:
                body = {"email": f"{name.replace(' ', '-')}@example.com", "password": PASSWORD}
                await caller.ask("POST", f"{_API}/auth/register", body)
            while self._is_open:
                await errand(caller)
                await caller.pause()

    @asynccontextmanager
    async def _calling(self, name: str) -> AsyncIterator[Caller]:
        transport = knocking(verify=trusting(self._nginx.folder))
        async with httpx.AsyncClient(
            base_url=self._nginx.url, timeout=PATIENCE_S, transport=transport
        ) as http:
            if name.startswith(operate.__name__):
                http.headers["Authorization"] = f"Bearer {PRODUCTION['admin_token']}"
            caller = Caller(name, http)
            self.callers.append(caller)
            yield caller


async def keep_conversations(caller: Caller) -> None:
    """Make a conversation, name it, look at it, delete it."""
    made = await caller.ask("POST", f"{_API}/conversations", {"title": "First"})
    if not made:
        return
    one = f"{_API}/conversations/{made['conversation_id']}"
    await caller.pause()
    await caller.ask("PATCH", one, {"title": "Second"})
    await caller.ask("GET", f"{one}/messages?limit=50")
    await caller.ask("GET", f"{_API}/conversations")
    await caller.ask("DELETE", one)


async def sign_in(caller: Caller) -> None:
    """Make an account, leave, and sign in again."""
    number = caller.asked.total()
    who = {"email": f"{caller.name.replace(' ', '-')}-{number}@example.com", "password": PASSWORD}
    await caller.ask("POST", f"{_API}/auth/register", who)
    await caller.ask("POST", f"{_API}/auth/logout", {})
    await caller.pause()
    await caller.ask("POST", f"{_API}/auth/login", who)
    await caller.ask("GET", f"{_API}/auth/me")


async def stop_turns(caller: Caller) -> None:
    """Start a turn, without a key of its own, and stop it."""
    started = await caller.ask("POST", f"{_API}/turns", caller.question())
    if not started:
        return
    turn = f"{_API}/turns/{started['turn_id']}"
    await caller.pause()
    await caller.ask("POST", f"{turn}/playback", {"played_s": 0, "buffered_s": 0})
    await caller.ask("POST", f"{turn}/cancel")
    await caller.ask("GET", turn)


async def ask_whole(caller: Caller) -> None:
    """Ask for an answer that comes whole; where its worker left the turn, look for the end."""
    state = await caller.ask("POST", f"{_API}/turns", caller.question())
    if not state:
        return
    with anyio.move_on_after(PATIENCE_S):
        while state.get("status") == "running":
            await caller.pause()
            state = await caller.ask("GET", f"{_API}/turns/{state['turn_id']}")
    if state.get("status") != "completed":
        caller.failed.append(f"{caller.name}: a whole answer came to {state}")


async def speak(caller: Caller) -> None:
    """Have a text spoken."""
    await caller.ask("POST", f"{_API}/speech", {"text": "A cart stood in the yard."})
    await caller.ask("GET", f"{_API}/speech/voices")


async def operate(caller: Caller) -> None:
    """Look at the figures, and change a flag."""
    for path in ("/health", "/metrics", f"{_API}/flags", "/api/metrics/health/streaming"):
        await caller.ask("GET", path)
    flag = f"{_API}/flags/{caller.name.replace(' ', '-').replace('_', '-')}"
    await caller.ask("PUT", flag, {"rollout": {"percentage": 10}})
    await caller.ask("GET", f"{_API}/flags/streaming/history")
