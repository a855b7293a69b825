"""A real Prometheus for tests, on a port of its own, that scrapes workers every second."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx

from tests.support.machine import program
from tests.support.server import client_of

START_S = 30.0

_CONFIG = """
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [{rules}]
scrape_configs:
  - job_name: chatstream
    authorization: {{ credentials_file: {token} }}
    static_configs: [{{ targets: [{targets}] }}]
"""


class Prometheus:
    """The child process, asked over its API."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def query(self, expr: str) -> list[Any]:
        """Return what an expression gives now; it must be valid."""
        answer = await self._http.post("/api/v1/query", data={"query": expr})
        assert answer.status_code == 200, f"{expr}: {answer.text}"
        result: list[Any] = answer.json()["data"]["result"]
        return result

    async def until(self, expr: str) -> list[Any]:
        """Wait until an expression gives something."""
        with anyio.fail_after(START_S):
            while not (result := await self.query(expr)):  # noqa: ASYNC110  # another process
                await anyio.sleep(0.1)
        return result

    async def rules(self) -> list[dict[str, Any]]:
        """Return all rules, as they were evaluated last."""
        answer = await self._http.get("/api/v1/rules")
        assert answer.status_code == 200, answer.text
        return [rule for group in answer.json()["data"]["groups"] for rule in group["rules"]]

    async def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            return (await self._http.get("/-/ready")).status_code == 200
        except httpx.TransportError:
            return False


@asynccontextmanager
async def running_prometheus(
    folder: Path, *, rules: Path, token: Path, targets: list[int]
) -> AsyncIterator[Prometheus]:
    """Run a Prometheus until the block ends.

    Skips the test where it is not installed; fails where REQUIRE_SERVICES=1.

    Args:
        folder: Its data and its log.
        rules: A file of rules.
        token: The file with the operators' token.
        targets: Ports of the workers on 127.0.0.1.
    """
    path = program("prometheus", "Debian package: prometheus")
    port = _free_port()
    config = folder / "prometheus.yml"
    named = ", ".join(f'"127.0.0.1:{target}"' for target in targets)
    config.write_text(_CONFIG.format(rules=rules, token=token, targets=named), encoding="utf-8")
    command = [path, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "prometheus.log").open("wb") as log:
        process = await anyio.open_process(command, stdout=log, stderr=log)
    try:
        async with client_of(port) as http:
            prometheus = Prometheus(http)
            await _started(prometheus, process, folder / "prometheus.log")
            yield prometheus
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def _started(prometheus: Prometheus, process: anyio.abc.Process, log: Path) -> None:
    with anyio.fail_after(START_S):
        while not await prometheus.is_ready():
            assert process.returncode is None, log.read_text()
            await anyio.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
