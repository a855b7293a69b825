"""Figures of a run as rows of one table, each with its target and whether it was held."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; `is_held` is None where nothing is promised."""

    name: str
    seen: str
    target: str = ""
    is_held: bool | None = None


def quantile(values: Sequence[float], percent: float) -> float:
    """Return a quantile; 0 where there are no values."""
    if len(values) < 2:  # noqa: PLR2004  # too few for quantiles
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=1000, method="inclusive")[round(percent * 10) - 1]


def spread(seconds: Sequence[float]) -> str:
    """Return p50, p99 and the greatest of some times, in milliseconds."""
    p50, p99 = (1e3 * quantile(seconds, percent) for percent in (50, 99))
    return f"p50 {p50:.1f}, p99 {p99:.1f}, max {1e3 * max(seconds, default=0):.1f} ms"


def table(title: str, rows: Sequence[Row]) -> str:
    """Return rows under a title."""
    marks = {None: "", True: "held", False: "MISSED"}
    cells = [(row.name, row.seen, row.target, marks[row.is_held]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, each, widths)).rstrip() for each in cells]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def machine(load_before: float) -> str:
    """Return where and when figures were taken: cores, Python, load before and after."""
    load = f"load average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after"
    return (
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; {load}"
    )
