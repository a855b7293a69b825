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
    """Probe steps, from the one below a guess on upwards while they hold, or else downwards.

    At most four: with a guess that is far off, the answer is a lower bound, or 0.
    """
    below = [place for place, step in enumerate(STEPS_PER_S) if step <= guess_per_s]
    place, held, probes = (below or [0])[-1], 0, list[Probe]()
    while 0 <= place < len(STEPS_PER_S) and len(probes) < _MAX_PROBES:
        step = STEPS_PER_S[place]
        probes.append(await probe(step))
        if probes[-1].is_held:
            held = max(held, step)
            if not all(each.is_held for each in probes):
                break
            place += 1
        else:
            if held:
                break
            place -= 1
    return Ceiling(held, probes)


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
