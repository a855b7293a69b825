"""Which share of the traffic gets streaming: the flags, where they are kept, who follows them."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from flags.changes.editor import FlagEditor
from flags.client import Fallbacks, FlagClient
from flags.codec import read_flag
from flags.errors import FlagsError
from flags.exposures import Exposure, Exposures
from flags.kills import LocalKills
from flags.model import Attributes, Decision, Flag, FlagType, InFlight, Ruleset
from flags.store.base import FlagStore
from metrics.series.flags import FlagFigures
from metrics.turns import TurnMetrics
from server.services.faults import StartError
from server.settings import Settings

log = structlog.get_logger(__name__)

STREAMING = "streaming"
REQUIRED = {STREAMING: FlagType.BOOL}
KILL_FILE = "killed-flags"
"""In DATA_DIR: kills on this machine, without any store (`flags.kills`)."""


@dataclass(frozen=True, slots=True)
class Flags:
    """Flags as the server uses them."""

    client: FlagClient
    editor: FlagEditor
    store: FlagStore
    exposures: Exposures
    metrics: TurnMetrics

    def decide_streaming(self, unit: str, attributes: Attributes) -> Decision:
        """Return whether a user's turn is streamed; never fails, never waits."""
        decision = self.client.decide(STREAMING, unit, default=False, attributes=attributes)
        if decision.error is not None:
            self.metrics.flag_failed()
        return decision

    def figures(self) -> FlagFigures:
        """Return what operators watch."""
        status, flag = self.client.status, self.client.ruleset.flags.get(STREAMING)
        killed = STREAMING in status.killed_here or (flag is not None and flag.kill)
        is_on = flag is not None and flag.enabled and not killed
        percentage = flag.rollout.percentage if flag is not None else 0.0
        return FlagFigures(
            version=status.version,
            is_stale=status.is_stale,
            age_s=status.age_s,
            streaming_share=percentage / 100 if is_on else 0.0,
            is_streaming_killed=killed,
        )

    @property
    def wants_abort(self) -> bool:
        """Whether streaming is killed, and turns that stream are to be stopped with it."""
        return _wants_abort(self.client.ruleset)


async def open_flags(settings: Settings, metrics: TurnMetrics) -> Flags:
    """Return the flags at the best that is known now; a store that is down does not matter.

    Raises:
        StartError: an address or a bootstrap file cannot be used.
    """
    store = choose_flag_store(settings)
    client = FlagClient(
        store,
        _fallbacks(settings),
        kills=LocalKills(settings.killed_flags, settings.data_dir / KILL_FILE),
    )
    try:
        await client.open()
    except FlagsError as error:
        await store.close()
        raise StartError(f"FLAGS_BOOTSTRAP_FILE: {error}") from None
    exposures = Exposures(partial(_told, metrics))
    flags = Flags(
        client,
        FlagEditor(store, required=REQUIRED, refill=client.follow_store),
        store,
        exposures,
        metrics,
    )
    metrics.watch_flags(flags.figures)
    return flags


def choose_flag_store(settings: Settings) -> FlagStore:
    """Return the store the settings ask for, not opened yet.

    Raises:
        StartError: the address cannot be used.
    """
    if settings.redis_url is None:
        from flags.store.file import FileFlagStore  # noqa: PLC0415  # only what is used

        return FileFlagStore(settings.data_dir / "flags.json")
    from flags.store.redis import RedisFlagStore  # noqa: PLC0415  # only what is used

    try:
        return RedisFlagStore(
            settings.redis_url.get_secret_value(), timeout_s=settings.redis_timeout_s
        )
    except FlagsError as error:
        raise StartError(f"REDIS_URL: {error}") from None


def wants_abort_now(before: Ruleset, after: Ruleset) -> bool:
    """Say whether a change of the rules is a kill that stops turns in flight."""
    return _wants_abort(after) and not _wants_abort(before)


def _wants_abort(ruleset: Ruleset) -> bool:
    flag = ruleset.flags.get(STREAMING)
    return flag is not None and flag.kill and flag.in_flight is InFlight.ABORT


def _fallbacks(settings: Settings) -> Fallbacks:
    at_first = _streaming_at(settings.streaming_percentage)
    # In production nobody is streamed to on the word of a default: it must have been decided.
    is_safe = settings.app_env == "development"
    unknown = at_first if is_safe else replace(at_first, enabled=False)
    return Fallbacks(
        defaults=Ruleset(flags={STREAMING: unknown}),
        snapshot_path=_snapshot_path(settings),
        bootstrap_path=settings.flags_bootstrap_file,
        wanted=(at_first,),
    )


def _snapshot_path(settings: Settings) -> Path | None:
    # The embedded store is such a file itself.
    return None if settings.redis_url is None else settings.data_dir / "flags-snapshot.json"


def _streaming_at(percentage: float) -> Flag:
    return read_flag(
        {
            "description": "Which share of users sees answers while they are written.",
            "rollout": {"percentage": percentage},
        },
        STREAMING,
        strict=True,
    )


def _told(metrics: TurnMetrics, exposure: Exposure) -> None:
    metrics.flag_exposed(exposure.variant)
    log.info(
        "flag.exposed",
        flag=exposure.flag,
        variant=exposure.variant,
        epoch=exposure.epoch,
        version=exposure.version,
        user_id=exposure.unit,
    )
