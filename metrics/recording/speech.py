"""What is recorded of the spoken answers."""

import time
from collections.abc import Callable

from metrics import labels
from metrics.base import Window
from metrics.labels import known
from metrics.recording.base import Recording, fails_open, valid
from metrics.series.speech import SpeechSeries


class SpeechRecording(Recording):
    """Records units of speech, and the engines that spoke them."""

    def __init__(
        self, window: Window | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(window, clock=clock)
        self._speech = SpeechSeries(self._registry)

    @fails_open
    def first_audio(self, seconds: float, engine: str) -> None:
        """Record a turn's first audio, `seconds` after its request was received."""
        self._window.observe("speech.first_audio", (valid(seconds),))
        engine = known(engine, labels.SPEECH_ENGINES)
        self._speech.first_audio.labels(engine).observe(seconds)

    @fails_open
    def unit_ended(self, engine: str, outcome: str) -> None:
        """Record a unit of speech that is out: spoken, or the code of its failure."""
        engine = known(engine, labels.SPEECH_ENGINES)
        outcome = known(outcome, labels.UNIT_OUTCOMES)
        self._window.count(f"speech.units.{engine}.{outcome}")
        self._speech.units.labels(engine, outcome).inc()

    @fails_open
    def engine_called(self, engine: str, outcome: str, seconds: float) -> None:
        """Record one call to a speech engine: spoken, cancelled, or the code of its failure."""
        engine = known(engine, labels.SPEECH_ENGINES)
        outcome = known(outcome, labels.CALL_OUTCOMES)
        self._window.count(f"speech.calls.{engine}.{outcome}")
        self._speech.calls.labels(engine, outcome).inc()
        if outcome != "cancelled":  # it ended when somebody left: no figure of the engine's
            self._window.observe("speech.call_duration", (valid(seconds),))
            self._speech.call_duration.labels(engine).observe(seconds)

    @fails_open
    def breaker_changed(self, engine: str, *, is_open: bool) -> None:
        """Record that a speech engine is left alone from now on (also while probed), or no more."""
        engine = known(engine, labels.SPEECH_ENGINES)
        self._speech.breaker_open.labels(engine).set(is_open)

    @fails_open
    def audio_gap(self, seconds: float) -> None:
        """Record that a listener had nothing to hear for so long, in the middle of an answer."""
        self._window.observe("speech.gaps", (valid(seconds),))
        self._speech.gaps.observe(seconds)

    @fails_open
    def sentences_completed(self, count: int) -> None:
        """Record how many sentences an answer that is spoken came to."""
        self._window.count("speech.sentences", count)
        self._speech.sentences.inc(count)
