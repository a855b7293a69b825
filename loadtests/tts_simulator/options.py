"""How the simulator behaves when a call does not ask for something else."""

import random
from dataclasses import dataclass

CHARACTERS_PER_S = 15.0
MIN_DURATION_S = 0.3


@dataclass(frozen=True, slots=True)
class Options:
    """The command line.

    Attributes:
        latency_s: Median of the time before the first byte.
        latency_per_audio_s: Added for each second of audio.
        sigma: Spread of the log-normal distribution around the median; 0 for none.
        seed: Chooses the latencies, together with the text.
        max_sentence: Characters without a sentence end that are refused; 0 accepts any.
        burst_every: Of so many calls …
        burst_length: … the last so many are UNAVAILABLE; 0 for none.
        idle_s: A stream without input for so long is aborted.
        voices_fail: ListVoices is UNAVAILABLE.
        slow_s: What the fault `slow` waits.
    """

    latency_s: float = 0.35
    latency_per_audio_s: float = 0.1
    sigma: float = 0.25
    seed: int = 1
    max_sentence: int = 300
    burst_every: int = 100
    burst_length: int = 0
    idle_s: float = 5.0
    voices_fail: bool = False
    slow_s: float = 3.0

    def latency_of(self, text: str, duration_s: float) -> float:
        """Return the seconds before the audio of a text comes: the same for the same seed."""
        spread = random.Random(f"{self.seed}:{text}").lognormvariate(0.0, self.sigma)
        return self.latency_s * spread + self.latency_per_audio_s * duration_s

    def is_in_burst(self, call: int) -> bool:
        """Return whether the call of this number, counted from 1, falls into a burst."""
        if not self.burst_length:
            return False
        return (call - 1) % self.burst_every >= self.burst_every - self.burst_length


def duration_of(text: str, rate: float) -> float:
    """Return the seconds that a text takes to say at a speaking rate (0: the natural one)."""
    return max(MIN_DURATION_S, len(text) / CHARACTERS_PER_S / (rate or 1.0))
