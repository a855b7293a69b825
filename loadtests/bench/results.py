"""What a run has measured, and the figures that come of it: medians of rounds, and ratios."""

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.bench.ceiling import DELIVERED_SHARE, Ceiling
from loadtests.bench.correctness import Delivered
from loadtests.bench.figures import quantile
from loadtests.bench.measure import Idle, Steady, Workload


@dataclass
class Results:
    """Everything measured, by target; windows also by the workload's title."""

    steady: dict[str, dict[str, list[Steady]]] = field(default_factory=dict)
    idle: dict[str, list[Idle]] = field(default_factory=dict)
    memory_kb: dict[str, float] = field(default_factory=dict)
    ceiling: dict[str, Ceiling] = field(default_factory=dict)
    delivered: dict[str, Delivered] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)  # of what is not a package of ours
    # What else the machine was doing: above about 0.5 the figures are too high, ratios less so.
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def add_steady(self, workload: Workload, target: str, sample: Steady) -> None:
        """Keep a window's result."""
        self.steady.setdefault(workload.title, {}).setdefault(target, []).append(sample)

    @property
    def names(self) -> list[str]:
        """Targets of which anything was measured, in the order of their first measurement."""
        found = [name for by_target in self.steady.values() for name in by_target]
        return list(dict.fromkeys([*found, *self.idle, *self.memory_kb, *self.ceiling]))

    def median(self, workload: str, target: str, figure: Callable[[Steady], float]) -> float | None:
        """Return the median of the rounds, or None where it was not measured."""
        samples = self.steady.get(workload, {}).get(target)
        return statistics.median(map(figure, samples)) if samples else None

    def cpu_us(self, workload: str, target: str) -> float | None:
        """Return the CPU per token, in microseconds."""
        return self.median(workload, target, lambda one: one.cpu_us_per_token)

    def ratio(self, workload: str, target: str, other: str) -> float | None:
        """Return how many times the other's CPU per token a target takes."""
        own, its = self.cpu_us(workload, target), self.cpu_us(workload, other)
        return own / its if own and its else None

    def added(self, workload: str, target: str, figure: Callable[[Steady], float]) -> float | None:
        """Return a figure less that of the load and the simulator alone, if this was measured."""
        own = self.median(workload, target, figure)
        return None if own is None else own - (self.median(workload, "direct", figure) or 0.0)

    def is_saturated(self, workload: str, target: str) -> bool:
        """Whether it did not deliver what was offered: its CPU per token is then a floor."""
        samples = self.steady[workload][target]
        delivered = statistics.median(one.delivered_per_s for one in samples)
        return delivered < DELIVERED_SHARE * samples[0].offered_per_s

    def added_ms(self, target: str) -> tuple[float, float]:
        """Return p50 and p99 of the time to first token, idle, less the simulator's own."""
        direct = [s for one in self.idle[target] for s in one.direct_s]
        through = [s for one in self.idle[target] for s in one.through_s]
        return (
            (quantile(through, 50) - quantile(direct, 50)) * 1e3,
            (quantile(through, 99) - quantile(direct, 99)) * 1e3,
        )
