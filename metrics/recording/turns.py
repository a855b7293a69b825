"""What is recorded of turns."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metrics import labels
from metrics.base import Window
from metrics.histogram import Histogram
from metrics.labels import arm, known
from metrics.recording.base import Recording, fails_open, valid
from metrics.series.turns import TurnSeries

STALL_S = 2.0
"""A gap between two deltas at which a reader wonders whether anything is still to come."""


@dataclass(frozen=True, slots=True)
class EndedTurn:
    """How a turn ended.

    `gaps_s` are the seconds between its deltas. `ttft_s` has been recorded before (`first_delta`);
    here it tells an answer's pace, and None a turn without any text. `duration_s` counts from the
    same moment. `usage_source` is exact, estimated or unknown. `queued_s`: until anything was done
    for its request; None where that is not known, as of a turn that was taken over. `repeated`:
    how often a model repeated text that was there already, and that was left out.
    """

    outcome: str
    streaming: bool
    duration_s: float
    ttft_s: float | None
    gaps_s: Sequence[float]
    input_tokens: int | None
    output_tokens: int | None
    usage_source: str
    error_code: str | None
    queued_s: float | None = None
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class FirstTokenParts:
    """Of what the time to a first token is made: until a model was asked, answered, and wrote."""

    planning_s: float
    connect_s: float
    upstream_s: float


class TurnRecording(Recording):
    """Records what happens to turns."""

    def __init__(
        self, window: Window | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(window, clock=clock)
        self._turns = TurnSeries(self._registry)
        self._active_turns = 0

    @fails_open
    def turn_started(self, *, streaming: bool) -> None:
        """Record that a turn runs in this process; exactly one `turn_ended` follows."""
        self._active_turns += 1
        self._turns.active.set(self._active_turns)
        self._window.hold("active_turns", self._active_turns)
        self._window.count(f"started.{arm(streaming=streaming)}")

    @fails_open
    def first_delta(
        self, seconds: float, *, streaming: bool, parts: FirstTokenParts | None = None
    ) -> None:
        """Record a turn's first delta, `seconds` after its request was received."""
        name = arm(streaming=streaming)
        self._window.observe(f"ttft.{name}", (valid(seconds),))
        self._turns.first_token.labels(name).observe(seconds)
        if parts is not None:
            self._record_part("planning", parts.planning_s)
            self._record_part("connect", parts.connect_s)
            self._record_part("upstream", parts.upstream_s)

    @fails_open
    def first_flush(self, seconds: float) -> None:
        """Record how long a turn's first delta took to be written to the readers here."""
        self._record_part("flush", seconds)

    @fails_open
    def turn_ended(self, ended: EndedTurn) -> None:
        """Record the end of a turn that was started here."""
        self._active_turns = max(0, self._active_turns - 1)
        self._turns.active.set(self._active_turns)
        self._window.hold("active_turns", self._active_turns)
        name, outcome = arm(streaming=ended.streaming), known(ended.outcome, labels.OUTCOMES)
        self._window.count(f"ended.{name}.{outcome}")
        self._turns.turns.labels(outcome, name).inc()
        if ended.error_code is not None:
            code = known(ended.error_code, labels.ERROR_CODES)
            self._window.count(f"errors.{code}")
            self._turns.errors.labels(code).inc()
        if ended.ttft_s is None:
            self._window.count("turns.without_text")
        if ended.repeated:
            self.repeated("join", ended.repeated)
        self._record_tokens(ended)
        self._record_times(ended, name, outcome)

    @fails_open
    def turn_left(self, *, streaming: bool) -> None:
        """Record that a turn that was started here goes on elsewhere; no `turn_ended` follows."""
        self._active_turns = max(0, self._active_turns - 1)
        self._turns.active.set(self._active_turns)
        self._window.hold("active_turns", self._active_turns)
        self._turns.turns.labels("left", arm(streaming=streaming)).inc()

    @fails_open
    def turn_continued(self, cause: str) -> None:
        """Record that an answer which broke off is gone on with."""
        self._turns.continued.labels(known(cause, labels.CONTINUE_CAUSES)).inc()

    @fails_open
    def turn_taken_over(self) -> None:
        """Record a turn of a lost worker that this process took."""
        self._turns.taken_over.inc()

    def _record_tokens(self, ended: EndedTurn) -> None:
        source = known(ended.usage_source, labels.USAGE_SOURCES)
        counts = zip(labels.TOKEN_KINDS, (ended.input_tokens, ended.output_tokens), strict=True)
        for kind, tokens in counts:
            if tokens is not None:
                self._turns.tokens.labels(kind, source).inc(tokens)
                self._window.count(f"tokens.{kind}", tokens)
        if ended.output_tokens and ended.ttft_s is not None:
            self._window.count("pace.tokens", ended.output_tokens)
            self._window.count("pace.seconds", max(0.0, ended.duration_s - ended.ttft_s))

    def _record_times(self, ended: EndedTurn, name: str, outcome: str) -> None:
        gaps = Histogram()
        if gaps.add(ended.gaps_s):
            self.count_failure()
        self._turns.gaps.merge(gaps)
        self._window.merge("gaps", gaps)
        if stalls := gaps.above(STALL_S):
            self._turns.stalls.inc(stalls)
            self._window.count("stalls", stalls)
        if ended.queued_s is not None:
            self._window.observe("queue_wait", (valid(ended.queued_s),))
            self._turns.queue_wait.observe(ended.queued_s)
        self._window.observe(f"duration.{name}", (valid(ended.duration_s),))
        self._turns.duration.labels(outcome).observe(ended.duration_s)

    def _record_part(self, part: str, seconds: float) -> None:
        self._window.observe(f"ttft_part.{part}", (valid(seconds),))
        self._turns.parts.labels(part).observe(seconds)

    @fails_open
    def repeated(self, where: str, times: int = 1) -> None:
        """Record text or entries that came a second time and were left out: join or append."""
        where = known(where, labels.DUPLICATES)
        self._window.count(f"duplicates.{where}", times)
        self._turns.duplicates.labels(where).inc(times)

    @property
    def active_turns(self) -> int:
        """Turns that run in this process."""
        return self._active_turns
