"""A MongoDB wire server for tests: nx-27017 as a child process, with its own port and folder."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymongo import MongoClient

_ENVIRONMENT = os.environ  # noqa: TID251  # where to test is told by the environment, not by settings

MONGODB_TEST_URI = _ENVIRONMENT.get("MONGODB_TEST_URI", "")
"""A real MongoDB to run the suites against as well; empty where there is none."""


class MongoServer:
    """The child process. It is stopped by its own id, never by name."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port
        self.uri = f"mongodb://127.0.0.1:{port}"

    def pause(self) -> None:
        """Stop the server in its tracks: connections stay open, nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self._process.kill()
        self._process.wait(timeout=10)


@contextmanager
def running_mongo(folder: Path, *, port: int | None = None) -> Iterator[MongoServer]:
    """Run a server on a free port of 127.0.0.1; what it stores lives in `folder`.

    Skips the test where nx-27017 is not installed; fails where REQUIRE_SERVICES=1.
    """
    _require_nx()
    port = port or _free_port()
    command = [sys.executable, "-m", "nx_27017.nx_27017", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--data-dir", str(folder / "data")]
    command += ["--log-file", str(folder / "log"), "--pid-file", str(folder / "pid")]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    server = MongoServer(process, port)
    try:
        _wait_until_up(server.uri)
        yield server
    finally:
        server.kill()


def _wait_until_up(uri: str) -> None:
    client: MongoClient[dict[str, object]] = MongoClient(uri, serverSelectionTimeoutMS=20_000)
    with client:
        client.admin.command("ping")


def _require_nx() -> None:
    if importlib.util.find_spec("nx_27017") is not None:
        return
    reason = "nx-27017 is not installed: pip install -e '.[dev]'"
    if _ENVIRONMENT.get("REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
