"""The spoken answer: its units, and the engines that are asked for them."""

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client import Histogram as BucketHistogram

_FIRST_AUDIO_S = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 16, 30)
_SPEECH_CALL_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10)
_AUDIO_GAP_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class SpeechSeries:
    """The spoken answer: its units, and the engines that are asked for them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.first_audio = BucketHistogram(
            "chat_time_to_first_audio_seconds",
            "Seconds from receiving the request to the first audio.",
            ["engine"],
            buckets=_FIRST_AUDIO_S,
            registry=registry,
        )
        self.units = Counter(
            "chat_speech_units_total",
            "Units of speech that were spoken or failed.",
            ["engine", "outcome"],
            registry=registry,
        )
        self.calls = Counter(
            "chat_speech_calls_total",
            "Calls to a speech engine, each try counted.",
            ["engine", "outcome"],
            registry=registry,
        )
        self.call_duration = BucketHistogram(
            "chat_speech_call_duration_seconds",
            "Seconds that a call to a speech engine took, unless it was cancelled.",
            ["engine"],
            buckets=_SPEECH_CALL_S,
            registry=registry,
        )
        self.breaker_open = Gauge(
            "chat_speech_breaker_open",
            "Whether the breaker of a speech engine is open (1) or closed (0).",
            ["engine"],
            registry=registry,
        )
        self.sentences = Counter(
            "chat_sentences_total", "Sentences of answers that are spoken.", registry=registry
        )
        self.gaps = BucketHistogram(
            "chat_audio_gap_seconds",
            "Seconds for which a listener had played all audio, and more was to come.",
            buckets=_AUDIO_GAP_S,
            registry=registry,
        )
