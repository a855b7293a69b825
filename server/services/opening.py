"""Opening everything in order, and closing it in reverse."""

import fcntl
import gc
import os
import platform
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from flags.model import Ruleset
from metrics.turns import TurnMetrics
from server.auth.credentials import Credentials
from server.auth.failed_tries import FailedTries
from server.auth.guests import Guests
from server.auth.operator_sessions import OperatorSessions
from server.ids import new_id
from server.operator_streams import OperatorStreams
from server.readers import Readers
from server.services.caches import open_cache
from server.services.duties import Specify, duties, reap_at_start
from server.services.engines import open_studio
from server.services.faults import StartError
from server.services.figures import open_figures
from server.services.flags import open_flags, wants_abort_now
from server.services.limits import open_limits
from server.services.logs import open_event_log, redis_breaker
from server.services.moderation import open_checks
from server.services.passwords import open_passwords
from server.services.rollouts import open_rollouts
from server.services.secrets import ring, secret
from server.services.services import Services
from server.services.sign_in import make_sign_in
from server.services.sign_in_provider import open_sign_in_provider
from server.services.sources import open_sources
from server.services.stores import history_breaker, open_stores
from server.services.telemetry import open_telemetry
from server.settings import RESTORE_PROGRESS, Settings
from server.version import VERSION
from streaming.keeper import RecordKeeper
from streaming.operators import Operators
from streaming.runner import RunnerLimits, TurnRunner
from streaming.turn import Cancelled, Deadlines

SIGN_INS_A_MINUTE = 10
"""Wrong tokens of one address; a person who mistypes needs fewer."""


@asynccontextmanager
async def open_services(settings: Settings, specify: Specify) -> AsyncIterator[Services]:
    """Open everything the settings ask for, and close it in reverse.

    Args:
        settings: Of the process.
        specify: Makes the specification of a turn that is taken over.

    Raises:
        StartError: the data directory, a store or a secret cannot be used.
    """
    async with AsyncExitStack() as stack:
        _enter_data_dir(settings.data_dir)
        if settings.redis_url is None or settings.mongodb_uri is None:
            _claim_data_dir(settings.data_dir, stack)
        worker_id = new_id("worker")
        figures = open_figures(settings, stack, worker_id=worker_id)
        metrics = TurnMetrics(figures.window)
        metrics.introduce(VERSION, platform.python_version())
        metrics.limits.set(turns=settings.max_live_turns, readers=settings.max_readers)
        metrics.watch_sharing(figures.sharing)
        store_breaker = history_breaker(settings, metrics)
        stores = await open_stores(settings, stack, store_breaker, metrics)
        sources = open_sources(settings, metrics)
        stack.push_async_callback(sources.close)
        cache = await open_cache(settings, stack, metrics)
        checks = open_checks(settings, stack, metrics)
        studio = open_studio(settings, cache, metrics)
        stack.push_async_callback(studio.maker.close)
        session_ring = ring(settings, "session_secret", former=settings.session_previous_secrets)
        sign_in = make_sign_in(
            settings,
            stores.accounts,
            jwt_ring=ring(settings, "jwt_secret", former=settings.jwt_previous_secrets),
            session_ring=session_ring,
        )
        guests = Guests(*session_ring)
        operators = OperatorSessions(session_ring[0], secret(settings, "admin_token"))
        limits = open_limits(settings, stack, metrics, worker_id=worker_id, secret=session_ring[0])
        studio.maker.meter_of = limits.speech.meter
        # Behind all that can refuse the start: a refusal is one line, and leaves no flag behind.
        flags = await open_flags(settings, metrics)
        stack.push_async_callback(flags.store.close)
        rollouts = open_rollouts(settings, stack, flags, metrics, worker=worker_id)
        telemetry = open_telemetry(settings, stack, worker_id=worker_id)
        keeper = RecordKeeper(stores.history, metrics)
        shared_breaker = redis_breaker(settings, metrics)
        event_log, leases = open_event_log(
            settings,
            stack,
            worker_id=worker_id,
            breaker=shared_breaker,
            metrics=metrics,
            on_command=lambda turn_id, command: runner.obey(turn_id, command),  # noqa: PLW0108
            on_read=lambda turn_id, for_s: runner.readership.read_elsewhere(turn_id, for_s),  # noqa: PLW0108
        )
        metrics.watch_logs(lambda: event_log.size_bytes)
        runner = TurnRunner(
            keeper=keeper,
            event_log=event_log,
            sources=sources,
            operators=Operators(metrics, [rollouts.turns, limits.turns, *telemetry]),
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
            leases=leases,
            checks=checks,
        )
        services = Services(
            settings=settings,
            history=stores.history,
            history_breaker=store_breaker,
            chatbots=stores.chatbots,
            accounts=stores.accounts,
            passwords=open_passwords(settings, stack),
            event_log=event_log,
            leases=leases,
            redis_breaker=shared_breaker,
            sources=sources,
            studio=studio,
            checks=checks,
            limits=limits,
            metrics=metrics,
            figures=figures,
            flags=flags,
            rollouts=rollouts,
            keeper=keeper,
            runner=runner,
            readers=Readers(
                readership=runner.readership,
                metrics=metrics,
                max_open=settings.max_readers,
                heartbeat_s=settings.heartbeat_s,
                send_timeout_s=settings.send_timeout_s,
            ),
            guests=guests,
            sign_in=sign_in,
            credentials=Credentials(stores.accounts, sign_in, guests=guests, operators=operators),
            operator_sessions=operators,
            operator_streams=OperatorStreams(send_timeout_s=settings.send_timeout_s),
            failed_sign_ins=FailedTries(limit=SIGN_INS_A_MINUTE, window_s=60.0),
            sign_in_provider=open_sign_in_provider(settings, stack, session_ring[0]),
            worker_id=worker_id,
        )
        flags.client.on_change(partial(_stop_where_killed, runner))
        await reap_at_start(services)
        await stack.enter_async_context(runner.running())
        await stack.enter_async_context(duties(services, specify))
        yield services


def settle_garbage_collector() -> None:
    """Collect from now on, but nothing that start-up made.

    Measured: 99th percentile of the time to first token 108 -> 11 ms at 1,000 streams.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    gc.enable()


def _enter_data_dir(data_dir: Path) -> None:
    """Make the folder, and start on nothing that is half of one state and half of another."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unusable(data_dir, error) from None
    progress = data_dir / RESTORE_PROGRESS
    if progress.exists():
        raise StartError(
            f"What is stored is half restored ({progress}); repeat scripts/restore with the same"
            " archive, or wait until it is done."
        )


def _unusable(data_dir: Path, error: OSError) -> StartError:
    return StartError(
        f"DATA_DIR {data_dir} cannot be written ({error.strerror}); set DATA_DIR to a folder"
        " that can."
    )


def _claim_data_dir(data_dir: Path, stack: AsyncExitStack) -> None:
    """Hold the folder's lock: two processes on one embedded store would lose turns."""
    try:
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(data_dir, error) from None
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StartError(
            f"DATA_DIR {data_dir} is in use by another Chatstream; stop it or set another one."
            " Several workers share their turns with MONGODB_URI and REDIS_URL set."
        ) from None


def _stop_where_killed(runner: TurnRunner, before: Ruleset, after: Ruleset) -> None:
    if wants_abort_now(before, after):
        runner.stop_streaming(Cancelled("operator"))
