"""A real Redis for tests: redis-server as a child process, on a port and a socket of its own."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError  # noqa: A004
from redis.retry import Retry

_STARTING = (ConnectionError, TimeoutError, BusyLoadingError)


class RedisServer:
    """The child process. It is stopped by its own id, never by name."""

    def __init__(
        self, command: list[str], port: int, folder: Path, *, password: str | None
    ) -> None:
        self._command = command
        self._password = password
        self._folder = folder
        self.port = port
        self.url = f"redis://127.0.0.1:{port}"
        self.socket_url = f"unix://{folder / 'redis.sock'}"
        self._process = self._started()

    def client(self, *, decode_responses: bool = False) -> Redis:
        """Return a client beside those under test; whoever takes it closes it."""
        return Redis(
            port=self.port,
            password=self._password,
            retry=Retry(ConstantBackoff(0.02), 500, supported_errors=_STARTING),
            socket_timeout=10,
            decode_responses=decode_responses,
        )

    def pause(self) -> None:
        """Stop the server in its tracks: connections stay open, nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the server at once, as a crash would; nothing that it held is kept."""
        self._process.kill()
        self._process.wait(timeout=10)

    def restart(self) -> None:
        """Start the server again on the same port, empty, and wait until it answers."""
        self._process = self._started()
        self.wait()

    def wait(self) -> None:
        """Wait until the server answers."""
        with self.client() as client:
            client.dbsize()

    def _started(self) -> subprocess.Popen[bytes]:
        with (self._folder / "output").open("ab") as output:
            return subprocess.Popen(self._command, stdout=output, stderr=output, cwd=self._folder)


@contextmanager
def running_redis(
    folder: Path, *options: str, password: str | None = None
) -> Iterator[RedisServer]:
    """Run a server on a free port of 127.0.0.1 that keeps nothing on disk.

    Skips the test where redis-server is not installed; fails where REQUIRE_SERVICES=1.
    """
    port = _free_port()
    command = [_redis_path(), "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    command += ["--appendonly", "no", "--unixsocket", str(folder / "redis.sock"), *options]
    if password is not None:
        command += ["--requirepass", password]
    server = RedisServer(command, port, folder, password=password)
    try:
        server.wait()
        yield server
    finally:
        server.kill()


def _redis_path() -> str:
    if path := shutil.which("redis-server"):
        return path
    reason = "redis-server is not installed"
    if os.environ.get("REQUIRE_SERVICES") == "1":  # noqa: TID251 - a switch of the tests, not a setting
        pytest.fail(reason)
    pytest.skip(reason)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
