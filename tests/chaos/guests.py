"""Callers as they come: they ask, ask again, read on several workers, go, come back, and stop.

What they do is drawn from a seed; what they see is recorded.
"""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import anyio
import httpx
import msgspec
from httpx_sse import EventSource, ServerSentEvent

from loadtests.llm_simulator.prose import answer_text
from tests.chaos.cluster import Worker
from tests.chaos.records import LEFT, TERMINAL, Recorder, Result, digest_of

TURNS = "/api/v1/turns"
SILENCE_S = 5.0
"""A reader that hears nothing for so long comes back elsewhere; heartbeats come every 2 s."""

POST_S = 10.0
POSTS_EACH = 30
_PAUSE_S = 0.3
_ACCEPTED = frozenset({200, 201})
_SERVER_ERROR = 500
_TEXTUAL = frozenset({"text.delta", "turn.reset", *TERMINAL})


@dataclass(frozen=True, slots=True)
class Chances:
    """How often a guest does what is not plain: probabilities."""

    repeat: float = 0.25
    cancel: float = 0.1
    cut: float = 0.3
    leave: float = 0.1
    same_conversation: float = 0.15


@dataclass(frozen=True, slots=True)
class Model:
    """A chatbot of the test: the simulator's model, and how long its answers are.

    `is_exact`: whatever breaks, what is joined must be the answer as if nothing had been. Not where
    a model says a few words again: so short a repetition may as well be meant.
    """

    chatbot_id: str
    name: str
    tokens: int
    is_exact: bool = True

    def answer(self, message: str) -> str:
        """Return what it answers, "" where that depends on how it was interrupted."""
        return answer_text(message, tokens=self.tokens) if self.is_exact else ""


@dataclass(slots=True)
class Turn:
    """A turn as its owner knows it."""

    turn_id: str
    conversation_id: str
    last_id: str = ""
    ended: anyio.Event = field(default_factory=anyio.Event)


