"""The one recorder the service uses: everything goes to Prometheus and to the window.

Recording fails open: it never raises and never waits; what could not be recorded is counted
(`chat_metrics_failures_total`). Nothing is recorded per token: a turn's gaps come at its end.
"""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Concatenate, ParamSpec

from metrics import labels
from metrics.alerts import AlertSeries
from metrics.base import Window
from metrics.labels import arm, known
from metrics.memory import MemoryWindow
from metrics.prometheus import (
    DependencySeries,
    Exposition,
    FlagFigures,
    FlagSeries,
    PageSeries,
    ReaderSeries,
    ServiceSeries,
    SpeechSeries,
    TurnSeries,
)
from metrics.snapshot import StreamingSnapshot, streaming_snapshot

_P = ParamSpec("_P")


@dataclass(frozen=True, slots=True)
class EndedTurn:
    """How a turn ended.

    `gaps_s` are the seconds between its deltas. `ttft_s` has been recorded before (`first_delta`);
    here it tells an answer's pace, and None a turn without any text. `duration_s` counts from the
    same moment. `usage_source` is exact, estimated or unknown.
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


def _fails_open(
    record: Callable[Concatenate["TurnMetrics", _P], None],
) -> Callable[Concatenate["TurnMetrics", _P], None]:
    @functools.wraps(record)
    def guarded(self: "TurnMetrics", /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            record(self, *args, **kwargs)
        except Exception:  # noqa: BLE001 - metrics fail open: no answer is lost for a figure
            self.count_failure()

    return guarded


class TurnMetrics:  # noqa: PLR0904 - one short method for each thing that can be recorded
    """Records what happens to turns, readers and requests in one process.

    Each instance has its own registry and window; use it from the event loop's thread.

    Args:
        window: Where the last minutes are kept; in memory if None.
        clock: Monotonic seconds.
    """

    def __init__(
        self, window: Window | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._window = MemoryWindow(clock=clock) if window is None else window
        self._clock = clock
        self._started_at = clock()
        self._active_turns = 0
        self._active_readers = 0
        self._exposition = Exposition()
        registry = self._exposition.registry
        self._turns = TurnSeries(registry)
        self._dependencies = DependencySeries(registry)
        self._readers = ReaderSeries(registry)
        self._service = ServiceSeries(registry)
        self._speech = SpeechSeries(registry)
        self._flags = FlagSeries(registry)
        self._page = PageSeries(registry)
        self.alerts = AlertSeries(registry)
        self._routes = labels.RouteLabels()

    @_fails_open
    def turn_started(self, *, streaming: bool) -> None:
        """Record that a turn runs in this process; exactly one `turn_ended` follows."""
        self._active_turns += 1
        self._turns.active.set(self._active_turns)
        self._window.count(f"started.{arm(streaming=streaming)}")

    @_fails_open
    def first_delta(self, seconds: float, *, streaming: bool) -> None:
        """Record a turn's first delta, `seconds` after its request was received."""
        name = arm(streaming=streaming)
        self._window.observe(f"ttft.{name}", (_valid(seconds),))
        self._turns.first_token.labels(name).observe(seconds)

    @_fails_open
    def turn_ended(self, ended: EndedTurn) -> None:
        """Record the end of a turn that was started here."""
        self._active_turns = max(0, self._active_turns - 1)
        self._turns.active.set(self._active_turns)
        name, outcome = arm(streaming=ended.streaming), known(ended.outcome, labels.OUTCOMES)
        self._window.count(f"ended.{name}.{outcome}")
        self._turns.turns.labels(outcome, name).inc()
        if ended.error_code is not None:
            code = known(ended.error_code, labels.ERROR_CODES)
            self._window.count(f"errors.{code}")
            self._turns.errors.labels(code).inc()
        if ended.ttft_s is None:
            self._window.count("turns.without_text")
        self._record_tokens(ended)
        self._record_times(ended, name, outcome)

    @_fails_open
    def turn_left(self, *, streaming: bool) -> None:
        """Record that a turn that was started here goes on elsewhere; no `turn_ended` follows."""
        self._active_turns = max(0, self._active_turns - 1)
        self._turns.active.set(self._active_turns)
        self._turns.turns.labels("left", arm(streaming=streaming)).inc()

    @_fails_open
    def source_retried(self) -> None:
        """Record that a token source was asked again."""
        self._window.count("source_retries")
        self._dependencies.retries.inc()

    @_fails_open
    def source_called(self, source: str, outcome: str) -> None:
        """Record one answer of a token source: finished, left, or the code of its failure."""
        source = known(source, labels.SOURCES)
        outcome = known(outcome, labels.CALL_ENDS)
        self._dependencies.calls.labels(source, outcome).inc()

    @_fails_open
    def source_breaker_changed(self, source: str, *, is_open: bool) -> None:
        """Record that a token source is left alone from now on (also while probed), or no more."""
        source = known(source, labels.SOURCES)
        self._dependencies.breaker_open.labels(source).set(is_open)

    @_fails_open
    def retry_refused(self) -> None:
        """Record a further call that the retry budget did not grant."""
        self._dependencies.budget_exhausted.inc()

    @_fails_open
    def turn_continued(self, cause: str) -> None:
        """Record that an answer which broke off is gone on with."""
        self._turns.continued.labels(known(cause, labels.CONTINUE_CAUSES)).inc()

    @_fails_open
    def turn_taken_over(self) -> None:
        """Record a turn of a lost worker that this process took."""
        self._turns.taken_over.inc()

    @_fails_open
    def history_failed(self, operation: str) -> None:
        """Record a call to the history that failed."""
        operation = known(operation, labels.HISTORY_OPERATIONS)
        self._window.count(f"history_failures.{operation}")
        self._dependencies.history_failures.labels(operation).inc()

    @_fails_open
    def history_breaker_changed(self, *, is_open: bool) -> None:
        """Record that the history is left alone from now on (also while probed), or no more."""
        self._dependencies.history_breaker_open.set(is_open)

    @_fails_open
    def redis_breaker_changed(self, *, is_open: bool) -> None:
        """Record that Redis is left alone from now on (also while probed), or no more."""
        self._dependencies.redis_breaker_open.set(is_open)

    @_fails_open
    def redis_seen(self, *, is_down: bool) -> None:
        """Record whether turns can be shared with other processes through Redis now."""
        self._dependencies.redis_down.set(is_down)

    @_fails_open
    def reader_opened(self) -> None:
        """Record an event stream that opens; exactly one `reader_closed` follows."""
        self._active_readers += 1
        self._readers.active.set(self._active_readers)

    @_fails_open
    def reader_closed(self, reason: str) -> None:
        """Record an event stream that closed: end, disconnect, slow or bye."""
        self._active_readers = max(0, self._active_readers - 1)
        self._readers.active.set(self._active_readers)
        reason = known(reason, labels.CLOSE_REASONS)
        self._window.count(f"readers_closed.{reason}")
        self._readers.closed.labels(reason).inc()

    @_fails_open
    def attached(self, result: str) -> None:
        """Record how an attempt to read a log was answered."""
        result = known(result, labels.ATTACH_RESULTS)
        self._window.count(f"attaches.{result}")
        self._readers.attaches.labels(result).inc()

    @_fails_open
    def reset_sent(self, reason: str) -> None:
        """Record a reset that a reader was sent."""
        reason = known(reason, labels.RESET_REASONS)
        self._window.count(f"resets.{reason}")
        self._readers.resets.labels(reason).inc()

    @_fails_open
    def loop_lag(self, seconds: float) -> None:
        """Record by how much a timer of the event loop came late."""
        self._window.observe("loop_lag", (_valid(seconds),))
        self._service.loop_lag.observe(seconds)

    @_fails_open
    def http_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Record an answered request.

        Args:
            route: The template of the route that matched, never the path itself.
            method: HTTP method.
            status: HTTP status.
            seconds: From receiving the request to the last byte of its answer.
        """
        route, status_label = self._routes.label(route), labels.status_label(status)
        self._window.count(f"requests.{labels.status_class(status)}")
        method = known(method, labels.METHODS)
        self._service.requests.labels(route, method, status_label).inc()
        self._service.request_duration.labels(route).observe(_valid(seconds))

    @_fails_open
    def cache_looked_up(self, cache: str, *, hit: bool) -> None:
        """Record a lookup in a cache that a page or a model would have waited for."""
        cache, result = known(cache, labels.CACHES), "hit" if hit else "miss"
        self._window.count(f"cache.{cache}.{result}")
        self._service.cache_lookups.labels(cache, result).inc()

    @_fails_open
    def cache_failed(self, cache: str) -> None:
        """Record a call that a cache did not serve."""
        self._service.cache_failures.labels(known(cache, labels.CACHES)).inc()

    @_fails_open
    def first_audio(self, seconds: float, engine: str) -> None:
        """Record a turn's first audio, `seconds` after its request was received."""
        self._window.observe("speech.first_audio", (_valid(seconds),))
        engine = known(engine, labels.SPEECH_ENGINES)
        self._speech.first_audio.labels(engine).observe(seconds)

    @_fails_open
    def unit_ended(self, engine: str, outcome: str) -> None:
        """Record a unit of speech that is out: spoken, or the code of its failure."""
        engine = known(engine, labels.SPEECH_ENGINES)
        outcome = known(outcome, labels.UNIT_OUTCOMES)
        self._window.count(f"speech.units.{engine}.{outcome}")
        self._speech.units.labels(engine, outcome).inc()

    @_fails_open
    def engine_called(self, engine: str, outcome: str, seconds: float) -> None:
        """Record one call to a speech engine: spoken, cancelled, or the code of its failure."""
        engine = known(engine, labels.SPEECH_ENGINES)
        outcome = known(outcome, labels.CALL_OUTCOMES)
        self._window.count(f"speech.calls.{engine}.{outcome}")
        self._speech.calls.labels(engine, outcome).inc()
        if outcome != "cancelled":  # it ended when somebody left: no figure of the engine's
            self._window.observe("speech.call_duration", (_valid(seconds),))
            self._speech.call_duration.labels(engine).observe(seconds)

    @_fails_open
    def breaker_changed(self, engine: str, *, is_open: bool) -> None:
        """Record that a speech engine is left alone from now on (also while probed), or no more."""
        engine = known(engine, labels.SPEECH_ENGINES)
        self._speech.breaker_open.labels(engine).set(is_open)

    def watch_flags(self, figures: Callable[[], FlagFigures]) -> None:
        """Ask for the flags' figures at each scrape; the function must not block."""
        self._flags.watched = figures

    @_fails_open
    def flag_exposed(self, variant: str) -> None:
        """Record that a user was given a variant of `streaming`, for the first time in an epoch."""
        self._flags.exposures.labels(known(variant, labels.ARMS)).inc()

    @_fails_open
    def flag_failed(self) -> None:
        """Record an evaluation of `streaming` that gave its default for a fault."""
        self._flags.failures.inc()

    @_fails_open
    def page_reported(
        self, *, ttft_s: float | None, gaps_s: Mapping[str, float], reconnects: int
    ) -> None:
        """Record what a page saw of one turn; `gaps_s` by statistic: p50, p95, max."""
        if ttft_s is not None:
            self._window.observe("page.ttft", (_valid(ttft_s),))
            self._page.first_token.observe(ttft_s)
        for statistic, seconds in gaps_s.items():
            self._page.gaps.labels(known(statistic, labels.PAGE_GAPS)).observe(_valid(seconds))
        self._window.count("page.reconnects", reconnects)
        self._page.reconnects.inc(reconnects)

    def snapshot(self) -> StreamingSnapshot:
        """Return what the window says now; about a millisecond of work."""
        return streaming_snapshot(
            self._window.read(),
            uptime_s=self._clock() - self._started_at,
            active_turns=self._active_turns,
            active_readers=self._active_readers,
        )

    def exposition(self) -> tuple[bytes, str]:
        """Return the answer to a Prometheus scrape and its content type."""
        return self._exposition.render()

    def count_failure(self) -> None:
        """Count a record that could not be made."""
        self._service.failures.inc()

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
        self._window.observe("gaps", ended.gaps_s)
        if self._turns.gaps.add(ended.gaps_s):
            self.count_failure()
        self._window.observe(f"duration.{name}", (_valid(ended.duration_s),))
        self._turns.duration.labels(outcome).observe(ended.duration_s)


def _valid(seconds: float) -> float:
    """Refuse what would spoil a sum for good: not a number, endless, negative."""
    if not 0 <= seconds < float("inf"):
        raise ValueError(seconds)
    return seconds
