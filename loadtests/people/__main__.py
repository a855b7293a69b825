"""`python -m loadtests.people PROFILE`: run a profile, judge it, write a report.

Exit status 0: every threshold was held; 1: one was missed; 2: it could not be run.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from loadtests.bench.measure import BenchError
from loadtests.bench.processes import ROOT, Child, Command, free_port, running
from loadtests.people import profiles
from loadtests.people.figures import Result, Sample
from loadtests.people.profiles import Profile, ProfileError
from loadtests.people.report import page
from loadtests.people.stand import standing

LOCUST = ROOT / ".venv-loadtests" / "bin" / "python"
RESULTS = ROOT / "loadtest-results"

_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_FINISH_S = 30  # for who is in the middle of a turn at the end
_SPARE_S = 90.0
_MAX_WORKERS = 16
_BUSY_PERCENT = 20.0


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be run, against what, and where its result goes."""

    profile: Profile
    folder: Path
    seconds: float | None
    seed: int
    workers: int
    host: str
    is_owned: bool
    knows_answers: bool


def main() -> int:
    """Run a profile; return the exit status."""
    told = _parser().parse_args()
    if told.list:
        for name in profiles.names():
            print(f"{name:16} {profiles.profile(name).about}")
        return 0
    try:
        run = _run_of(told)
        counted = None if told.counted is None else _counted(told.counted)
    except (OSError, ValueError) as exc:
        print(f"loadtest: {exc}", file=sys.stderr)
        return 2
    results: list[Result] = []
    if counted is not None:
        return _tell(run, Result.of(run.profile, counted, []))
    try:
        anyio.run(_stoppable, run, results, backend_options={"use_uvloop": True})
    except* (BenchError, OSError) as group:
        print(f"loadtest: {_first(group)}", file=sys.stderr)
    return _tell(run, results[0]) if results else 2


