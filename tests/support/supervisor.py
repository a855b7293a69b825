"""supervisord with the configuration of this repository, in a folder of the test."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc

from tests.chaos.cluster import free_port
from tests.support.machine import program
from tests.support.production import PRODUCTION
from tests.support.server import ROOT

START_S = 30.0
END_S = 30.0
COMMAND_S = 600.0
DRAIN_S = 2


@dataclass(frozen=True)
class Installation:
    """An installation below a folder: releases, settings, ports."""

    folder: Path
    ports: Sequence[int]

    @property
    def root(self) -> Path:
        """Where releases are."""
        return self.folder / "opt"

    @property
    def environment(self) -> Path:
        """The file of settings."""
        return self.folder / "environment"

    @property
    def socket(self) -> Path:
        """Where supervisord is asked."""
        return self.folder / "run/supervisor.sock"

    def command(self, name: str, *options: str) -> list[str]:
        """Return the words of `scripts/deploy` or `scripts/rollback` for this installation."""
        words = [sys.executable, str(ROOT / "scripts" / name), "--root", str(self.root)]
        words += ["--environment", str(self.environment), "--socket", str(self.socket)]
        return [*words, *options]

    async def run(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run one of these scripts to its end."""
        with anyio.fail_after(COMMAND_S):
            done = await anyio.run_process(self.command(name, *options), check=False)
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def control(self, *words: str) -> str:
        """Return what supervisorctl says."""
        command = [program("supervisorctl", "supervisor"), "-c"]
        command += [str(self.folder / "supervisord.conf"), *words]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=END_S)
        return done.stdout

    def pids(self) -> list[int]:
        """Return the instances' processes, those that are starting too, by port; 0 for none."""
        names = [f"chatstream:chatstream-{port}" for port in self.ports]
        told = self.control("pid", *names).splitlines()
        found = [int(line) for line in told if line.isdigit()]
        return found or [0] * len(names)  # no supervisord answered

    def releases(self) -> list[str]:
        """Return the release that each instance runs, by port; "" where there is none."""
        return [_release_of(pid) for pid in self.pids()]


def _release_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().name if pid else ""
    except FileNotFoundError:  # it has just gone
        return ""


def installed(folder: Path, settings: Mapping[str, object], *options: str) -> Installation:
    """Write settings and configuration for two instances; `options` are `render`'s."""
    first = _two_free_ports()
    made = Installation(folder, [first, first + 1])
    for name in ("run", "log", "data"):
        (folder / name).mkdir(parents=True)
    lines = {**PRODUCTION, "data_dir": folder / "data", "tts_engine": "off", **settings}
    text = "".join(f"{name.upper()}={value}\n" for name, value in lines.items())
    made.environment.touch(0o600)
    made.environment.write_text(text, encoding="utf-8")
    render(folder, made, *options)
    return made


def render(folder: Path, made: Installation, *options: str) -> None:
    """Write supervisord.conf."""
    command = [sys.executable, str(ROOT / "deploy/supervisor/render"), "--out", str(folder)]
    command += ["--first-port", str(made.ports[0]), "--root", str(made.root), "--user", ""]
    command += ["--environment", str(made.environment), "--log-dir", str(folder / "log")]
    command += ["--run-dir", str(folder / "run"), "--drain-s", str(DRAIN_S)]
    command += ["--descriptors", "4096", "--python", sys.executable, *options]
    subprocess.run(command, check=True, timeout=30)


def _two_free_ports() -> int:
    while not _is_free((first := free_port()) + 1):
        pass
    return first


def _is_free(port: int) -> bool:
    with socket.socket() as place:
        try:
            place.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@asynccontextmanager
async def running_supervisor(made: Installation) -> AsyncGenerator[anyio.abc.Process, None]:
    """Run supervisord until the block ends; the instances may still be starting.

    Skips the test where supervisor is not installed; fails where REQUIRE_SERVICES=1.
    """
    supervisord = program("supervisord", "supervisor")
    with (made.folder / "output").open("ab") as output:
        process = await anyio.open_process(
            [supervisord, "-n", "-c", str(made.folder / "supervisord.conf")],
            cwd=made.folder,
            env={"PATH": os.defpath},
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True), anyio.fail_after(END_S):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()
