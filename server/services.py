"""The one place that knows which adapters exist: chosen from the settings, opened in order.

Whoever opens services closes them in reverse, whatever happened in between.
"""

import fcntl
import gc
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic

import anyio
import structlog
from pydantic import SecretStr

from chatbots.base import Chatbots
from chatbots.errors import ChatbotsError
from chatbots.sqlite import SqliteChatbots
from history.base import History
from history.errors import HistoryError
from history.sqlite.history import SqliteHistory
from metrics.turns import TurnMetrics
from resilience.supervised import supervised
from server.identity import Guests
from server.ids import new_id
from server.kept_secrets import kept_secret
from server.readers import Readers
from server.settings import Settings
from storage.errors import StorageError
from storage.sqlite import SqliteDatabase
from streaming.cache.memory import MemoryCache
from streaming.event_log.base import EventLog
from streaming.event_log.memory import MemoryEventLog
from streaming.keeper import RecordKeeper
from streaming.llm.base import TokenSource
from streaming.reaper import REAP_EVERY_S, SILENT_AFTER_S, reap
from streaming.runner import RunnerLimits, TurnRunner
from streaming.speech.base import Speaker
from streaming.speech.errors import SpeechError
from streaming.speech.maker import AudioMaker
from streaming.speech.turn_speech import SpeechLimits, Studio
from streaming.turn import Deadlines

log = structlog.get_logger(__name__)

ROOT = Path(__file__).resolve().parent.parent
SWEEP_EVERY_S = 60.0
LAG_WATCH_S = 0.25
"""A timer this long is watched nearly all the time; by how much it is late is the loop's lag."""
LAG_PAUSE_S = 0.01


class StartError(Exception):
    """The service cannot start; the message is one clear line that says what to do."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a route may use."""

    settings: Settings
    history: History
    chatbots: Chatbots
    event_log: EventLog
    source: TokenSource
    studio: Studio
    metrics: TurnMetrics
    keeper: RecordKeeper
    runner: TurnRunner
    readers: Readers
    guests: Guests
    admin_token: SecretStr
    worker_id: str

    @property
    def model_kind(self) -> str:
        """Which token source was chosen."""
        return "offline" if self.settings.is_offline else "openai"

    @property
    def history_kind(self) -> str:
        """Which store was chosen."""
        return "sqlite" if self.settings.mongodb_uri is None else "mongodb"


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open everything the settings ask for, and close it in reverse.

    Raises:
        StartError: the data directory, a store or a secret cannot be used.
    """
    async with AsyncExitStack() as stack:
        _claim_data_dir(settings.data_dir, stack)
        history, chatbots = await _open_stores(settings, stack)
        metrics = TurnMetrics()
        source = _token_source(settings, metrics)
        stack.push_async_callback(source.close)
        studio = _studio(settings, metrics)
        stack.push_async_callback(studio.maker.close)
        keeper = RecordKeeper(history, metrics)
        event_log = MemoryEventLog(
            replay_window_s=settings.replay_window_s,
            max_bytes=settings.replay_max_bytes,
            clock=monotonic,
        )
        runner = TurnRunner(
            keeper=keeper,
            event_log=event_log,
            source=source,
            metrics=metrics,
            limits=RunnerLimits(
                Deadlines(
                    first_token_s=settings.first_token_timeout_s,
                    inter_token_s=settings.inter_token_timeout_s,
                    turn_s=settings.turn_timeout_s,
                ),
                max_live=settings.max_live_turns,
                abandon_after_s=settings.abandon_after_s,
            ),
            studio=studio,
        )
        services = Services(
            settings=settings,
            history=history,
            chatbots=chatbots,
            event_log=event_log,
            source=source,
            studio=studio,
            metrics=metrics,
            keeper=keeper,
            runner=runner,
            readers=Readers(
                runner=runner,
                metrics=metrics,
                max_open=settings.max_readers,
                heartbeat_s=settings.heartbeat_s,
                send_timeout_s=settings.send_timeout_s,
            ),
            guests=Guests(_secret(settings, "session_secret").get_secret_value()),
            admin_token=_secret(settings, "admin_token"),
            worker_id=new_id("worker"),
        )
        await _reap_at_start(services)
        await stack.enter_async_context(runner.running())
        await stack.enter_async_context(_duties(services))
        yield services


def settle_garbage_collector() -> None:
    """Keep what start-up made out of every later collection.

    Measured: 99th percentile of the time to first token 108 -> 11 ms at 1,000 streams.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def _claim_data_dir(data_dir: Path, stack: AsyncExitStack) -> None:
    """Make the folder and hold its lock: two processes on one embedded store would lose turns."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(
            f"DATA_DIR {data_dir} cannot be written ({error.strerror}); set DATA_DIR to a folder"
            " that can."
        ) from None
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StartError(
            f"DATA_DIR {data_dir} is in use by another Chatstream; stop it or set another one."
        ) from None


def choose_stores(settings: Settings) -> tuple[History, Chatbots]:
    """Return the stores the settings ask for, not opened yet.

    Raises:
        StartError: the address of a store cannot be used.
    """
    if settings.mongodb_uri is None:
        file = SqliteDatabase(settings.data_dir / "chat.db", timeout_s=settings.history_timeout_s)
        return SqliteHistory(file), SqliteChatbots(file)
    from chatbots.mongo import MongoChatbots  # noqa: PLC0415  # only what is used
    from history.mongo.history import MongoHistory  # noqa: PLC0415
    from storage.mongo import MongoDatabase  # noqa: PLC0415

    try:
        database = MongoDatabase(
            settings.mongodb_uri.get_secret_value(), timeout_s=settings.history_timeout_s
        )
    except StorageError as error:
        raise StartError(f"MONGODB_URI: {error}") from None
    return MongoHistory(database), MongoChatbots(database)


async def _open_stores(settings: Settings, stack: AsyncExitStack) -> tuple[History, Chatbots]:
    history, chatbots = choose_stores(settings)
    stack.push_async_callback(history.close)
    try:
        await history.open()
        await chatbots.open()
    except (HistoryError, ChatbotsError, StorageError) as error:
        raise StartError(f"The history cannot be opened: {store_fault(settings, error)}") from None
    return history, chatbots


def store_fault(settings: Settings, error: Exception) -> str:
    """Return a driver's complaint in one line, and where to look."""
    brief = str(error).partition(" (configured timeouts")[0].splitlines()[0]
    return brief if settings.mongodb_uri is None else f"{brief}; check MONGODB_URI."


