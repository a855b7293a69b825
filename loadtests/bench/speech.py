"""`python -m loadtests.bench.speech`: how soon answers sound, with how many gaps, at what cost.

A black box: the LLM simulator, the TTS simulator and the server as processes, read over HTTP as a
page would. Takes less than three minutes.
"""

import argparse
import importlib.util
import os
import platform
import random
import re
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from loadtests.bench import measure
from loadtests.bench.processes import Child, Command, Cores, free_port, pin, running
from loadtests.bench.speech_figures import Profile, faults, judged, table
from loadtests.bench.speech_listener import Heard, listen

_RATE = 40
_TTFT_S = 0.35
_START_S = 20.0
_TURN_S = 90.0
_WARM_UP_TURNS = 2
_REPORT_EVERY_S = 2.0
_LATIN = frozenset(re.findall("..", "endefresitptnldasvnbfiplcsrohutridmsvicaskhr"))
_CALLS = re.compile(r"^chat_speech_calls_total\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """One profile: so many turns against a server with such an engine.

    `latency` is the simulated engine's: seconds, and more for each second of audio. None is
    eSpeak NG, of which one process speaks for all turns.
    """

    name: str
    turns: int
    at_once: int = 12
    speech: bool = True
    latency: tuple[float, float] | None = (0.35, 0.1)
    report_every_s: float | None = None
    tokens: int = 140
    seed: int = 1


RUNS = {
    "off": Run("speech off", 48, speech=False),
    "standard": Run("standard", 48),
    "chirp": Run("Chirp", 24, latency=(0.5, 0.2)),
    "playback": Run("standard, playback reported", 24, report_every_s=_REPORT_EVERY_S),
    "espeak": Run("eSpeak", 24, at_once=4, latency=None),
}


def main() -> int:
    """Run the benchmark; return the exit status: 1 where a check failed or a target was missed."""
    arguments = _parser().parse_args()
    if not sys.platform.startswith("linux"):
        print("bench: CPU is read from /proc, which only Linux has", file=sys.stderr)
        return 1
    return anyio.run(_run, arguments, backend_options={"use_uvloop": True})


async def _run(arguments: argparse.Namespace) -> int:
    cores, load_before = Cores.split(), os.getloadavg()[0]
    pin(cores.load)
    profiles: list[Profile] = []
    for name in arguments.runs:
        if name == "espeak" and importlib.util.find_spec("espeakng_loader") is None:
            print("espeak: not installed, left out", file=sys.stderr)
            continue
        print(f"{name} ...", file=sys.stderr)
        profiles.append(await _profile(RUNS[name], arguments, cores))
    print(table(profiles))
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"load average before: {load_before:.1f}")
    broken = [fault for profile in profiles for fault in faults(profile)]
    missed = judged(profiles)
    for line in [*broken[:20], *missed]:
        print(line)
    return 1 if broken or missed else 0


async def _profile(run: Run, arguments: argparse.Namespace, cores: Cores) -> Profile:
    turns = max(1, round(run.turns * arguments.scale))
    async with _serving(run, cores) as served:
        limits = httpx.Limits(max_connections=4 * run.at_once)
        async with httpx.AsyncClient(
            base_url=served.url, timeout=_TURN_S, limits=limits, trust_env=False
        ) as http:
            (await http.get("/api/v1/conversations")).raise_for_status()  # become a guest
            voices = await _voices(http) if run.speech else [None]
            for number in range(_WARM_UP_TURNS):
                await listen(http, f"Warm up, {number}.", voices[-1], None)
            calls, cpu_s = await _calls(http), served.server.cpu_s()
            heard = await _all_turns(http, run, turns, voices)
            cpu_s = served.server.cpu_s() - cpu_s
            calls = await _calls(http) - calls
    return Profile(run.name, run.speech, heard, cpu_s=cpu_s, calls=calls)


async def _voices(http: httpx.AsyncClient) -> Sequence[str]:
    """Return voices that read what the model writes, one for each turn.

    The simulated model has few sentences. Audio is cached by voice: with one for each turn, the
    turns pay for their own, as answers of a real model would.
    """
    listed = (await http.get("/api/v1/speech/voices")).raise_for_status().json()["voices"]
    found = [
        voice["name"]
        for voice in listed
        if voice["language"][:2] in _LATIN and "Fault" not in voice["name"]
    ]
    random.Random(1).shuffle(found)
    return found


async def _calls(http: httpx.AsyncClient) -> float:
    """Return how often engines were asked since the server started."""
    text = (await http.get("/metrics")).raise_for_status().text
    return sum(map(float, _CALLS.findall(text)))


async def _all_turns(
    http: httpx.AsyncClient, run: Run, turns: int, voices: Sequence[str | None]
) -> list[Heard]:
    """Run the turns, so many of them at the same time, begun at different moments."""
    heard: list[Heard] = []
    numbers = iter(range(turns))

    async def some(after_s: float) -> None:
        await anyio.sleep(after_s)
        for number in numbers:
            message = f"Tell me about streaming, please, for the {number}. time."
            voice = voices[number % len(voices)]
            with anyio.fail_after(_TURN_S):
                heard.append(await listen(http, message, voice, run.report_every_s))

    async with anyio.create_task_group() as tasks:
        for place in range(run.at_once):
            tasks.start_soon(some, place * 0.37)
    return heard


@dataclass(frozen=True, slots=True)
class _Served:
    server: Child
    url: str


@asynccontextmanager
async def _serving(run: Run, cores: Cores) -> AsyncGenerator[_Served, None]:
    model_port, engine_port, port = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        model, engine, server = (folder / log for log in ("model.log", "engine.log", "server.log"))
        async with (
            running(_model(model_port, run), cores.load, model) as simulator,
            running(_engine(engine_port, run, folder), cores.load, engine) as speaker,
            running(
                _server(run, folder, (port, model_port, engine_port)), cores.server, server
            ) as child,
        ):
            await measure.ready(simulator, f"http://127.0.0.1:{model_port}/healthz")
            await _until(lambda: speaker.has_ended or (folder / "engine.port").exists())
            await measure.ready(child, f"http://127.0.0.1:{port}/health/ready")
            yield _Served(child, f"http://127.0.0.1:{port}")


def _model(port: int, run: Run) -> Command:
    options = (
        f"--rate={_RATE}",
        f"--ttft={_TTFT_S}",
        f"--tokens={run.tokens}",
        f"--seed={run.seed}",
    )
    module = (sys.executable, "-m", "loadtests.llm_simulator", "--port", str(port))
    return Command((*module, *options), {})


def _engine(port: int, run: Run, folder: Path) -> Command:
    latency_s, per_audio_s = run.latency or (0.0, 0.0)
    options = (f"--latency={latency_s}", f"--latency-per-audio-s={per_audio_s}", "--sigma=0.25")
    module = (sys.executable, "-m", "loadtests.tts_simulator", "--port", str(port))
    return Command((*module, *options, f"--port-file={folder / 'engine.port'}"), {})


def _server(run: Run, folder: Path, ports: Sequence[int]) -> Command:
    port, model_port, engine_port = ports
    engine = {"TTS_ENGINE": "espeak"}
    if run.latency is not None:
        engine = {
            "TTS_ENGINE": "google",
            "GOOGLE_TTS_ENDPOINT": f"http://127.0.0.1:{engine_port}",
            "TTS_MAX_PARALLEL": "64",  # two for each turn: what is measured is one turn's pace
        }
    environment = {
        "PORT": str(port),
        "DATA_DIR": str(folder),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
        "OPENAI_API_KEY": "none",
        "RATE_LIMIT_ENABLED": "false",
        "LOG_LEVEL": "warning",
        **engine,
    }
    return Command((sys.executable, "-m", "server"), environment)


async def _until(claim: Callable[[], bool]) -> None:
    with anyio.fail_after(_START_S):
        while not claim():  # noqa: ASYNC110  another process
            await anyio.sleep(0.02)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench.speech", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--runs", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--scale", type=float, default=1.0, help="times the turns (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
