"""What a process does beside answering: reaping, sweeping, watching itself, following its flags."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from time import monotonic

import anyio
import structlog

from history.errors import HistoryError
from history.model import TurnRecord
from resilience.loop_watch import LoopWatch
from resilience.supervised import supervised
from server.services.alerts import alerting
from server.services.faults import StartError
from server.services.services import Services
from server.services.sign_in import attend_sign_ins
from server.services.stores import store_fault
from streaming.errors import LogUnavailableError
from streaming.reaper import REAP_EVERY_S, SILENT_AFTER_S, SilenceWatch, reap
from streaming.speech.errors import SpeechError
from streaming.speech.turn_speech import Studio
from streaming.takeover import (
    LOOK_EVERY_S,
    LOOK_FOR_SILENT_EVERY_S,
    TakeoverLimits,
    Takeovers,
)
from streaming.turn import TurnSpec

log = structlog.get_logger(__name__)

Specify = Callable[[Services, TurnRecord], Awaitable[TurnSpec]]
"""Makes a turn's specification anew from its record."""

SWEEP_EVERY_S = 60.0
LAG_WATCH_S = 0.25
"""A timer this long is watched nearly all the time; by how much it is late is the loop's lag."""
LAG_PAUSE_S = 0.01
FOLLOW_FLAGS_AGAIN_S = 0.5
SHARE_AGAIN_S = 0.25
HOLD_AGAIN_S = 0.05
SETTLE_AGAIN_S = 0.1
LONG_SILENT_S = 60.0
"""While Redis cannot be reached: a record that has been silent for this long, also while we looked
on, has no worker."""


async def reap_at_start(services: Services) -> None:
    """End what a killed predecessor left running, before anybody can ask for it."""
    if services.leases is not None:
        return  # they are gone on with instead
    embedded = services.settings.mongodb_uri is None
    try:
        while await reap(  # one round ends a few hundred at the most
            services.history,
            is_ours=lambda _: False,
            silent_after_s=None if embedded else SILENT_AFTER_S,
            on_reaped=services.rollouts.reaped,
        ):
            pass
    except HistoryError as error:
        raise StartError(
            f"The history cannot be read: {store_fault(services.settings, error)}"
        ) from None


def _is_ours(services: Services, turn_id: str) -> bool:
    live = services.runner.find(turn_id) is not None
    return live or services.keeper.unstored(turn_id) is not None


async def _warm_up(studio: Studio) -> None:
    """Load and connect the speech engine before somebody waits for its first word."""
    try:
        await studio.maker.voices()
    except SpeechError as error:
        log.warning("speech.not_ready", engine=studio.maker.engine, reason=error.detail)


def _tell_blocked(blocked_s: float, stack: str) -> None:
    log.warning("event_loop.blocked", blocked_s=round(blocked_s, 2), stack=stack)


@asynccontextmanager
async def duties(services: Services, specify: Specify) -> AsyncIterator[None]:
    """Run what nobody waits for, until the block ends."""
    is_ours = partial(_is_ours, services)

    async def reap_silent() -> None:
        await reap(
            services.history,
            is_ours=is_ours,
            silent_after_s=SILENT_AFTER_S,
            on_reaped=services.rollouts.reaped,
        )

    async def sweep() -> None:
        now = datetime.now(UTC)
        await services.history.sweep(now)
        await services.accounts.sweep(now)

    async def measure_lag() -> None:
        due = monotonic() + LAG_WATCH_S
        await anyio.sleep(LAG_WATCH_S)
        services.metrics.loop_lag(max(0.0, monotonic() - due))

    rounds: list[tuple[str, Callable[[], Awaitable[object]], float]] = [
        ("sweep", sweep, SWEEP_EVERY_S),
        ("loop_lag", measure_lag, LAG_PAUSE_S),
        ("follow_flags", services.flags.client.run, FOLLOW_FLAGS_AGAIN_S),
        ("rollout", services.rollouts.controller.run, FOLLOW_FLAGS_AGAIN_S),
        ("event_log", services.event_log.run, SHARE_AGAIN_S),
        ("hold_places", services.limits.places.run, HOLD_AGAIN_S),
        ("settle_budgets", services.limits.budgets.run, SETTLE_AGAIN_S),
        *services.figures.rounds(services.metrics),
        *attend_sign_ins(services),
        *_rescue(services, specify, reap_silent),
    ]

    with LoopWatch(on_blocked=_tell_blocked):
        async with alerting(services) as alert_rounds, anyio.create_task_group() as tasks:
            tasks.start_soon(_warm_up, services.studio)
            for name, step, every_s in (*rounds, *alert_rounds):
                tasks.start_soon(partial(supervised, name, step, every_s=every_s, log=log))
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()


def _rescue(
    services: Services, specify: Specify, reap_silent: Callable[[], Awaitable[None]]
) -> list[tuple[str, Callable[[], Awaitable[object]], float]]:
    """Return who looks after turns that lost their worker."""
    if services.leases is None:
        return [("reap", reap_silent, REAP_EVERY_S)]
    settings = services.settings
    takeovers = Takeovers(
        services.history,
        services.leases,
        services.runner,
        specify=partial(specify, services),
        limits=TakeoverLimits(settings.max_takeovers, settings.takeover_max_age_s),
        on_taken=services.metrics.turn_taken_over,
    )

    async def look() -> None:
        try:
            await takeovers.look()
        except LogUnavailableError:  # told where it was noticed
            services.metrics.redis_seen(is_down=True)
        else:
            services.metrics.redis_seen(is_down=services.event_log.is_down)

    is_ours, watch = partial(_is_ours, services), SilenceWatch()

    async def look_for_silent() -> None:
        try:
            await takeovers.look_for_silent()
        except LogUnavailableError:  # who holds what cannot be told: only the long dead are ended
            await reap(
                services.history,
                is_ours=is_ours,
                silent_after_s=LONG_SILENT_S,
                watch=watch,
                on_reaped=services.rollouts.reaped,
            )

    return [
        ("take_over", look, LOOK_EVERY_S),
        ("take_over_silent", look_for_silent, LOOK_FOR_SILENT_EVERY_S),
    ]
