"""A server of the run's own, with the simulators behind it, on free ports of 127.0.0.1."""

import contextlib
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from loadtests.bench.measure import BenchError, ready
from loadtests.bench.processes import Child, Command, free_port, running
from loadtests.people.figures import Sample
from loadtests.people.profiles import Profile

_START_S = 20.0
_SAMPLE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Stand:
    """A server that runs, and what it has used, sampled every second."""

    url: str
    samples: list[Sample]


@asynccontextmanager
async def standing(profile: Profile, data: Path, logs: Path) -> AsyncGenerator[Stand, None]:
    """Run a server for a profile for the length of the block.

    Args:
        profile: Says how it is set up, and what its model answers.
        data: What it stores; an empty folder.
        logs: Folder that gets what the processes write.

    Raises:
        BenchError: One of its processes does not start.
    """
    model_port, port = free_port(), free_port()
    engine_port_file = data / "engine.port"
    async with (
        running(_model(model_port), None, logs / "model.log") as model,
        running(_engine(engine_port_file), None, logs / "engine.log") as engine,
    ):
        await ready(model, f"http://127.0.0.1:{model_port}/healthz")
        engine_port = await _told_port(engine, engine_port_file)
        command = _server(profile, data / "server", (port, model_port, engine_port))
        async with running(command, None, logs / "server.log") as server:
            await ready(server, f"http://127.0.0.1:{port}/health/ready")
            stand = Stand(f"http://127.0.0.1:{port}", [])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_watch, server, stand.samples)
                yield stand
                tasks.cancel_scope.cancel()


async def _watch(server: Child, samples: list[Sample]) -> None:
    while not server.has_ended:
        samples.append(
            Sample(time.time(), server.resident_bytes(), server.cpu_s(), _waited_s(server.pid))
        )
        await anyio.sleep(_SAMPLE_EVERY_S)


def _waited_s(pid: int) -> float:
    """Return the seconds that a main thread was ready and had no core; 0 where nobody tells."""
    with contextlib.suppress(OSError, IndexError):
        told = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
        return int(told.split()[1]) * 1e-9
    return 0.0


async def _told_port(engine: Child, path: Path) -> int:
    with anyio.move_on_after(_START_S):
        while not engine.has_ended:
            if path.exists():  # noqa: ASYNC240  # a local file
                return int(path.read_text(encoding="ascii"))  # noqa: ASYNC240
            await anyio.sleep(0.02)
    raise BenchError(f"the TTS simulator does not start:\n{engine.last_words()}")


def _model(port: int) -> Command:
    module = (sys.executable, "-m", "loadtests.llm_simulator", "--port", str(port))
    return Command(module, {})


def _engine(port_file: Path) -> Command:
    module = (sys.executable, "-m", "loadtests.tts_simulator", "--port", "0")
    return Command((*module, f"--port-file={port_file}"), {})


def _server(profile: Profile, data: Path, ports: tuple[int, int, int]) -> Command:
    port, model_port, engine_port = ports
    environment = {
        "PORT": str(port),
        "DATA_DIR": str(data),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
        "OPENAI_API_KEY": "none",
        "OPENAI_MODEL": profile.model.model,
        "DEFAULT_STREAMING_PERCENTAGE": f"{profile.server.streaming_percent:g}",
        "MAX_RESPONSE_CHARS": "1000000",
        "RATE_LIMIT_ALLOW": "127.0.0.1",  # one address is all its users
        "GUEST_TOKENS_PER_DAY": "0",
        "TOKENS_PER_USER_PER_DAY": "0",
        "SPEECH_SECONDS_PER_DAY": "0",
        "LOG_LEVEL": "warning",
        "TTS_ENGINE": "off",
    }
    if profile.server.speech:
        environment["TTS_ENGINE"] = "google"
        environment["GOOGLE_TTS_ENDPOINT"] = f"http://127.0.0.1:{engine_port}"
        environment["TTS_MAX_PARALLEL"] = "64"
    return Command((sys.executable, "-m", "server"), environment)
