"""The results of a run: tables for people, as text and as Markdown; JSON for machines."""

import os
import platform
import statistics
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from loadtests.bench.measure import Steady
from loadtests.bench.results import Results
from loadtests.bench.verdict import OWN, judged

_PACKAGES = ("openai", "sse-starlette", "starlette", "uvicorn", "uvloop", "httptools", "anyio")
_STEADY = ("CPU", "μs/token", "[min..max]", "x nginx", "x ours", "tokens/s", "added: gap p99, ms")
_OPENING = "TTFT p50 / p99, ms"
_WHOLE = ("", "TTFT idle p50 / p99, ms", "KB/stream", "tokens/s on one core", "delivers")

Grid = list[list[str]]


def text(results: Results) -> str:
    """Return the tables, for a terminal."""
    parts = [f"{title}\n{_aligned(grid)}\n{note}" for title, grid, note in _grids(results)]
    return "\n\n".join([*parts, _machine(results)]) + "\n"


def markdown(results: Results) -> str:
    """Return the tables, for a page."""
    parts = [f"**{title}**\n\n{_piped(grid)}\n\n{note}" for title, grid, note in _grids(results)]
    rows = [["target", "seen", "promised", ""]]
    rows += [[row.name, row.seen, row.target, _MARKS[row.is_held]] for row in judged(results)]
    parts.append(_piped(rows))
    return "\n\n".join([*parts, _machine(results)]) + "\n"


_MARKS = {None: "", True: "held", False: "**missed**"}


def as_json(results: Results, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return all samples with what is needed to read them later."""
    return {
        "arguments": arguments,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "load_before": results.load_before,
        "versions": {**{name: _version(name) for name in _PACKAGES}, **results.versions},
        "steady": results.steady,
        "cpu_us_per_token": {
            workload: {name: results.cpu_us(workload, name) for name in by_target}
            for workload, by_target in results.steady.items()
        },
        "added_ttft_ms": {
            name: dict(zip(("p50", "p99"), results.added_ms(name), strict=True))
            for name in results.idle
        },
        "kb_per_stream": results.memory_kb,
        "sustained": results.ceiling,
        "delivers": results.delivered,
        "left_out": results.left_out,
    }


def _grids(results: Results) -> list[tuple[str, Grid, str]]:
    """Return each table with its title and a note."""
    found = [
        (
            f"{workload}, {max(map(len, results.steady[workload].values()))} rounds",
            [[*_STEADY, _OPENING], *(_steady_row(results, workload, name) for name in by_target)],
            _load_note(results, workload),
        )
        for workload, by_target in results.steady.items()
    ]
    whole = [list(_WHOLE), *(_whole_row(results, name) for name in results.names)]
    return [*found, ("At rest, and at most", whole, _left_out(results))]


def _steady_row(results: Results, workload: str, name: str) -> list[str]:
    samples = results.steady[workload][name]
    used = [one.cpu_us_per_token for one in samples]
    delivered = statistics.median(one.delivered_per_s for one in samples)
    full = " saturated" if results.is_saturated(workload, name) else ""

    def ms(figure: Callable[[Steady], float]) -> str:
        return f"{(results.added(workload, name, figure) or 0.0) * 1e3:.1f}"

    return [
        name,
        f"{statistics.median(used):.1f}",
        f"[{min(used):.1f}..{max(used):.1f}]",
        _times(results.ratio(workload, name, "nginx")),
        _times(results.ratio(workload, name, OWN)),
        f"{delivered:.0f}{full}",
        ms(lambda one: one.pace.gap_p99_s),
        f"{ms(lambda one: one.ttft_s[0])} / {ms(lambda one: one.ttft_s[1])}",
    ]


def _whole_row(results: Results, name: str) -> list[str]:
    idle, memory, most = "-", results.memory_kb.get(name), results.ceiling.get(name)
    if name in results.idle:
        p50, p99 = results.added_ms(name)
        idle = f"{p50:.2f} / {p99:.2f}"
    highest = "-"
    if most is not None:
        # Where every pace that was tried was held, it may well be more.
        more = "" if any(not each.is_held for each in most.probes) else " or more"
        highest = f"{most.held_per_s:,}{more}" if most.held_per_s else "less than was tried"
    return [
        name,
        idle,
        "-" if memory is None else f"{memory:.0f}",
        highest,
        str(results.delivered.get(name, "-")),
    ]


def _load_note(results: Results, workload: str) -> str:
    load = [one for samples in results.steady[workload].values() for one in samples]
    simulator = statistics.median(one.simulator_us_per_token for one in load)
    client = statistics.median(one.load_us_per_token for one in load)
    note = f"(simulator {simulator:.1f}, client {client:.1f} us/token on the other core)"
    redis = results.median(workload, "chatstream+redis", lambda one: one.beside_us_per_token)
    return note if redis is None else f"{note[:-1]}; redis-server {redis:.1f})"


def _left_out(results: Results) -> str:
    return "\n".join(f"left out: {name}: {why}" for name, why in results.left_out.items())


def _machine(results: Results) -> str:
    others = "".join(f", {name} {version}" for name, version in results.versions.items())
    return (
        f"{platform.system()} {platform.release().partition('-')[0]}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}{others}; load average before the run: "
        f"{results.load_before:.1f}, after: {os.getloadavg()[0]:.1f}"
    )


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _aligned(rows: Grid) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _piped(rows: Grid) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
