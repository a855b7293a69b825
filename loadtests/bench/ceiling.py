"""The largest pace that a server on one core keeps up with, looked for in steps."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loadtests.bench import measure
from loadtests.bench.measure import BenchError, Workload
from loadtests.bench.targets import Target

STEPS_PER_S = (
    *(500, 1_000, 2_500, 5_000, 7_500, 10_000, 15_000),
    *(20_000, 25_000, 30_000, 35_000, 40_000, 50_000),
)
MAX_DELAY_S = 0.1
DELIVERED_SHARE = 0.97

_PER_STREAM = 40
_MAX_PROBES = 4


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of one pace. `told`: why nothing was delivered, where nothing was."""

    offered_per_s: float
    delivered_per_s: float
    delay_p99_s: float
    told: str = ""

    @property
    def is_held(self) -> bool:
        """Whether all was delivered, and none of it late."""
        is_all = self.delivered_per_s >= DELIVERED_SHARE * self.offered_per_s
        return is_all and self.delay_p99_s <= MAX_DELAY_S


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Tokens a second: the largest step that was held, 0 for none, and the probes that tell."""

    held_per_s: int
    probes: list[Probe]


async def search(guess_per_s: float, probe: Callable[[int], Awaitable[Probe]]) -> Ceiling:
    """Probe steps, from the one below a guess on: upwards while they hold, else downwards.

    At most four: with a guess that is far off, the answer is a lower bound, or 0.
    """
    place, held, missed = _below(guess_per_s), -1, len(STEPS_PER_S)
    probes: list[Probe] = []
    while held < place < missed and len(probes) < _MAX_PROBES:
        seen = await probe(STEPS_PER_S[place])
        probes.append(seen)
        if seen.is_held:
            held, place = place, place + 1
        else:
            # What came of too much is about what can be held.
            missed, place = place, min(place - 1, _below(seen.delivered_per_s or float("inf")))
    return Ceiling(STEPS_PER_S[held] if held >= 0 else 0, probes)


def _below(per_s: float) -> int:
    """Return the place of the last step that is not above, or the first."""
    return max(0, sum(step <= per_s for step in STEPS_PER_S) - 1)


def prober(
    bench: measure.Bench, target: Target, window_s: float
) -> Callable[[int], Awaitable[Probe]]:
    """Return what tries one pace on a server: streams of 40 tokens a second each."""

    async def probe(per_s: int) -> Probe:
        workload = Workload(max(1, round(per_s / _PER_STREAM)), _PER_STREAM)
        try:
            seen = await measure.steady(bench, target, workload, window_s)
        except BenchError as exc:  # it began well with less: this is too much for it
            return Probe(workload.offered_per_s, 0.0, 0.0, str(exc))
        return Probe(workload.offered_per_s, seen.delivered_per_s, seen.pace.delay_p99_s)

    return probe
