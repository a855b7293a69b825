"""Several workers, all that they share, and between them links that can go wrong.

Each worker has its own links: it can be cut off from Redis while the others are not. A worker that
dies is started again on its port, as by a supervisor.
"""

import re
import signal
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from pymongo import MongoClient

from chatbots.model import Chatbot
from chatbots.mongo import MongoChatbots
from storage.mongo import MongoDatabase
from tests.support.fault_proxy import FaultProxy, running_proxy
from tests.support.mongo import MongoServer, running_mongo
from tests.support.redis import RedisServer, running_redis
from tests.support.server import Server, running_server
from tests.support.simulator import Simulator, running_simulator

DATABASE = "chat"
SETTINGS: Mapping[str, object] = {
    "session_secret": "s" * 40,
    "admin_token": "a" * 40,
    "heartbeat_s": 2,
    "drain_timeout_s": 2,
    "inter_token_timeout_s": 10,
    "max_response_chars": 20_000,
    "max_takeovers": 20,
}
"""Of all workers. More takeovers than by default: a schedule may hit one turn again and again."""

_ERROR = re.compile(r"\[(error|critical) *\]")
_AWAY = re.compile(r"error=(History|Log|Chatbots|Storage)Unavailable")
_RESTART_AFTER_S = 0.3
_READY_S = 30.0


@dataclass(eq=False)
class Worker:
    """One server process at a time, on a port of its own."""

    name: str
    port: int
    folder: Path
    redis: FaultProxy
    mongo: FaultProxy
    upstream: FaultProxy
    settings: Mapping[str, object] = field(default_factory=dict)
    server: Server | None = None
    starts: int = 0
    exits: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def links(self) -> Sequence[FaultProxy]:
        """What lies between it and what it needs."""
        return (self.redis, self.mongo, self.upstream)

    def signal(self, number: signal.Signals) -> bool:
        """Send its process a signal; False where there is none now."""
        if self.server is None or self.server.process.returncode is not None:
            return False
        self.server.signal(number)
        return True

    async def keep(self) -> None:
        """Run it, again and again, until cancelled."""
        settings = {
            **SETTINGS,
            "port": self.port,
            "redis_url": f"redis://127.0.0.1:{self.redis.port}",
            "mongodb_uri": f"mongodb://127.0.0.1:{self.mongo.port}/{DATABASE}",
            "openai_base_url": f"http://127.0.0.1:{self.upstream.port}/v1",
            **self.settings,
        }
        while True:
            try:
                async with running_server(self.folder, is_fronted=False, **settings) as self.server:
                    self.starts += 1
                    self.exits.append(await self.server.process.wait())
            except (AssertionError, TimeoutError):  # what it needs is away: it tries again
                pass
            self.server = None
            await anyio.sleep(_RESTART_AFTER_S)

    async def until_ready(self) -> None:
        """Wait until it serves."""
        with anyio.fail_after(_READY_S):
            while self.server is None:  # noqa: ASYNC110  another process
                await anyio.sleep(0.05)

    def log(self) -> str:
        """Return what its processes have logged."""
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")

    def faults(self) -> list[str]:
        """Return the errors that its processes have logged, but for stores that were away."""
        return [
            line
            for line in self.log().splitlines()
            if _ERROR.search(line) and not _AWAY.search(line)
        ]


@dataclass
class Cluster:
    """Everything that runs."""

    workers: Sequence[Worker]
    redis: RedisServer
    mongo: MongoServer
    simulator: Simulator

    def database(self) -> MongoClient[dict[str, Any]]:
        """Return a client beside the links; whoever takes it closes it."""
        return MongoClient(self.mongo.uri, timeoutMS=10_000)


@asynccontextmanager
async def running_cluster(
    folder: Path, *, workers: int, models: Mapping[str, str], **settings: object
) -> AsyncGenerator[Cluster, None]:
    """Run workers and all that they need until the block ends; all of them serve when it begins.

    Args:
        folder: For data and logs.
        workers: How many.
        models: Chatbots to have, by id: the simulator's model that each asks.
        settings: Of the workers, beside `SETTINGS`.
    """
    for name in ("redis", "mongo"):
        (folder / name).mkdir(parents=True)
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis(folder / "redis"))
        mongo = stack.enter_context(running_mongo(folder / "mongo"))
        simulator = await stack.enter_async_context(running_simulator())
        await _store_chatbots(f"{mongo.uri}/{DATABASE}", models)
        made = []
        for number in range(workers):
            name = f"worker-{number}"
            made.append(
                Worker(
                    name,
                    free_port(),
                    folder / name,
                    redis=await stack.enter_async_context(running_proxy(redis.port)),
                    mongo=await stack.enter_async_context(running_proxy(mongo.port)),
                    upstream=await stack.enter_async_context(running_proxy(simulator.port)),
                    settings=settings,
                )
            )
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        for worker in made:
            tasks.start_soon(worker.keep)
        for worker in made:
            await worker.until_ready()
        yield Cluster(made, redis, mongo, simulator)


async def _store_chatbots(uri: str, models: Mapping[str, str]) -> None:
    database = MongoDatabase(uri, timeout_s=10)
    chatbots = MongoChatbots(database)
    await chatbots.open()
    for chatbot_id, model in models.items():
        await chatbots.put(Chatbot(chatbot_id, chatbot_id, "Answer.", model=model))
    await database.close()


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port