def _tell(run: Run, result: Result) -> int:
    """Print the verdict, write the result and the report; return the exit status."""
    for verdict in result.verdicts():
        print(verdict.line())
    for code, number in result.whole.errors.most_common():
        print(f"error   {code}  {number}")
    waited = result.figures().get("server_waited_percent", 0.0)
    if waited > _BUSY_PERCENT:
        print(
            f"note    the server waited for a core {waited:.0f} % of the time: others are at work"
        )
    load = f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores"
    told = {
        "profile": run.profile.name,
        "is_held": result.is_held(),
        "figures": result.figures(),
        "errors": dict(result.whole.errors),
        "workers": run.workers,
        "seed": run.seed,
        "machine": load,
    }
    (run.folder / "result.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    (run.folder / "report.html").write_text(page(result, load), encoding="utf-8")
    print(f"{run.profile.name}: {'held' if result.is_held() else 'MISSED'}; {load}")
    print(run.folder / "report.html")
    return 0 if result.is_held() else 1


def _run_of(told: argparse.Namespace) -> Run:
    """Return the run that was asked for.

    Raises:
        ProfileError: It is unknown, out of bounds, or against a host that is not one's own.
    """
    profile = profiles.profile(told.profile, seconds=told.seconds)
    if told.host:
        profiles.check_host(told.host, is_owned=told.i_own_this_host)
    if not 0 <= told.workers <= _MAX_WORKERS:
        raise ProfileError(f"0 to {_MAX_WORKERS} workers, not {told.workers}")
    if told.counted is None and not LOCUST.exists():
        raise ProfileError("locust has an environment of its own: `make .venv-loadtests/.ready`")
    moment = time.strftime("%Y%m%d-%H%M%S")
    folder = told.out or RESULTS / f"{profile.name}-{moment}"
    folder.mkdir(parents=True, exist_ok=True)
    return Run(
        profile,
        folder.resolve(),
        told.seconds,
        seed=told.seed,
        workers=told.workers,
        host=told.host,
        is_owned=told.i_own_this_host,
        knows_answers=told.knows_answers or not told.host,
    )


async def _stoppable(run: Run, results: list[Result]) -> None:
    """Run; end early, with all that was started, when told to."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_on_signal, tasks.cancel_scope)
        await _load(run, results)
        tasks.cancel_scope.cancel()


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            print(f"loadtest: stopped by {number.name}", file=sys.stderr)
            scope.cancel()


async def _load(run: Run, results: list[Result]) -> None:
    """Run, against a server of one's own where no host is named."""
    if run.host:
        results.append(await _result(run, run.host, []))
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as data:
        async with standing(run.profile, Path(data), run.folder) as stand:
            results.append(await _result(run, stand.url, stand.samples))


async def _result(run: Run, url: str, samples: list[Sample]) -> Result:
    """Have locust put its load on a server, and return what it counted.

    Raises:
        BenchError: It ended without a result, or did not end in time.
    """
    path = run.folder / "counted.json"
    path.unlink(missing_ok=True)
    async with AsyncExitStack() as stack:
        port = free_port()
        master = _locust(run, url, path)
        if run.workers:
            master += ("--master", f"--expect-workers={run.workers}")
            master += ("--master-bind-host=127.0.0.1", f"--master-bind-port={port}")
            for number in range(run.workers):
                log = run.folder / f"worker-{number + 1}.log"
                await stack.enter_async_context(running(_worker(run, url, port), None, log))
        child = await stack.enter_async_context(
            running(Command(master, {}), None, run.folder / "locust.log")
        )
        await _end(child, run.profile.duration_s + _FINISH_S + _SPARE_S)
        if not path.exists():
            raise BenchError(f"locust ended without a result:\n{child.last_words()}")
    return Result.of(run.profile, _counted(path), samples)


def _counted(path: Path) -> dict[str, Any]:
    """Return what the load tests have counted, as `--result` of the locust file wrote it."""
    counted: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return counted


async def _end(child: Child, within_s: float) -> None:
    with anyio.move_on_after(within_s):
        await child.status()


def _locust(run: Run, url: str, result: Path) -> tuple[str, ...]:
    csv, report = run.folder / "locust", run.folder / "locust.html"
    return (
        *_common(run, url),
        "--headless",
        "--only-summary",
        f"--stop-timeout={_FINISH_S}",
        "--exit-code-on-error=0",
        f"--csv={csv}",
        f"--html={report}",
        f"--result={result}",
    )


def _worker(run: Run, url: str, port: int) -> Command:
    own = ("--worker", "--master-host=127.0.0.1", f"--master-port={port}")
    return Command((*_common(run, url), *own), {})


def _common(run: Run, url: str) -> tuple[str, ...]:
    """Return what master and workers must be told alike."""
    command: tuple[str, ...] = (str(LOCUST), "-m", "locust", "-f", str(_LOCUSTFILE), "--host", url)
    command += (
        "--load-profile",
        run.profile.name,
        "--seed",
        str(run.seed),
        "--loglevel",
        "WARNING",
    )
    if run.seconds is not None:
        command += ("--seconds", str(run.seconds))
    if run.knows_answers:
        command += ("--knows-answers",)
    return (*command, "--i-own-this-host") if run.is_owned else command


def _first(failed: BaseException) -> BaseException:
    """Return the first of what failed side by side: the others say the same."""
    return _first(failed.exceptions[0]) if isinstance(failed, BaseExceptionGroup) else failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.people", description="Put a load of people on a server."
    )
    parser.add_argument(
        "profile", nargs="?", default="smoke", help="of profiles.toml (%(default)s)"
    )
    parser.add_argument("--list", action="store_true", help="tell which profiles there are")
    parser.add_argument("--host", default="", help="a server that runs; none: one is started")
    parser.add_argument(
        "--i-own-this-host", action="store_true", help="you may put load on another machine"
    )
    parser.add_argument(
        "--knows-answers", action="store_true", help="the LLM simulator is behind that server"
    )
    parser.add_argument("--counted", type=Path, help="judge what a run by hand wrote as --result")
    parser.add_argument("--seconds", type=float, help="how long; its stages are scaled alike")
    parser.add_argument("--seed", type=int, default=1, help="of all that people do (%(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="locust processes; 0: one for all")
    parser.add_argument("--out", type=Path, help="folder that gets report, figures and logs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