def _token_source(settings: Settings, metrics: TurnMetrics) -> TokenSource:
    if settings.is_offline:
        from streaming.llm.offline import OfflineTokenSource  # noqa: PLC0415  # only what is used

        return OfflineTokenSource(
            docs_dir=ROOT / "docs", tokens_per_s=settings.offline_tokens_per_s
        )
    from streaming.llm.openai import OpenAITokenSource  # noqa: PLC0415  # half a second of imports

    key = settings.openai_api_key
    return OpenAITokenSource(
        base_url=settings.openai_base_url,
        api_key=key.get_secret_value() if key else "none",
        default_model=settings.openai_model,
        connect_timeout_s=settings.connect_timeout_s,
        request_timeout_s=settings.first_token_timeout_s,
        max_retries=settings.openai_max_retries,
        on_retry=lambda _: metrics.source_retried(),
    )


def _studio(settings: Settings, metrics: TurnMetrics) -> Studio:
    maker = AudioMaker(
        speakers=choose_speakers(settings),
        cache=MemoryCache(
            max_bytes=settings.tts_cache_max_bytes, ttl_s=settings.tts_cache_ttl_s, clock=monotonic
        ),
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


def _secret(settings: Settings, name: str) -> SecretStr:
    configured: SecretStr | None = getattr(settings, name)
    if configured is not None:
        return configured
    path = settings.data_dir / name.replace("_", "-")
    try:
        return kept_secret(path)
    except OSError as error:
        raise StartError(f"{path} cannot be read ({error.strerror}); delete it.") from None


async def _reap_at_start(services: Services) -> None:
    """End what a killed predecessor left running, before anybody can ask for it."""
    embedded = services.settings.mongodb_uri is None
    try:
        while await reap(  # one round ends a few hundred at the most
            services.history,
            is_ours=lambda _: False,
            silent_after_s=None if embedded else SILENT_AFTER_S,
        ):
            pass
    except HistoryError as error:
        raise StartError(
            f"The history cannot be read: {store_fault(services.settings, error)}"
        ) from None


async def _warm_up(studio: Studio) -> None:
    """Load and connect the speech engine before somebody waits for its first word."""
    try:
        await studio.maker.voices()
    except SpeechError as error:
        log.warning("speech.not_ready", engine=studio.maker.engine, reason=error.detail)


@asynccontextmanager
async def _duties(services: Services) -> AsyncIterator[None]:
    """Run what nobody waits for, until the block ends."""

    def is_ours(turn_id: str) -> bool:
        live = services.runner.find(turn_id) is not None
        return live or services.keeper.unstored(turn_id) is not None

    async def reap_silent() -> None:
        await reap(services.history, is_ours=is_ours, silent_after_s=SILENT_AFTER_S)

    async def sweep() -> None:
        await services.history.sweep(datetime.now(UTC))

    async def measure_lag() -> None:
        due = monotonic() + LAG_WATCH_S
        await anyio.sleep(LAG_WATCH_S)
        services.metrics.loop_lag(max(0.0, monotonic() - due))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_warm_up, services.studio)
        for name, step, every_s in (
            ("reap", reap_silent, REAP_EVERY_S),
            ("sweep", sweep, SWEEP_EVERY_S),
            ("loop_lag", measure_lag, LAG_PAUSE_S),
        ):
            tasks.start_soon(partial(supervised, name, step, every_s=every_s, log=log))
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
