"""Instances under supervisor and nginx that change their release while people read."""

import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import anyio
import httpx
import pytest

from tests.chaos.cluster import DATABASE, Cluster, Worker
from tests.chaos.guests import Chances, Guest, Model
from tests.chaos.invariants import judge
from tests.chaos.records import Recorder
from tests.chaos.stores import LeaseWatch, record_stored
from tests.chaos.view import View
from tests.deploy.sources import BROKEN, DEAF, NEWER, packed
from tests.support.chat import until
from tests.support.mongo import running_mongo
from tests.support.nginx import running_nginx
from tests.support.redis import running_redis
from tests.support.server import ROOT, client_of
from tests.support.simulator import running_simulator
from tests.support.supervisor import Installation, installed, running_supervisor

pytestmark = [pytest.mark.services, pytest.mark.long]

GUESTS, READERS = 50, 2
TOKENS, RATE = 36, 3.0
MODEL = Model("default", f"sim:tokens={TOKENS},rate={RATE:g},ttft=0.2", TOKENS)
PLAIN = Chances(repeat=0, cancel=0, cut=0, leave=0, same_conversation=0)
READY_S = 40.0


class Front(Worker):
    """nginx, as callers have it: one address, whoever answers."""

    def __init__(self, url: str) -> None:
        self.name = "nginx"
        self._url = url

    @property
    def url(self) -> str:
        """Where the service is called."""
        return self._url


@dataclass
class Site:
    """All that runs: two instances of release 1.0 to begin with, behind nginx."""

    made: Installation
    cluster: Cluster

    @property
    def front(self) -> Worker:
        """Where guests ask."""
        return self.cluster.workers[0]


@asynccontextmanager
async def running_site(folder: Path) -> AsyncGenerator[Site, None]:
    """Run everything until the block ends."""
    async with AsyncExitStack() as stack:
        for name in ("redis", "mongo", "site", "nginx"):
            (folder / name).mkdir()
        redis = stack.enter_context(running_redis(folder / "redis"))
        mongo = stack.enter_context(running_mongo(folder / "mongo"))
        simulator = await stack.enter_async_context(running_simulator())
        settings = {
            "redis_url": redis.url,
            "mongodb_uri": f"{mongo.uri}/{DATABASE}",
            "openai_base_url": simulator.base_url,
            "openai_model": MODEL.name,
            "allowed_hosts": "localhost",
            "trusted_proxies": "127.0.0.1",
            "allow_guests": True,
            "default_streaming_percentage": 100,
            "rate_limit_enabled": False,
            "heartbeat_s": 2,
        }
        made = installed(folder / "site", settings)
        await deploy(made, packed(folder), "1.0", "--no-roll")
        await stack.enter_async_context(running_supervisor(made))
        options = ["--upstream", f"127.0.0.1:{made.ports[1]}", "--connections", "1000"]
        options += ["--requests-per-s", "1000", "--burst", "2000"]
        nginx = await stack.enter_async_context(
            running_nginx(folder / "nginx", upstream=made.ports[0], options=options)
        )
        for port in made.ports:
            await until_ready(port)
        yield Site(made, Cluster([Front(nginx.url)], redis, mongo, simulator))


