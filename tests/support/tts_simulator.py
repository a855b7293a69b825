"""The TTS simulator as a child process: a Google Cloud Text-to-Speech for tests."""

import json
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
import grpc

from tests.support.child import port_of, stop

_ROOT = Path(__file__).parents[2]
_CALL_S = 5.0


@dataclass(frozen=True, slots=True)
class TtsSimulator:
    """A running simulator."""

    port: int
    process: anyio.abc.Process
    channel: grpc.aio.Channel

    @property
    def endpoint(self) -> str:
        """What `GOOGLE_TTS_ENDPOINT` takes."""
        return f"http://127.0.0.1:{self.port}"

    async def stats(self) -> dict[str, Any]:
        """Return what the simulator saw; see `loadtests/tts_simulator/stats.py`."""
        call = self.channel.unary_unary("/simulator.v1.Simulator/Stats")
        view: dict[str, Any] = json.loads(await call(b"", timeout=_CALL_S))
        return view

    async def reset(self) -> None:
        """Make it forget what it saw, and faults with `times` strike anew."""
        await self.channel.unary_unary("/simulator.v1.Simulator/Reset")(b"", timeout=_CALL_S)

    async def wait_for(
        self, condition: Callable[[dict[str, Any]], bool], *, within_s: float = 5.0
    ) -> dict[str, Any]:
        """Return the first statistics that fulfil a condition.

        Raises:
            TimeoutError: None did in time.
        """
        # No cancel scope: gRPC's cancellations are not recognised by it.
        until = anyio.current_time() + within_s
        while not condition(view := await self.stats()):
            if anyio.current_time() > until:
                raise TimeoutError(f"still {view}")
            await anyio.sleep(0.01)
        return view


@asynccontextmanager
async def running_tts_simulator(**options: float) -> AsyncGenerator[TtsSimulator, None]:
    """Run a simulator on a free port for the length of the block.

    Args:
        options: As on the command line: `latency`, `latency_per_audio_s`, `sigma`, `seed`,
            `max_sentence`, `burst_every`, `burst_length`, `idle`, `voices_fail`, `slow`. Without
            any it answers at once.
    """
    settings: dict[str, float] = {"latency": 0, "latency_per_audio_s": 0, "sigma": 0} | options
    with tempfile.TemporaryDirectory() as folder:
        port_file = anyio.Path(folder) / "port"
        command = [sys.executable, "-m", "loadtests.tts_simulator", "--port", "0"]
        command += ["--port-file", str(port_file)]
        command += [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        process = await anyio.open_process(
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=None, stderr=None
        )
        try:
            port = await port_of(process, port_file)
            # No proxy of the environment may come between.
            channel = grpc.aio.insecure_channel(
                f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]
            )
            async with channel:
                yield TtsSimulator(port, process, channel)
        finally:
            await stop(process)
