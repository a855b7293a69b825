"""The listener that asks instances with too much memory to leave; ticks come from the test.

A real supervisord runs stand-ins that hold as much memory as they are told, and answer readiness.
"""

import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest
from anyio.streams.text import TextReceiveStream

from tests.support.chat import until
from tests.support.server import ROOT
from tests.support.supervisor import Installation, installed, running_supervisor

pytestmark = [pytest.mark.services, pytest.mark.long]

STAND_IN = """
import http.server, pathlib, signal, sys
here, port = pathlib.Path(sys.argv[1]), int(sys.argv[2])
held = bytearray(int((here / f"mib-{port}").read_text()) << 20)
for place in range(0, len(held), 4096):
    held[place] = 1
stays = (here / f"stays-{port}").exists()
signal.signal(signal.SIGTERM, signal.SIG_IGN if stays else lambda *_: sys.exit(0))
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if (here / f"unready-{port}").exists() else 200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", port), Ready).serve_forever()
"""
LIMIT_MB, MUCH, LITTLE = 100, 150, 1
STATE_S = 15.0


class Ticks:
    """The listener as supervisord has it: an event goes in, an answer comes out."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self._process = process
        assert process.stdout is not None
        self._answers = TextReceiveStream(process.stdout)

    async def tick(self) -> None:
        """Send one event, and wait until it is dealt with."""
        assert self._process.stdin is not None
        body = "when:1700000000"
        header = f"ver:3.0 server:supervisor serial:1 eventname:TICK_5 len:{len(body)}\n"
        await self._process.stdin.send((header + body).encode())
        told = ""
        with anyio.fail_after(10):
            while "RESULT 2\nOK" not in told:
                told += await self._answers.receive()


def running(made: Installation) -> list[int]:
    """Return the pids of those that supervisord takes for up, 0 for others."""
    told = made.control("status", "chatstream:*")
    up = [re.search(rf"-{port}\s+RUNNING", told) for port in made.ports]
    return [pid if is_up else 0 for pid, is_up in zip(made.pids(), up, strict=True)]


@asynccontextmanager
async def watched(
    folder: Path, mib: tuple[int, int], *, stop_s: float = 10
) -> AsyncGenerator[tuple[Installation, Ticks], None]:
    """Run two stand-ins with so much memory, and the listener."""
    made = installed(folder, {})
    made.root.mkdir()
    (folder / "stand_in.py").write_text(STAND_IN, encoding="utf-8")
    for port, size in zip(made.ports, mib, strict=True):
        (folder / f"mib-{port}").write_text(str(size), encoding="ascii")
    path = folder / "supervisord.conf"
    text = path.read_text(encoding="utf-8").partition("[eventlistener")[0]
    command = rf"command={sys.executable} {folder}/stand_in.py {folder} \1"
    path.write_text(re.sub(r"command=.* --port (\d+) .*", command, text), encoding="utf-8")
    listener = [sys.executable, str(ROOT / "deploy/supervisor/memory_watch"), "--root"]
    listener += [str(made.root), "--drain-above-mb", str(LIMIT_MB), "--stop-s", str(stop_s)]
    async with running_supervisor(made):
        await until(lambda: all(running(made)), within_s=STATE_S)
        with (folder / "said").open("wb") as said:
            process = await anyio.open_process(
                [*listener, "--socket", str(made.socket)], stderr=said
            )
        async with process:
            ticks = Ticks(process)
            yield made, ticks
            process.kill()


async def test_who_has_too_much_memory_leaves_and_comes_back_one_at_a_time(tmp_path: Path) -> None:
    async with watched(tmp_path, (MUCH, MUCH + 50)) as (made, ticks):
        first, heavier = running(made)

        await ticks.tick()
        (tmp_path / f"mib-{made.ports[1]}").write_text(str(LITTLE), encoding="ascii")
        await until(lambda: running(made)[1] not in {0, heavier}, within_s=STATE_S)
        meanwhile = running(made)[0]
        await ticks.tick()  # it serves again
        (tmp_path / f"mib-{made.ports[0]}").write_text(str(LITTLE), encoding="ascii")
        await ticks.tick()
        await until(lambda: running(made)[0] not in {0, first}, within_s=STATE_S)
        after = running(made)
        for _ in range(3):
            await ticks.tick()

        assert meanwhile == first
        assert running(made) == after
    assert (tmp_path / "said").read_text().count("is asked to leave") == 2


async def test_who_does_not_leave_is_killed_when_its_time_is_over(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    async with watched(tmp_path / "site", (LITTLE, LITTLE), stop_s=0.5) as (made, ticks):
        port = made.ports[0]
        (tmp_path / "site" / f"mib-{port}").write_text(str(MUCH), encoding="ascii")
        (tmp_path / "site" / f"stays-{port}").touch()
        made.control("restart", f"chatstream:chatstream-{port}")
        stubborn, lighter = running(made)

        await ticks.tick()
        await anyio.sleep(0.6)
        await ticks.tick()
        await until(lambda: running(made)[0] not in {0, stubborn}, within_s=STATE_S)

        assert running(made)[1] == lighter
    assert "is killed" in (tmp_path / "site/said").read_text()


async def test_while_another_is_not_ready_nobody_is_asked_to_leave(tmp_path: Path) -> None:
    async with watched(tmp_path, (MUCH, LITTLE)) as (made, ticks):
        before, unready = running(made), tmp_path / f"unready-{made.ports[1]}"
        unready.touch()
        await ticks.tick()
        assert running(made) == before
        assert (tmp_path / "said").read_text() == ""

        unready.unlink()
        await ticks.tick()
        await until(lambda: running(made)[0] not in {0, before[0]}, within_s=STATE_S)


async def test_during_a_deployment_nobody_is_asked_to_leave(tmp_path: Path) -> None:
    async with watched(tmp_path, (MUCH, LITTLE)) as (made, ticks):
        before = running(made)
        with deploying(made):
            await ticks.tick()
            await ticks.tick()

        assert running(made) == before
    assert (tmp_path / "said").read_text() == ""


@contextmanager
def deploying(made: Installation) -> Iterator[None]:
    """Hold the lock of deployments."""
    held = "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.flock(f,2); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", held, str(made.root / "deploy.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield
        holder.kill()
