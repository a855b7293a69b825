"""Instances under supervisor and nginx that change their release while people read."""

import os
import random
import signal
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
from tests.chaos.records import Recorder, digest_of
from tests.chaos.stores import LeaseWatch, record_stored
from tests.chaos.view import Bounds, View
from tests.deploy.errands import PATIENCE_S, Errands, knocking
from tests.deploy.sources import BROKEN, DEAF, NEWER, packed
from tests.support.chat import until
from tests.support.espeak import require_espeak
from tests.support.mongo import running_mongo
from tests.support.nginx import Nginx, running_nginx
from tests.support.production import PRODUCTION
from tests.support.redis import running_redis
from tests.support.server import ROOT, client_of
from tests.support.simulator import running_simulator
from tests.support.supervisor import Installation, installed, running_supervisor

pytestmark = [pytest.mark.services, pytest.mark.long]

GUESTS, READERS = 50, 2
TOKENS, RATE = 36, 3.0
MODEL = Model("default", f"sim:tokens={TOKENS},rate={RATE:g},ttft=0.2", TOKENS)
PLAIN = Chances(repeat=0, cancel=0, cut=0, leave=0, same_conversation=0)
READY_S = 60.0
HEARD_S = 10.0
"""An instance that has just started may not be told of a flag's change: then it looks itself."""
AWAY = digest_of("bye", '{"reason":"unavailable"}')
"""What nginx tells a reader where no instance took it."""


class Front(Worker):
    """nginx, as callers have it: one address, whoever answers."""

    def __init__(self, url: str) -> None:
        self.name = "nginx"
        self._url = url

    @property
    def url(self) -> str:
        """Where the service is called."""
        return self._url


class PatientGuest(Guest):
    """One who waits, and knocks again where nginx gave up a handshake of ours that took long."""

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            cookies=self._cookies, timeout=PATIENCE_S, transport=knocking(verify=False)
        )


@dataclass
class Site:
    """All that runs: two instances of release 1.0 to begin with, behind nginx."""

    made: Installation
    cluster: Cluster
    nginx: Nginx

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
            "allow_registration": True,
            "tts_engine": "espeak",
            "rate_limit_enabled": False,
            "heartbeat_s": 2,
            "history_timeout_s": PATIENCE_S / 2,
            "redis_timeout_s": PATIENCE_S / 12,
            "request_timeout_s": PATIENCE_S,
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
        await stream_to_guests(nginx)
        yield Site(made, Cluster([Front(nginx.url)], redis, mongo, simulator), nginx)


async def stream_to_guests(nginx: Nginx) -> None:
    """Have guests in the one arm, and whoever has signed in in the other."""
    rule = {"name": "guests", "when": {"role": "guest"}, "serve": "on"}
    body = {"rollout": {"percentage": 0}, "rules": [rule]}
    async with nginx.client() as http:
        http.headers["Authorization"] = f"Bearer {PRODUCTION['admin_token']}"
        answer = await http.put("/api/v1/flags/streaming", json=body)
    assert answer.is_success, answer.text
    await anyio.sleep(HEARD_S)


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
        name, where = f"guest {number}", [self._site.front]
        guest = PatientGuest(name, where, self._recorder, rng=rng, chances=PLAIN)
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

    async def lose_one(self) -> None:
        """Kill an instance while they read; return when it serves again."""
        made = self._site.made
        assert self.reading >= GUESTS * READERS
        began, killed = monotonic(), made.pids()[0]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: made.pids()[0] not in {0, killed}, within_s=READY_S)
        await until_ready(made.ports[0])
        took_s = monotonic() - began
        self._recorder.add("nemesis", "fault", name="kill", took_s=took_s)
        print("killed with -9", f"{took_s:.1f} s")  # noqa: T201  # the figures in docs


@pytest.fixture
def short_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a site is put: eSpeak reads its data from paths of 160 bytes at most."""
    return tmp_path_factory.mktemp("r")


async def test_releases_go_forth_and_back_under_a_hundred_streams_and_nobody_loses_a_word(
    tmp_path: Path, short_path: Path
) -> None:
    require_espeak()
    newer = ["--from", str(packed(tmp_path, NEWER, name="newer")), "--name", "99.2"]
    deaf = ["--from", str(packed(tmp_path, DEAF, name="deaf")), "--name", "99.3"]
    broken = ["--from", str(packed(tmp_path, BROKEN, name="broken")), "--name", "99.4"]
    venv = ["--venv", str(ROOT / ".venv")]
    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with running_site(short_path) as site, anyio.create_task_group() as tasks:
            crowd, errands = Crowd(site, recorder), Errands(site.nginx)
            tasks.start_soon(LeaseWatch(site.cluster.redis.port, recorder).run)
            async with anyio.create_task_group() as guests:
                guests.start_soon(crowd.come)
                guests.start_soon(errands.run)
                await until(lambda: crowd.reading >= GUESTS * READERS, within_s=READY_S)

                await crowd.change("deploy", "--restart")
                await crowd.change("deploy", *newer, *venv)
                forth = site.made.releases()
                await crowd.change("deploy", *deaf, *venv, "--ready-s", "30", status=1)
                after_deaf = site.made.releases()
                await crowd.change("deploy", *broken, *venv, status=1)
                after_broken = site.made.releases()
                await crowd.change("rollback")
                back = site.made.releases()
                errands.close()
                await until(lambda: errands.is_over, within_s=PATIENCE_S)
                calm, cut_off = View(recorder.operations), broken_off(site.nginx)
                await crowd.lose_one()
                crowd.close()
            record_stored(site.cluster, recorder)
            tasks.cancel_scope.cancel()
    view = View(recorder.operations, Bounds(PATIENCE_S, PATIENCE_S))

    assert (forth, back) == (["99.2"] * 2, ["1.0"] * 2)
    assert after_deaf == after_broken == ["99.2"] * 2
    assert judge(view) == []
    assert refused(view) == []
    assert errands.failed == []
    assert cut_off == []
    assert {view.stored[each.turn].name for each in view.posts} == {"completed"}
    assert sum(len(reader.resets) for reader in calm.readers) == 0
    counts = len(view.posts), len(view.readers), len(view.opens), errands.count
    print("{} turns, {} readers, {} opens, {} other requests".format(*counts))  # noqa: T201


def refused(view: View) -> list[str]:
    """Return the requests that failed."""
    failed = [f"post {each.status}" for each in view.posts if each.result != "ok"]
    failed += [f"{each.op} {each.status}" for each in view.states if each.result != "ok"]
    failed += [f"open {each.status}" for each in view.opens if each.status not in {200, 204}]
    events = (each for reader in view.readers for each in reader.operations)
    return failed + [f"{each.process}: nobody took it" for each in events if each.digest == AWAY]


def broken_off(nginx: Nginx) -> list[str]:
    """Return what nginx tells of instances beyond that they do not listen while they are away."""
    lines = (nginx.folder / "error.log").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if "upstream" in line and "Connection refused" not in line]
