"""Alarms: how much speaks for a rise that began at some time, whenever that was (CUSUM). Pure.

Each alternative keeps a score that never falls below 0, and what was counted since it last was 0:
its own estimate of when the rise began. A cap keeps a long incident from being remembered for long.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flags.rollout.decision.statistics import log_mean_exp


@dataclass(frozen=True, slots=True)
class Walk:
    """The scores of one detector's alternatives, and what each has counted since its score was 0.

    `totals` are failures, or microseconds until the first token.
    """

    scores: tuple[float, ...]
    counts: tuple[int, ...]
    totals: tuple[int, ...]

    @property
    def alarm(self) -> float:
        """The logarithm of the evidence: 0 where nothing is amiss."""
        return log_mean_exp(self.scores) if any(self.scores) else 0.0

    @property
    def since(self) -> tuple[int, int]:
        """Requests, and their total, since the rise began as the strongest alternative has it."""
        place = max(range(len(self.scores)), key=lambda each: (self.scores[each], each))
        return self.counts[place], self.totals[place]


def at_rest(alternatives: int) -> Walk:
    """Return a detector that has seen nothing."""
    return Walk((0.0,) * alternatives, (0,) * alternatives, (0,) * alternatives)


def walk_on(walk: Walk, steps: Sequence[float], seen: tuple[int, int], cap: float) -> Walk:
    """Return a detector after a tick.

    Args:
        walk: The detector before it.
        steps: What the tick adds to the score of each alternative.
        seen: Requests of the tick, and their total.
        cap: The highest score that is kept.
    """
    scores, counts, totals = [], [], []
    for place, step in enumerate(steps):
        score = walk.scores[place] + step
        is_rising = score > 0
        scores.append(min(score, cap) if is_rising else 0.0)
        counts.append(walk.counts[place] + seen[0] if is_rising else 0)
        totals.append(walk.totals[place] + seen[1] if is_rising else 0)
    return Walk(tuple(scores), tuple(counts), tuple(totals))
