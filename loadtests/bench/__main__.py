"""`python -m loadtests.bench`: measure side by side, print tables, write JSON, Markdown, a plot."""

import argparse
import signal
import sys
from pathlib import Path

import anyio
import msgspec

from loadtests.bench import plot, report
from loadtests.bench.figures import table
from loadtests.bench.measure import BenchError, Workload
from loadtests.bench.processes import ROOT
from loadtests.bench.results import Results
from loadtests.bench.run import PARTS, TARGETS, Plan, run
from loadtests.bench.verdict import judged

_STOPPED = 130
_PAGE = ROOT / "docs" / "performance.md"
_IMAGE = ROOT / "docs" / "images" / "bench.svg"
_SHOWN = "![CPU per token, tokens a second on one core, memory of a stream](images/bench.svg)"
_BEGIN, _END = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"


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
            results = await run(_plan(arguments))
        except BenchError as exc:
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


def _publish(results: Results, arguments: argparse.Namespace) -> None:
    print(report.text(results))
    print(table("Promises", judged(results)))
    output: Path = arguments.output
    plain = {name: str(value) for name, value in vars(arguments).items()}
    document = msgspec.json.format(msgspec.json.encode(report.as_json(results, plain)))
    page, image = report.markdown(results), plot.svg(results)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(document)
    output.with_suffix(".md").write_text(page, encoding="utf-8")
    output.with_suffix(".svg").write_text(image, encoding="utf-8")
    print(f"written to {output}, .md and .svg")
    if arguments.publish:
        _IMAGE.write_text(image, encoding="utf-8")
        part = f"{_SHOWN}\n\n{page}"
        _PAGE.write_text(put_between(_PAGE.read_text("utf-8"), part), encoding="utf-8")
        print(f"and into {_PAGE.relative_to(ROOT)}, {_IMAGE.relative_to(ROOT)}")


def put_between(page: str, part: str) -> str:
    """Return a page with its measured part replaced.

    Raises:
        ValueError: The page does not say where it begins and ends.
    """
    begin, end = page.index(_BEGIN) + len(_BEGIN), page.index(_END)
    return f"{page[:begin]}\n{part}\n{page[end:]}"


def _plan(arguments: argparse.Namespace) -> Plan:
    given = {
        name: value
        for name in ("rounds", "window_s", "requests", "memory_streams", "workloads", "parts")
        if (value := getattr(arguments, name)) is not None
    }
    first = Plan.quick(arguments.targets) if arguments.quick else Plan(arguments.targets)
    return msgspec.structs.replace(first, **given)


def _workload(spec: str) -> Workload:
    streams, _, rate = spec.partition("x")
    return Workload(int(streams), float(rate))


def _parser() -> argparse.ArgumentParser:
    names, plan = list(TARGETS), Plan(list(TARGETS))
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench",
        description=(
            "What a token costs, here and elsewhere, side by side. With all targets it takes about "
            "25 minutes; for good figures leave the machine alone meanwhile."
        ),
    )
    parser.add_argument("--quick", action="store_true", help="one short round, no search")
    parser.add_argument("--rounds", type=int, help=f"interleaved rounds ({plan.rounds})")
    parser.add_argument(
        "--window", dest="window_s", type=float, help=f"seconds ({plan.window_s:g})"
    )
    parser.add_argument("--requests", type=int, help=f"idle ones a round ({plan.requests})")
    parser.add_argument(
        "--memory-streams", type=int, help=f"streams held open ({plan.memory_streams})"
    )
    parser.add_argument(
        "--workloads",
        type=_workload,
        nargs="+",
        help="streams x tokens/s of each, such as 200x40 1000x10",
    )
    parser.add_argument("--targets", nargs="+", choices=names, default=names)
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="what is measured (all)")
    parser.add_argument("--output", type=Path, default=Path("data/bench.json"))
    parser.add_argument(
        "--publish", action="store_true", help="put tables and plot into docs/performance.md too"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
