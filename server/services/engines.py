"""Who speaks answers, as the settings say."""

from collections.abc import Sequence

import structlog

from metrics.turns import TurnMetrics
from server.services.faults import StartError
from server.settings import Settings
from streaming.cache.base import Cache
from streaming.speech.base import Speaker
from streaming.speech.maker import AudioMaker
from streaming.speech.turn_speech import SpeechLimits, Studio

log = structlog.get_logger(__name__)


def open_studio(settings: Settings, cache: Cache, metrics: TurnMetrics) -> Studio:
    """Return what turns that are spoken share.

    Raises:
        StartError: the engine that TTS_ENGINE names cannot be used.
    """
    maker = AudioMaker(
        speakers=choose_speakers(settings),
        cache=cache,
        metrics=metrics,
        max_parallel=settings.tts_max_parallel,
        timeout_s=settings.tts_timeout_s,
        first_timeout_s=settings.tts_first_timeout_s,
    )
    limits = SpeechLimits(
        timeout_s=settings.speech_timeout_s, idle_s=settings.speech_idle_timeout_s
    )
    return Studio(maker, metrics, limits)


def choose_speakers(settings: Settings) -> Sequence[Speaker]:
    """Return the engines that may speak, the first choice first; the silent one where none can.

    Raises:
        StartError: the engine that TTS_ENGINE names cannot be used.
    """
    from streaming.speech.silent import SilentSpeaker  # noqa: PLC0415  # only what is used

    if settings.tts_engine == "off":
        return [SilentSpeaker()]
    found = [_google(settings), _espeak(settings)]
    return [speaker for speaker in found if speaker is not None] or [SilentSpeaker()]


def _google(settings: Settings) -> Speaker | None:
    if settings.tts_engine not in {"auto", "google"}:
        return None
    from streaming.speech.google import GoogleSpeaker, credentials_fault  # noqa: PLC0415

    fault = credentials_fault(settings.google_credentials, settings.google_tts_endpoint)
    if fault is not None:
        if settings.tts_engine == "google":
            raise StartError(f"TTS_ENGINE=google: {fault}")
        if settings.google_credentials or settings.google_tts_endpoint:
            log.warning("speech.google_unusable", reason=fault)
        return None
    return GoogleSpeaker(
        credentials_path=settings.google_credentials,
        endpoint=settings.google_tts_endpoint,
        encoding=settings.google_tts_encoding,
        rate=settings.tts_rate,
        streaming=settings.google_tts_streaming,
    )


def _espeak(settings: Settings) -> Speaker | None:
    """Return the embedded engine; beside Google it stands in while Google cannot be reached."""
    from streaming.speech.espeak import EspeakSpeaker, espeak_available  # noqa: PLC0415

    if espeak_available():
        return EspeakSpeaker(rate=settings.tts_rate)
    if settings.tts_engine == "espeak":
        raise StartError(
            "TTS_ENGINE=espeak: eSpeak NG is not installed; `pip install chatstream[espeak]`, or"
            " set TTS_ENGINE=off."
        )
    return None