async def deploy(made: Installation, source: Path, name: str, *options: str) -> str:
    """Deploy a source; return what was said."""
    venv = ["--venv", str(ROOT / ".venv")]
    done = await made.run("deploy", "--from", str(source), "--name", name, *venv, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def until_ready(port: int) -> None:
    """Wait until an instance takes requests."""
    async with client_of(port) as client:
        with anyio.fail_after(READY_S):
            while not await is_ready(client):  # noqa: ASYNC110  another process
                await anyio.sleep(0.1)


async def is_ready(client: httpx.AsyncClient) -> bool:
    """Ask an instance whether it takes requests."""
    try:
        return (await client.get("/health/ready")).is_success
    except httpx.TransportError:
        return False


class Crowd:
    """Guests who ask and read through nginx, one turn after another, until they are to end."""

    def __init__(self, site: Site, recorder: Recorder) -> None:
        self._site = site
        self._recorder = recorder
        self._is_open = True
        self.reading = 0

    async def come(self) -> None:
        """Ask and read until `close`, and to the end of what was begun."""
        async with anyio.create_task_group() as tasks:
            for number in range(GUESTS):
                tasks.start_soon(self._be_guest, number)
                await anyio.sleep(TOKENS / RATE / GUESTS)

    def close(self) -> None:
        """Begin nothing new."""
        self._is_open = False

    async def _be_guest(self, number: int) -> None:
        rng = random.Random(number)  # noqa: S311  # when to come back, no secret
        guest = Guest(f"guest {number}", [self._site.front], self._recorder, rng=rng, chances=PLAIN)
        async with guest.here():
            while self._is_open:
                self.reading += READERS
                await guest.have_turn(MODEL, readers=READERS)
                self.reading -= READERS

    async def change(self, name: str, *words: str, status: int = 0) -> tuple[str, float]:
        """Run a script while they read; return what it said, and how long it took."""
        assert self.reading >= GUESTS * READERS
        began = monotonic()
        done = await self._site.made.run(name, *words)
        took_s = monotonic() - began
        self._recorder.add("nemesis", "fault", name="roll", took_s=took_s)
        assert done.returncode == status, done.stdout + done.stderr
        print(name, f"{took_s:.1f} s", done.stdout, done.stderr)  # noqa: T201  # the figures in docs
        return done.stdout + done.stderr, took_s


async def test_releases_go_forth_and_back_under_a_hundred_streams_and_nobody_loses_a_word(
    tmp_path: Path,
) -> None:
    newer = ["--from", str(packed(tmp_path, NEWER, name="newer")), "--name", "99.2"]
    deaf = ["--from", str(packed(tmp_path, DEAF, name="deaf")), "--name", "99.3"]
    broken = ["--from", str(packed(tmp_path, BROKEN, name="broken")), "--name", "99.4"]
    venv = ["--venv", str(ROOT / ".venv")]
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with running_site(tmp_path) as site, anyio.create_task_group() as tasks:
            crowd = Crowd(site, recorder)
            tasks.start_soon(LeaseWatch(site.cluster.redis.port, recorder).run)
            async with anyio.create_task_group() as guests:
                guests.start_soon(crowd.come)
                await until(lambda: crowd.reading >= GUESTS * READERS, within_s=READY_S)

                await crowd.change("deploy", "--restart")
                await crowd.change("deploy", *newer, *venv)
                forth = site.made.releases()
                await crowd.change("deploy", *deaf, *venv, "--ready-s", "8", status=1)
                after_deaf = site.made.releases()
                await crowd.change("deploy", *broken, *venv, status=1)
                after_broken = site.made.releases()
                await crowd.change("rollback")
                back = site.made.releases()
                crowd.close()
            record_stored(site.cluster, recorder)
            tasks.cancel_scope.cancel()
    view = View(recorder.operations)

    assert (forth, back) == (["99.2"] * 2, ["1.0"] * 2)
    assert after_deaf == after_broken == ["99.2"] * 2
    assert judge(view) == []
    assert refused(view) == []
    assert {each.name for each in view.stored.values()} == {"completed"}
    assert sum(len(reader.resets) for reader in view.readers) == 0
    print(len(view.stored), "turns", len(view.readers), "readers", len(view.opens), "opens")  # noqa: T201


def refused(view: View) -> list[str]:
    """Return the requests that failed."""
    failed = [f"post {each.status}" for each in view.posts if each.result != "ok"]
    failed += [f"{each.op} {each.status}" for each in view.states if each.result != "ok"]
    return failed + [f"open {each.status}" for each in view.opens if each.status not in {200, 204}]
