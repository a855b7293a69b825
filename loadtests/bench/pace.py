"""What arrival times say of a stream: gaps between tokens, and how late they are.

A stream's tokens are sent at a fixed pace. The token that came soonest, against that pace, tells
when each of the others could have come.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from loadtests.bench.figures import quantile


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. A gap of tokens that came together is 0; a delay is that of one token."""

    gap_p99_s: float = 0.0
    delay_p50_s: float = 0.0
    delay_p99_s: float = 0.0


def pace(streams: Iterable[tuple[Sequence[float], float]], gap_s: float) -> Pace:
    """Return the figures of many streams.

    Args:
        streams: Of each: the lateness of its tokens, in order, and the least that was ever seen.
        gap_s: Between two tokens as they are sent.
    """
    gaps: list[Iterable[float]] = []
    delays: list[Iterable[float]] = []
    for late, earliest in streams:
        gaps.append([after - before + gap_s for before, after in pairwise(late)])
        delays.append([each - earliest for each in late])
    all_gaps, all_delays = sorted(chain(*gaps)), sorted(chain(*delays))
    return Pace(
        gap_p99_s=quantile(all_gaps, 99),
        delay_p50_s=quantile(all_delays, 50),
        delay_p99_s=quantile(all_delays, 99),
    )
