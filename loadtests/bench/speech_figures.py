"""What the heard turns come to: a table, and which targets were missed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.bench.speech_listener import Heard

GAP_S = 0.25
"""A longer gap between two units is heard as one."""

FIRST_AUDIO_P50_S = 0.85
GAPS_PER_ANSWER = 0.1
ESPEAK_P50_S, ESPEAK_P95_S = 0.025, 0.050

_ROWS = (
    "answers",
    "first token to first audio, p50 / p95 ms",
    "sentence completed to its audio, p50 / p95 ms",
    "the same, of sentences that found a free place",
    f"gaps > {GAP_S * 1000:.0f} ms per answer",
    "longest gap, ms",
    "characters per answer, audio s per answer",
    "sentences, units, calls of an engine per answer",
    "CPU of the server per token, us",
    "more than with speech off, us",
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One run: `cpu_s` is what the server used for its turns, `calls` how many they cost."""

    name: str
    is_spoken: bool
    heard: list[Heard]
    cpu_s: float
    calls: float

    @property
    def first_audio_s(self) -> list[float]:
        """Seconds from the first token to the first audio, of each answer."""
        return [
            one.named("speech.chunk")[0].at - one.named("text.delta")[0].at
            for one in self.heard
            if one.named("speech.chunk") and one.named("text.delta")
        ]

    @property
    def gaps(self) -> list[float]:
        """All gaps in seconds, the first unit's (none) too."""
        return [gap for one in self.heard for gap in one.played.gaps_s]

    @property
    def gaps_per_answer(self) -> float:
        """Audible gaps."""
        return sum(gap > GAP_S for gap in self.gaps) / max(1, len(self.heard))

    @property
    def cpu_us_per_token(self) -> float:
        """CPU of the server."""
        return self.cpu_s / max(1, sum(len(one.named("text.delta")) for one in self.heard)) * 1e6

    def sentence_s(self, *, idle: bool) -> list[float]:
        """Seconds from a sentence's event to its first audio, unless that had come before.

        Args:
            idle: Only sentences that had not to wait: all audio of those before them was there.
        """
        return [wait for one in self.heard for wait in _waits(one, idle=idle)]


def _waits(heard: Heard, *, idle: bool) -> list[float]:
    completed = {one.data["index"]: one.at for one in heard.named("sentence.completed")}
    spoken: dict[int, float] = {}
    for unit in heard.named("speech.chunk"):
        spoken.setdefault(unit.data["sentence"], unit.at)
    waits: list[float] = []
    last_at = 0.0
    for sentence, at in sorted(spoken.items()):
        completed_at = completed.get(sentence, at)
        if at > completed_at and (not idle or last_at <= completed_at):
            waits.append(at - completed_at)
        last_at = at
    return waits


def faults(profile: Profile) -> list[str]:
    """Return what was wrong in a run."""
    return [f"{profile.name}: {fault}" for one in profile.heard for fault in one.faults]


def judged(profiles: Sequence[Profile]) -> list[str]:
    """Return one line for each target that was missed."""
    missed: list[str] = []
    for one in profiles:
        if not one.is_spoken or not one.first_audio_s:
            continue
        checks = [("gaps per answer", one.gaps_per_answer, GAPS_PER_ANSWER)]
        if one.name == "eSpeak":
            waits = one.sentence_s(idle=False)
            checks += [
                ("sentence to audio p50, s", quantile(waits, 50), ESPEAK_P50_S),
                ("sentence to audio p95, s", quantile(waits, 95), ESPEAK_P95_S),
            ]
        elif one.name.startswith("standard"):
            checks.append(
                ("first audio p50, s", quantile(one.first_audio_s, 50), FIRST_AUDIO_P50_S)
            )
        missed += [
            f"MISSED {one.name}: {name} {seen:.3f} > {limit}"
            for name, seen, limit in checks
            if seen > limit
        ]
    return missed


def table(profiles: Sequence[Profile]) -> str:
    """Return all figures, one column for each run."""
    off = next((one.cpu_us_per_token for one in profiles if not one.is_spoken), None)
    columns = [_ROWS, *(_column(one, off) for one in profiles)]
    rows = [["", *(one.name for one in profiles)], *map(list, zip(*columns, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def _column(profile: Profile, off_us: float | None) -> list[str]:
    heard, count = profile.heard, max(1, len(profile.heard))
    cpu = f"{profile.cpu_us_per_token:.0f}"
    if not profile.is_spoken:
        return [str(len(heard)), *["-"] * 7, cpu, "-"]
    chars = sum(len(each.data["text"]) for one in heard for each in one.named("text.delta"))
    audio_s = sum(one.played.total_s for one in heard)
    units = sum(len(one.named("speech.chunk")) for one in heard)
    sentences = sum(len(one.named("sentence.completed")) for one in heard)
    return [
        str(len(heard)),
        _both(profile.first_audio_s),
        _both(profile.sentence_s(idle=False)),
        _both(profile.sentence_s(idle=True)),
        f"{profile.gaps_per_answer:.2f}",
        f"{max(profile.gaps, default=0.0) * 1000:.0f}",
        f"{chars / count:.0f}, {audio_s / count:.0f}",
        f"{sentences / count:.1f}, {units / count:.1f}, {profile.calls / count:.1f}",
        cpu,
        "-" if off_us is None else f"{profile.cpu_us_per_token - off_us:.0f}",
    ]


def _both(values: list[float]) -> str:
    return f"{quantile(values, 50) * 1000:.0f} / {quantile(values, 95) * 1000:.0f}"


def quantile(values: list[float], percent: int) -> float:
    """Return a quantile; 0 where there is no value."""
    if len(set(values)) <= 1:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
