"""What is told of many runs: a share with its bound, a median, a table."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    of: int
    total: int

    @property
    def upper(self) -> float:
        """The 95 % upper bound, exact (Clopper and Pearson)."""
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if self._at_most(middle) > 0.05 else (low, middle)
        return high

    def _at_most(self, p: float) -> float:
        if p <= 0 or p >= 1:
            return float(p <= 0)
        logs = math.log(p), math.log1p(-p)
        return sum(
            math.exp(
                math.lgamma(self.total + 1)
                - math.lgamma(k + 1)
                - math.lgamma(self.total - k + 1)
                + k * logs[0]
                + (self.total - k) * logs[1]
            )
            for k in range(self.of + 1)
        )

    def __str__(self) -> str:
        rate = 100 * self.of / self.total
        return f"{rate:.2f} % ({self.of}/{self.total}; ≤ {100 * self.upper:.2f} %)"


def middle(values: Sequence[float]) -> str:
    """Return a median and the 95th percentile of values."""
    if not values:
        return "never"
    return f"{np.median(values):.0f} ({np.percentile(values, 95):.0f})"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    lines = [
        f"**{title}**",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
        "",
        "",
    ]
    sys.stdout.write("\n".join(lines))
    sys.stdout.flush()
