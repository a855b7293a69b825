"""The LLM simulator as a child process: a real upstream for tests of whatever calls a model."""

import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx

from tests.support.child import port_of, stop

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator."""

    port: int
    process: anyio.abc.Process
    http: httpx.AsyncClient

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def stats(self) -> dict[str, Any]:
        """Return what the simulator saw; see `loadtests/llm_simulator/stats.py`."""
        answer = await self.http.get("/_stats")
        view: dict[str, Any] = answer.raise_for_status().json()
        return view

    async def reset(self) -> None:
        """Make it forget what it saw, and fault models with `times` fail anew."""
        (await self.http.post("/_reset")).raise_for_status()

    async def wait_for(
        self, condition: Callable[[dict[str, Any]], bool], *, within_s: float = 5.0
    ) -> dict[str, Any]:
        """Return the first statistics that fulfil a condition.

        Raises:
            TimeoutError: None did in time.
        """
        with anyio.fail_after(within_s):
            while not condition(view := await self.stats()):  # noqa: ASYNC110  another process
                await anyio.sleep(0.01)
        return view


@asynccontextmanager
async def running_simulator(**options: float | str) -> AsyncGenerator[Simulator, None]:
    """Run a simulator on a free port for the length of the block.

    Args:
        options: Its defaults, as on the command line: `ttft`, `rate`, `tokens`, `seed`. Without
            any the first token comes at once and 1,000 follow each second.
    """
    settings = {"ttft": 0.0, "rate": 1000.0, "tokens": 20} | options
    with tempfile.TemporaryDirectory() as folder:
        port_file = anyio.Path(folder) / "port"
        command = [sys.executable, "-m", "loadtests.llm_simulator", "--port", "0"]
        command += ["--port-file", str(port_file)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        process = await anyio.open_process(
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=None, stderr=None
        )
        try:
            port = await port_of(process, port_file)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                yield Simulator(port, process, http)
        finally:
            await stop(process)
