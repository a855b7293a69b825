"""`python -m loadtests.bench`: measure, print a table, write JSON."""

import argparse
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from loadtests.bench import measure, report, targets
from loadtests.bench.processes import Command, Cores, free_port, pin, running

_STOPPED = 130
_WORKLOADS = (measure.Workload(200, 40), measure.Workload(50, 20))


def main() -> int:
    """Run the benchmark; return the exit status."""
    arguments = _parser().parse_args()
    if not sys.platform.startswith("linux"):
        print("bench: CPU is read from /proc, which only Linux has", file=sys.stderr)
        return 1
    return anyio.run(_run, arguments, backend_options={"use_uvloop": True})


async def _run(arguments: argparse.Namespace) -> int:
    """Measure and publish; stop early, with all children, when told to."""
    status = _STOPPED
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_on_signal, tasks.cancel_scope)
        try:
            results = await _measure(arguments)
        except measure.BenchError as exc:
            print(f"bench: {exc}", file=sys.stderr)
            status = 1
        else:
            _publish(results, arguments)
            status = 0
        tasks.cancel_scope.cancel()
    return status


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def _publish(results: report.Results, arguments: argparse.Namespace) -> None:
    print(report.text(results))
    plain = {name: str(value) for name, value in vars(arguments).items()}
    document = msgspec.json.encode(report.as_json(results, plain))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_bytes(msgspec.json.format(document))
    print(f"written to {arguments.output}")


async def _measure(arguments: argparse.Namespace) -> report.Results:
    chosen = [one for one in targets.available() if one.name in arguments.targets]
    results = report.Results()
    cores = Cores.split()
    pin(cores.load)
    async with _simulator(cores) as bench:
        for number in range(arguments.rounds):
            # Turned round each time, so that no target always runs on the warmest machine.
            for target in chosen[:: -1 if number % 2 else 1]:
                print(f"round {number + 1}/{arguments.rounds}: {target.name}", file=sys.stderr)
                await _one_round(bench, target, arguments, results)
        for target in chosen:
            print(f"memory: {target.name}", file=sys.stderr)
            results.memory_kb[target.name] = await measure.memory(
                bench, target, arguments.memory_streams
            )
    return results


async def _one_round(
    bench: measure.Bench,
    target: targets.Target,
    arguments: argparse.Namespace,
    results: report.Results,
) -> None:
    for workload in arguments.workloads:
        sample = await measure.steady(bench, target, workload, arguments.window)
        results.add_steady(workload, target.name, sample)
    sample_s = await measure.idle(bench, target, arguments.requests)
    results.idle.setdefault(target.name, []).append(sample_s)


@asynccontextmanager
async def _simulator(cores: Cores) -> AsyncGenerator[measure.Bench, None]:
    port = free_port()
    arguments = (sys.executable, "-m", "loadtests.llm_simulator", "--port", str(port))
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "simulator.log"
        async with running(Command(arguments, {}), cores.load, log) as child:
            await measure.ready(child, f"http://127.0.0.1:{port}/healthz")
            yield measure.Bench(child, port, cores)


def _workload(spec: str) -> measure.Workload:
    streams, _, rate = spec.partition("x")
    return measure.Workload(int(streams), float(rate))


def _parser() -> argparse.ArgumentParser:
    names = ["tutorial", "chatstream", "nginx"]
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench",
        description=(
            "CPU per token, added time to first token and memory per stream, side by side. "
            "Takes about five minutes; for good figures leave the machine alone meanwhile."
        ),
    )
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (%(default)s)")
    parser.add_argument("--window", type=float, default=5.0, help="seconds (%(default)s)")
    parser.add_argument("--requests", type=int, default=100, help="idle ones a round (%(default)s)")
    parser.add_argument(
        "--memory-streams", type=int, default=300, help="streams held open (%(default)s)"
    )
    parser.add_argument(
        "--workloads",
        type=_workload,
        nargs="+",
        default=_WORKLOADS,
        help="streams x tokens/s of each, such as 200x40 50x20",
    )
    parser.add_argument("--targets", nargs="+", choices=names, default=names)
    parser.add_argument("--output", type=Path, default=Path("data/bench.json"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
