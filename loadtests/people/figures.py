"""From what was counted to figures, and from figures to a verdict: one line for each threshold."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from loadtests.people.profiles import Profile, Threshold
from loadtests.people.tally import Second, Tally, quantile_ms

TIMES = ("ttft", "gap", "ttfa", "resume", "whole", "lag")
_COUNTS = (
    "turns", "tokens", "lost_tokens", "doubled_tokens", "broken_promises", "generator_faults",
    "reconnects", "cuts", "byes", "breaks", "cancels", "leaves", "audio", "arrivals", "calls",
    "turns_completed", "turns_failed", "turns_cancelled", "turns_interrupted", "turns_refused",
    "turns_left",
)  # fmt: skip
_QUANTILES = (50, 95, 99)
_POINTS = 90
_MIB = 1 << 20

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a server's processes held and had used at a moment (wall clock).

    `waited_s`: how long its main thread was ready to run and had no core, so far.
    """

    at: float
    resident_bytes: int
    cpu_s: float
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A threshold and what was seen; `seen` is None where nothing was measured, which is a miss."""

    threshold: Threshold
    seen: float | None

    @property
    def is_held(self) -> bool:
        """Whether the figure is there and within its bounds."""
        least, most = self.threshold.least, self.threshold.most
        if self.seen is None:
            return False
        return (least is None or self.seen >= least) and (most is None or self.seen <= most)

    @property
    def wanted(self) -> str:
        """The bounds in words."""
        least, most = self.threshold.least, self.threshold.most
        bounds = [("<=", most), (">=", least)]
        return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)

    def line(self) -> str:
        """Return the verdict in one line."""
        seen = "not measured" if self.seen is None else shown(self.seen)
        held = "held  " if self.is_held else "MISSED"
        return f"{held}  {self.threshold.figure:18}  {seen:>12}  {self.wanted}"


@dataclass(frozen=True, slots=True)
class Point:
    """Some seconds of the run: from its beginning to `at_s`."""

    at_s: float
    length_s: float
    users: float
    whole: Second

    def rate(self, what: str) -> float:
        """Return how many a second."""
        return self.whole.counts[what] / self.length_s

    def time_ms(self, what: str, percent: float) -> float | None:
        """Return a quantile of a time; None where there was none."""
        buckets = self.whole.times.get(what)
        return quantile_ms(buckets, percent) if buckets else None


@dataclass(frozen=True, slots=True)
class Result:
    """A run and what became of it; `staged` leaves out what came behind its last stage."""

    profile: Profile
    whole: Second
    staged: Second
    points: tuple[Point, ...]
    samples: tuple[Sample, ...]
    begun_at: float
    took_s: float

    @classmethod
    def of(cls, profile: Profile, counted: dict[str, Any], samples: Sequence[Sample]) -> "Result":
        """Return the result of a run from its tally's data and the server's samples."""
        tally = Tally()
        tally.add(counted)
        first, last = min(tally.seconds, default=0), max(tally.seconds, default=0)
        width = max(1, -(-(last - first + 1) // _POINTS))
        points = [_point(tally, first, begin, width) for begin in range(first, last + 1, width)]
        staged = (each for at, each in tally.seconds.items() if at < first + profile.duration_s)
        return cls(
            profile,
            tally.whole(),
            Second.together(staged),
            tuple(points),
            tuple(samples),
            begun_at=float(first),
            took_s=last - first + 1.0,
        )

    def figures(self) -> Figures:
        """Return all figures by name; one that was not measured is not there."""
        counts = self.whole.counts
        found: Figures = {name: float(counts[name]) for name in _COUNTS}
        for what in ("turns", "tokens"):
            staged_s = min(self.took_s, self.profile.duration_s)
            found[f"{what}_per_s"] = self.staged.counts[what] / staged_s
        tried = counts["turns"] + counts["arrivals"]
        if tried:
            bad = counts["bad_turns"] + counts["bad_arrivals"]
            found["errors_percent"] = 100 * bad / tried
        for what in TIMES:
            buckets = self.whole.times.get(what, Counter())
            if buckets:
                found |= {f"{what}_p{each}_ms": quantile_ms(buckets, each) for each in _QUANTILES}
        found["resumes"] = float(self.whole.times.get("resume", Counter()).total())
        return found | self._server_figures()

    def verdicts(self) -> list[Verdict]:
        """Return what became of each threshold."""
        found = self.figures()
        return [Verdict(each, found.get(each.figure)) for each in self.profile.thresholds]

    def is_held(self) -> bool:
        """Whether every threshold was held, and there was one."""
        verdicts = self.verdicts()
        return bool(verdicts) and all(each.is_held for each in verdicts)

    def _server_figures(self) -> Figures:
        """Return the server's own: its memory from the end of the first third to the last tenth."""
        samples = self.samples
        if len(samples) < 10:  # noqa: PLR2004  # too short to say anything
            return {}
        tenth = max(1, len(samples) // 10)
        third = len(samples) // 3
        before, after = samples[third : third + tenth], samples[-tenth:]
        grown = median(s.resident_bytes for s in after) - median(s.resident_bytes for s in before)
        took_s = samples[-1].at - samples[0].at
        return {
            "server_grown_mib": grown / _MIB,
            "server_peak_mib": max(each.resident_bytes for each in samples) / _MIB,
            "server_cpu_percent": 100 * (samples[-1].cpu_s - samples[0].cpu_s) / took_s,
            "server_waited_percent": 100 * (samples[-1].waited_s - samples[0].waited_s) / took_s,
        }


def shown(number: float) -> str:
    """Return a figure as people read it."""
    if number >= 100 or number == round(number):  # noqa: PLR2004
        return f"{number:,.0f}"
    return f"{number:.2f}" if number < 10 else f"{number:.1f}"  # noqa: PLR2004


def shares(samples: Sequence[Sample]) -> list[tuple[float, float, float]]:
    """Return, by moment, the percent of a core that was used, and of the time that one was missing.

    Threads that end take their time along; what is used then is told as 0.
    """
    return [
        (
            after.at,
            100 * max(0.0, after.cpu_s - before.cpu_s) / (after.at - before.at),
            100 * (after.waited_s - before.waited_s) / (after.at - before.at),
        )
        for before, after in pairwise(samples)
    ]


def _point(tally: Tally, first: int, begin: int, width: int) -> Point:
    seconds = [tally.seconds[at] for at in range(begin, begin + width) if at in tally.seconds]
    whole = Second.together(seconds)
    present = sum("users" in each.counts for each in seconds) or 1
    return Point(begin + width - first, width, whole.counts["users"] / present, whole)
