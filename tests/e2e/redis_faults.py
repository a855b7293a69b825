"""Two workers whose Redis goes wrong in mid-answer, and what they tell of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Protocol

import anyio
import httpx
from httpx_sse import EventSource, ServerSentEvent
from redis import Redis

from tests.chaos.cluster import Worker
from tests.chaos.guests import Model, Turn
from tests.chaos.scene import WAIT_S, Judged, Scene
from tests.support.fault_proxy import TO_CLIENT, FaultProxy

SHORT = Model("short", "sim:tokens=60,rate=20,ttft=0.1", 60)
LONG = Model("long", "sim:tokens=240,rate=20,ttft=0.1", 240)
LOST_BYTES = 200
"""Several replies."""


@asynccontextmanager
async def recorded(scene: Scene, name: str) -> AsyncIterator[None]:
    """Record a fault that is at work while the block runs: the judge excuses its seconds."""
    began = monotonic()
    yield
    scene.recorder.add("test", "fault", name=name, worker="all", took_s=monotonic() - began)


async def until_told(scene: Scene, worker: Worker, status: str) -> None:
    """Wait until a worker's health and metrics tell this of Redis, and it takes requests."""
    gauge = {"healthy": 0, "unhealthy": 1}[status]
    http = scene.guest.http
    with anyio.fail_after(WAIT_S):
        while True:
            health = (await http.get(f"{worker.url}/health")).json()
            metrics = (await http.get(f"{worker.url}/metrics")).text
            is_told = f"\nchat_redis_down {gauge}.0\n" in metrics
            if health["checks"]["redis"]["status"] == status and is_told:
                break
            await anyio.sleep(0.05)
    assert (await http.get(f"{worker.url}/health/ready")).status_code == httpx.codes.OK


async def until_both_tell(scene: Scene, status: str) -> None:
    """Wait until both workers tell this of Redis."""
    for worker in (scene.a, scene.b):
        await until_told(scene, worker, status)


async def until_both_listen_again(scene: Scene) -> None:
    """Wait until both workers, which had lost Redis, are well and hear of what is written."""
    await until_both_tell(scene, "healthy")
    for worker in (scene.a, scene.b):
        await scene.until(partial(_listens_again, worker))


def _listens_again(worker: Worker) -> bool:
    log = worker.log()
    return log.rfind("event_log.listening_again") > log.rfind("event_log.not_listening")


async def answers_meanwhile(scene: Scene) -> Sequence[Turn]:
    """Have a turn on each worker, read where it was started, while Redis is away."""
    turns = []
    for worker in (scene.a, scene.b):
        turn = await scene.start(SHORT, worker)
        with anyio.fail_after(WAIT_S):
            await scene.guest.follow(turn, worker=worker)
        turns.append(turn)
    return turns


def names(events: Sequence[ServerSentEvent]) -> list[str]:
    """Return what the events are."""
    return [event.event for event in events]


async def attached(
    scene: Scene, turn: Turn, worker: Worker, last_event_id: str = ""
) -> Sequence[ServerSentEvent]:
    """Return what one reader on a worker is told until its connection ends."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    url = f"{worker.url}/api/v1/turns/{turn.turn_id}/events"
    with anyio.fail_after(WAIT_S):
        async with scene.guest.http.stream("GET", url, headers=headers) as answer:
            assert answer.status_code == httpx.codes.OK
            return [event async for event in EventSource(answer).aiter_sse()]


def closed(scene: Scene, turn: Turn, how: str) -> int:
    """Return how many readers of a turn have been left so."""
    return sum(
        each.op == "close" and each.turn == turn.turn_id and each.name == how
        for each in scene.recorder.operations
    )


def assert_unharmed(judged: Judged, turn: Turn) -> None:
    """Assert that a turn had one holder and no reader a reset; its text is judged already."""
    stored = judged.stored(turn)
    assert (stored.name, stored.epoch, judged.resets()) == ("completed", 1, 0)


async def lose_replies(scene: Scene, link: FaultProxy) -> None:
    """Let replies vanish until some were lost, then reset what has lost them."""
    before = link.counts.dropped_bytes
    link.drop(TO_CLIENT)
    await scene.until(lambda: link.counts.dropped_bytes > before + LOST_BYTES)
    await link.heal()


class Refuse(Protocol):
    """Makes a Redis refuse what workers ask, or ends that."""

    def __call__(self, client: Redis, *, is_over: bool) -> None: ...


def read_only(client: Redis, *, is_over: bool) -> None:
    """Make it a replica of a server that is not there."""
    where = ("NO", "ONE") if is_over else ("127.0.0.1", "1")
    client.replicaof(*where)


def signed_out(client: Redis, *, is_over: bool) -> None:
    """Give it a password that only this client is signed in by."""
    client.config_set("requirepass", "" if is_over else "other")
    for kind in ("normal", "pubsub"):
        client.client_kill_filter(_type=kind, skipme=True)


def attempts_at(client: Redis, scene: Scene) -> int:
    """Return how often workers have connected to Redis, and scripts been run there, so far."""
    stats = client.info("commandstats")
    scripts = [stats.get(f"cmdstat_{name}", {"calls": 0}) for name in ("evalsha", "eval")]
    connections = sum(worker.redis.counts.connections for worker in (scene.a, scene.b))
    return connections + sum(int(each["calls"]) for each in scripts)


@dataclass(frozen=True, slots=True)
class Lag:
    """How late the event loop of a worker was: looks in all, and those of 50 ms or more."""

    looks: float
    late: float

    def since(self, before: "Lag") -> "Lag":
        """Return what has come since."""
        return Lag(self.looks - before.looks, self.late - before.late)

    @property
    def late_share(self) -> float:
        """Of all looks."""
        return self.late / self.looks


async def lag_of(scene: Scene, worker: Worker) -> Lag:
    """Return how late a worker's event loop has been so far."""
    metrics = (await scene.guest.http.get(f"{worker.url}/metrics")).text
    name = "chat_event_loop_lag_seconds"
    figures = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith(name))
    looks = float(figures[f"{name}_count"])
    return Lag(looks, looks - float(figures[f'{name}_bucket{{le="0.05"}}']))