class Guest:
    """One owner of turns.

    Args:
        name: In the history.
        workers: Where it may ask.
        recorder: Gets what it sees.
        rng: Decides what it does.
        chances: How often.

    Attributes:
        http: Its client, while it is `here`.
    """

    def __init__(
        self,
        name: str,
        workers: Sequence[Worker],
        recorder: Recorder,
        *,
        rng: random.Random,
        chances: Chances,
    ) -> None:
        self.name = name
        self._workers = workers
        self._recorder = recorder
        self._rng = rng
        self._chances = chances
        self._asked = 0
        self._followed = 0
        self._conversation_id = ""
        self._cookies = httpx.Cookies()
        self.http = self._client()

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            cookies=self._cookies,
            timeout=httpx.Timeout(POST_S, connect=2.0),
            limits=httpx.Limits(max_keepalive_connections=0),
            verify=False,  # noqa: S501  # there is no TLS
        )

    @asynccontextmanager
    async def here(self) -> AsyncIterator["Guest"]:
        """Become somebody: all workers know the cookie that one of them gave."""
        async with self.http:
            answer = await self.http.get(f"{self._workers[0].url}/api/v1/conversations")
            self._cookies = answer.raise_for_status().cookies
            self.http.cookies = self._cookies
            yield self

    async def converse(self, models: Sequence[Model], until: float) -> None:
        """Have one turn after another until a time."""
        while monotonic() < until:
            await self.have_turn(self._rng.choice(models))

    async def have_turn(
        self, model: Model, *, readers: int = 0, worker: Worker | None = None
    ) -> Turn | None:
        """Ask, and read the answer to its end; None where it was refused, or nobody answered.

        Args:
            model: Whom to ask.
            readers: How many read; 0: some.
            worker: Where to ask first; None: anywhere.
        """
        turn = await self.ask(model, worker=worker)
        if turn is None:
            await anyio.sleep(_PAUSE_S)
            return None
        async with anyio.create_task_group() as tasks:
            for _ in range(readers or self._rng.randint(1, 3)):
                tasks.start_soon(self.follow, turn)
            tasks.start_soon(self._meddle, turn)
        return turn

    async def ask(self, model: Model, *, worker: Worker | None = None) -> Turn | None:
        """Start a turn; the same request goes out again until something is known of it."""
        self._asked += 1
        key = f"{self.name} asks for the {self._asked}. time"
        body: dict[str, object] = {"message": key, "chatbot_id": model.chatbot_id}
        expected = model.answer(key)
        if self._conversation_id and self._rng.random() < self._chances.same_conversation:
            body["conversation_id"] = self._conversation_id
            expected = ""  # it depends on what was said before
        found: list[Turn] = []
        if self._rng.random() < self._chances.repeat:
            async with anyio.create_task_group() as tasks:
                for each in self._rng.sample(list(self._workers), 2):
                    tasks.start_soon(self._post, each, body, expected, found)
        for _ in range(POSTS_EACH):
            where = worker or self._rng.choice(self._workers)
            if found or await self._post(where, body, expected, found):
                break
            worker = None
            await anyio.sleep(_PAUSE_S)
        if not found:
            return None
        self._conversation_id = found[0].conversation_id
        return found[0]

    async def _post(
        self, worker: Worker, body: dict[str, object], expected: str, found: list[Turn]
    ) -> bool:
        """Ask once; return whether the answer was a definite one, and note the turn it started."""
        began, status = monotonic(), 0
        told: dict[str, Any] = {}
        key = str(body["message"])
        headers = {"Idempotency-Key": key.replace(" ", "-")}
        try:
            answer = await self.http.post(f"{worker.url}{TURNS}", json=body, headers=headers)
            status, told = answer.status_code, answer.json()
        except (httpx.HTTPError, ValueError):
            pass
        result: Result = "ok" if status in _ACCEPTED else "info"
        if status in range(400, _SERVER_ERROR):
            result = "fail"
        turn_id = told.get("turn_id", "") if result == "ok" else ""
        self._recorder.add(
            self.name,
            "post",
            result=result,
            turn=turn_id,
            key=key,
            name=str(body["chatbot_id"]),
            text=expected,
            worker=worker.name,
            status=status,
            took_s=monotonic() - began,
        )
        if turn_id:
            found.append(Turn(turn_id, told["conversation_id"]))
        return result != "info"

    async def _meddle(self, turn: Turn) -> None:
        """Ask for the state, and maybe stop the turn, wherever it may run."""
        await anyio.sleep(self._rng.uniform(0.1, 4.0))
        await self.look(turn.turn_id)
        if self._rng.random() < self._chances.cancel:
            seen = {"seen": turn.last_id} if turn.last_id and self._rng.random() < 0.5 else {}
            worker = self._rng.choice(self._workers)
            await self._call("cancel", turn.turn_id, worker, seen)

    async def look(self, turn_id: str) -> str:
        """Ask some worker for a turn's state; return its status, "" where it did not say."""
        return await self._call("state", turn_id, self._rng.choice(self._workers))

    async def _call(
        self, op: str, turn_id: str, worker: Worker, body: dict[str, str] | None = None
    ) -> str:
        began, status = monotonic(), 0
        told: dict[str, Any] = {}
        path = f"{worker.url}{TURNS}/{turn_id}"
        try:
            if op == "cancel":
                answer = await self.http.post(f"{path}/cancel", json=body)
            else:
                answer = await self.http.get(path)
            status = answer.status_code
            told = answer.json() if status in _ACCEPTED else {}
        except (httpx.HTTPError, ValueError):
            pass
        name = str(told.get("status", ""))
        self._recorder.add(
            self.name,
            "cancel" if op == "cancel" else "state",
            result="ok" if name else "info",
            turn=turn_id,
            name=name,
            worker=worker.name,
            status=status,
            took_s=monotonic() - began,
        )
        return name

    async def read_all(self, turns: Sequence[Turn]) -> None:
        """Read turns that have ended, as a new reader of each, and ask how they ended."""
        self._chances = Chances(cut=0, leave=0)
        async with self._client() as self.http:
            for turn in turns:
                await self.follow(turn)
                await self.look(turn.turn_id)

    async def follow(self, turn: Turn, *, worker: Worker | None = None) -> None:
        """Read a turn as one more reader, from the beginning to its end, coming back each time.

        Args:
            turn: What to read.
            worker: Where to begin.
        """
        self._followed += 1
        reader = Reader(f"{self.name} reader {self._followed}", turn, self._recorder)
        place = self._rng.randrange(len(self._workers))
        if worker is not None:
            place = self._workers.index(worker)
        leaves = self._rng.random() < self._chances.leave
        while True:
            cut_after = self._rng.randint(1, 60) if self._rng.random() < self._chances.cut else 0
            if await reader.attach(self.http, self._workers[place], cut_after):
                break
            if leaves and cut_after:
                reader.leave()
                return
            place = (place + 1) % len(self._workers)
            await anyio.sleep(self._rng.uniform(0.1, _PAUSE_S))
        turn.ended.set()


