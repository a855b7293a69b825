"""The results of a run: a table for people, JSON for machines."""

import os
import platform
import statistics
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from loadtests.bench.measure import Idle, Steady, Workload

_PACKAGES = ("openai", "sse-starlette", "starlette", "uvicorn", "uvloop", "httptools", "anyio")
_DELIVERED_SHARE = 0.97  # below it the server was saturated, and its figure is a floor

Table = list[list[str]]


@dataclass
class Results:
    """Everything measured, by target."""

    steady: dict[str, dict[str, list[Steady]]] = field(default_factory=dict)
    idle: dict[str, list[Idle]] = field(default_factory=dict)
    memory_kb: dict[str, float] = field(default_factory=dict)
    # What else the machine was doing: above about 0.5 the figures are too high, ratios less so.
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def add_steady(self, workload: Workload, target: str, sample: Steady) -> None:
        """Keep a window's result."""
        self.steady.setdefault(title(workload), {}).setdefault(target, []).append(sample)

    def cpu_us(self, workload: str, target: str) -> float | None:
        """Return the median of the rounds, or None where it was not measured."""
        samples = self.steady[workload].get(target)
        return statistics.median(one.cpu_us_per_token for one in samples) if samples else None

    def added_ms(self, target: str) -> tuple[float, float]:
        """Return the p50 and p99 of the time to first token, less the simulator's own."""
        direct = [s for one in self.idle[target] for s in one.direct_s]
        through = [s for one in self.idle[target] for s in one.through_s]
        return (
            (_quantile(through, 50) - _quantile(direct, 50)) * 1e3,
            (_quantile(through, 99) - _quantile(direct, 99)) * 1e3,
        )


def title(workload: Workload) -> str:
    """Return a workload's name."""
    return f"{workload.streams} x {workload.rate:g} tokens/s"


def text(results: Results) -> str:
    """Return the tables."""
    parts = [_steady_text(results, workload) for workload in results.steady]
    busy = f"load average before the run: {results.load_before:.1f}"
    return "\n\n".join([*parts, _idle_text(results), busy]) + "\n"


def as_json(results: Results, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return all samples with what is needed to read them later."""
    return {
        "arguments": arguments,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "load_before": results.load_before,
        "versions": {name: _version(name) for name in _PACKAGES},
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
    }


def _steady_text(results: Results, workload: str) -> str:
    rows = [["CPU", "us/token", "[min..max]", "x tutorial", "x nginx", "tokens/s"]]
    for name, samples in results.steady[workload].items():
        used = [one.cpu_us_per_token for one in samples]
        delivered = statistics.median(one.delivered_per_s for one in samples)
        full = delivered < _DELIVERED_SHARE * samples[0].offered_per_s
        rows.append(
            [
                name,
                f"{statistics.median(used):.1f}",
                f"[{min(used):.1f}..{max(used):.1f}]",
                _ratio(results, workload, (name, "tutorial")),
                _ratio(results, workload, (name, "nginx")),
                f"{delivered:.0f}{' saturated' if full else ''}",
            ]
        )
    load = [one for samples in results.steady[workload].values() for one in samples]
    simulator = statistics.median(one.simulator_us_per_token for one in load)
    client = statistics.median(one.load_us_per_token for one in load)
    note = f"(simulator {simulator:.1f}, client {client:.1f} us/token on the other core)"
    rounds = max(map(len, results.steady[workload].values()))
    return f"{workload}, {rounds} rounds\n{_aligned(rows)}\n{note}"


def _idle_text(results: Results) -> str:
    rows = [["idle", "added TTFT p50", "p99", "memory"]]
    for name in results.idle:
        p50, p99 = results.added_ms(name)
        memory = results.memory_kb.get(name)
        kept = "-" if memory is None else f"{memory:.0f} KB/stream"
        rows.append([name, f"{p50:.2f} ms", f"{p99:.2f} ms", kept])
    return _aligned(rows)


def _ratio(results: Results, workload: str, pair: tuple[str, str]) -> str:
    own, other = (results.cpu_us(workload, name) for name in pair)
    return f"{own / other:.2f}" if own and other else "-"


def _aligned(rows: Table) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
