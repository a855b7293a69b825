"""nginx with the configuration of this repository, in front of a server of the test."""

import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import anyio
import anyio.abc
import httpx

from tests.support.certificates import self_signed, trusting
from tests.support.machine import program

ROOT = Path(__file__).parents[2]
DOMAIN = "localhost"
START_S = 10.0


@dataclass(frozen=True)
class Nginx:
    """A running nginx: where it listens, and what it writes."""

    https_port: int
    http_port: int
    folder: Path
    pid: int

    @property
    def url(self) -> str:
        """Where the service is to be called."""
        return f"https://{DOMAIN}:{self.https_port}"

    @property
    def access_log(self) -> Path:
        """One JSON object a line."""
        return self.folder / "access.json"

    def client(self) -> httpx.AsyncClient:
        """Return a caller that trusts its certificate; whoever takes it closes it."""
        return httpx.AsyncClient(base_url=self.url, timeout=15, verify=trusting(self.folder))


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on: another process may still be faster."""
    sockets = [socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def rendered(
    folder: Path, *, upstream: int, ports: Sequence[int], options: Sequence[str] = ()
) -> Path:
    """Write the configuration for these ports, and a certificate; return the main file."""
    folder.mkdir(parents=True, exist_ok=True)
    self_signed(folder, f"DNS:{DOMAIN}")
    command = [sys.executable, str(ROOT / "deploy/nginx/render"), "--out", str(folder)]
    command += ["--domain", DOMAIN, "--user", "", "--listen", "127.0.0.1"]
    command += ["--certificate", str(folder / "certificate.pem"), "--key", str(folder / "key.pem")]
    command += ["--https-port", str(ports[0]), "--http-port", str(ports[1])]
    command += ["--upstream", f"127.0.0.1:{upstream}", "--state-dir", str(folder)]
    command += ["--access-log", str(folder / "access.json")]
    command += ["--error-log", str(folder / "error.log"), *options]
    subprocess.run(command, check=True, timeout=30)
    return folder / "nginx.conf"


@asynccontextmanager
async def running_nginx(
    folder: Path, *, upstream: int, options: Sequence[str] = (), beside: str = ""
) -> AsyncGenerator[Nginx, None]:
    """Run nginx before a worker on this port until the block ends.

    Args:
        folder: Where its files are, and its logs.
        upstream: The worker's port.
        options: Of `render`.
        beside: What an operator has in the same `http`.

    Skips the test where nginx is not installed; fails where REQUIRE_SERVICES=1.
    """
    nginx = program("nginx", "nginx")
    ports = free_ports(2)
    main = rendered(folder, upstream=upstream, ports=ports, options=options)
    with (folder / "chatstream.conf").open("a", encoding="utf-8") as site:
        site.write(beside)
    command = [nginx, "-c", str(main), "-p", str(folder), "-e", str(folder / "error.log")]
    process = await anyio.open_process(
        [*command, "-g", "daemon off;"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await _listens(ports[0], process, folder)
        yield Nginx(ports[0], ports[1], folder, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def _listens(port: int, process: anyio.abc.Process, folder: Path) -> None:
    with anyio.fail_after(START_S):
        while not _is_open(port):
            if process.returncode is not None:
                raise AssertionError(f"nginx did not start:\n{(folder / 'error.log').read_text()}")
            await anyio.sleep(0.02)


def _is_open(port: int) -> bool:
    with closing(socket()) as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