class Reader:
    """A reader of one turn: its cursor, and what it records."""

    def __init__(self, name: str, turn: Turn, recorder: Recorder) -> None:
        self._name = name
        self._turn = turn
        self._recorder = recorder
        self._place = (0, 0)
        self._is_ended = False

    async def attach(self, http: httpx.AsyncClient, worker: Worker, cut_after: int) -> bool:
        """Read until the connection ends, or so many events have come (0: all of them).

        Returns whether the turn has ended.
        """
        try:
            how = await self._read(http, worker, cut_after)
        except httpx.TimeoutException:
            how = "timeout"
        except httpx.HTTPError:
            how = "error"
        self._recorder.add(self._name, "close", turn=self._turn.turn_id, name=how)
        return self._is_ended

    def leave(self) -> None:
        """Go for good."""
        self._recorder.add(self._name, "close", turn=self._turn.turn_id, name=LEFT)

    async def _read(self, http: httpx.AsyncClient, worker: Worker, cut_after: int) -> str:
        turn_id, (epoch, seq) = self._turn.turn_id, self._place
        headers = {"Last-Event-ID": f"{turn_id}.{epoch}-{seq}"} if seq else {}
        url = f"{worker.url}{TURNS}/{turn_id}/events"
        limits = httpx.Timeout(SILENCE_S, connect=2.0)
        async with http.stream("GET", url, headers=headers, timeout=limits) as answer:
            self._recorder.add(
                self._name,
                "open",
                turn=turn_id,
                epoch=epoch,
                seq=seq,
                worker=worker.name,
                status=answer.status_code,
            )
            if answer.status_code != httpx.codes.OK:
                self._is_ended = answer.status_code == httpx.codes.NO_CONTENT
                return str(answer.status_code)
            return await self._take_all(answer, cut_after)

    async def _take_all(self, answer: httpx.Response, cut_after: int) -> str:
        count = 0
        async for event in EventSource(answer).aiter_sse():
            self._take(event)
            count += 1
            if event.event == "bye":
                return "bye"
            if count == cut_after:
                return "cut"
        return "end"

    def _take(self, event: ServerSentEvent) -> None:
        epoch = seq = 0
        if event.event not in {"heartbeat", "bye"}:
            epoch, seq = _place_of(event.id)
            self._place, self._turn.last_id = (epoch, seq), event.id
        data: dict[str, Any] = msgspec.json.decode(event.data)
        self._recorder.add(
            self._name,
            "event",
            turn=self._turn.turn_id,
            epoch=epoch,
            seq=seq,
            name=event.event,
            text=str(data["text"]) if event.event in _TEXTUAL else "",
            digest=digest_of(event.event, event.data),
        )
        self._is_ended = self._is_ended or event.event in TERMINAL


def _place_of(event_id: str) -> tuple[int, int]:
    epoch, _, seq = event_id.rpartition(".")[2].partition("-")
    return int(epoch), int(seq)
