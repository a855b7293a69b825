"""Keeps one `FlagClient` up to date behind an application's back, also across forks.

Around a fork there is no thread of ours: it ends before, so that nothing is forked in the middle of
something, and no connection is shared; parent and child then each start a thread and connections of
their own. The child serves the rules that it was born with, as stale, until the store has spoken.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from threading import Event, Lock
from time import monotonic
from weakref import WeakSet

import anyio
import structlog

from flags.client import Fallbacks, FlagClient, Source
from flags.errors import FlagsError
from flags.model import Flag, Ruleset
from flags.openfeature.reading import ReadOnlyStore
from flags.openfeature.worker import Worker
from flags.store.base import FlagStore

log = structlog.get_logger(__name__)

STOP_S = 2.0
"""Stopping takes no longer, whatever the store does; the thread is then left to end by itself."""

SETTLE_S = 0.2
"""Nothing is told so soon after the start: the SDK itself says READY when `initialize` returns, and
would overrule a STALE that was said before."""

_CLOSE_S = 1.0
_RETRY_S = 1.0
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class News:
    """What an application may want to know.

    `is_stale`: whether the rules are stale from now on; None: as before. `changed`: flags that may
    answer otherwise than before. Either may say nothing.
    """

    is_stale: bool | None
    changed: tuple[str, ...]
    fault: str | None


class Background:
    """A `FlagClient` with a thread that keeps it up to date. All methods may be called anywhere.

    `client` is what is served now, None before the start and after the end. Asking it from any
    thread is safe: `decide` reads one reference to an immutable snapshot.

    Args:
        open_store: Makes a store that nobody else uses.
        fallbacks: What is served without it.
        tell: Told of news after each of the store's answers, on the thread; must not block.
    """

    def __init__(
        self,
        open_store: Callable[[], FlagStore],
        fallbacks: Fallbacks,
        tell: Callable[[News], None],
    ) -> None:
        self.client: FlagClient | None = None
        self._open_store = open_store
        self._fallbacks = fallbacks
        self._tell = tell
        self._lifecycle = Lock()
        self._is_held_for_fork = False
        self._worker: Worker | None = None
        self._following: FlagClient | None = None
        self._known = Event()
        self._fault: FlagsError | None = None
        self._store_version = 0
        self._told_stale: bool | None = None
        self._told_rules = fallbacks.defaults
        self._quiet_until = _NEVER

    def start(self) -> None:
        """Start following the store, if that is not done yet."""
        _watch_forks()
        with self._lifecycle:
            if self._worker is None:
                self._known.clear()
                self._fault, self._store_version, self._quiet_until = None, 0, _NEVER
                self._begin(self._fallbacks.defaults, serve=True)
                _running.add(self)

    def wait(self, timeout_s: float) -> None:
        """Return when rules are known: the store's, or the best without it; or time is over.

        Raises:
            FlagsError: the bootstrap file is needed, and cannot be used.
        """
        self._known.wait(timeout_s)
        if self._fault:
            raise self._fault

    def speak(self) -> None:
        """Tell of what changes from now on; what is served now is taken as told, and as good."""
        if self.client:
            self._told_rules, self._told_stale = self.client.ruleset, False
            self._quiet_until = monotonic() + SETTLE_S

    def stop(self) -> None:
        """Stop following, and give back thread and connections; idempotent, and bounded."""
        with self._lifecycle:
            worker, self._worker, self._following = self._worker, None, None
            _running.discard(self)
            if worker and not worker.stop(STOP_S):
                log.warning("flags.thread_does_not_stop")
            self.client = None

    def before_fork(self) -> None:
        """Have no thread in the middle of something while a process is forked."""
        # Whoever else holds it is about to start or to end: that is not to be interfered with.
        self._is_held_for_fork = self._lifecycle.acquire(timeout=STOP_S)
        worker = self._worker if self._is_held_for_fork else None
        if worker and not worker.stop(STOP_S):
            log.warning("flags.thread_runs_at_fork")

    def after_fork_in_parent(self) -> None:
        """Follow again; what is served stays as it is until the store has spoken."""
        if self._is_held_for_fork:
            try:
                self._begin_again(serve=False)
            finally:
                self._lifecycle.release()

    def after_fork_in_child(self) -> None:
        """Follow as well; serve what the parent knew, as stale, until the store has spoken."""
        # Whoever held them or waited for them is not in this process.
        self._lifecycle, self._known = Lock(), Event()
        if self._quiet_until == _NEVER:
            self._quiet_until, self._told_stale = 0.0, None
        self._begin_again(serve=True)

    def _begin_again(self, *, serve: bool) -> None:
        if self._worker and self.client:
            self._begin(self.client.ruleset, serve=serve)

    def _begin(self, known: Ruleset, *, serve: bool) -> None:
        """Start a thread with a client that knows these rules; serve it now or when it has news."""
        store = ReadOnlyStore(
            self._open_store,
            least_version=lambda: self._store_version,
            tell=lambda: self._heard(client),
        )
        client = FlagClient(store, replace(self._fallbacks, defaults=known))
        worker = Worker(partial(self._follow, client, store), name="chatstream-flags")
        self._following = client
        if serve:
            self.client = client
        worker.start()
        self._worker = worker

    async def _follow(self, client: FlagClient, store: ReadOnlyStore) -> None:
        try:
            # Rules that a fork or an earlier thread brought are better than any file's.
            if client.ruleset is self._fallbacks.defaults:
                await client.open()
                self._heard(client)
            await self._keep_up(client)
        except FlagsError as error:
            self._fault = error
            self._known.set()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_S):
                await store.close()

    async def _keep_up(self, client: FlagClient) -> None:
        while True:
            try:
                await client.run()
            except Exception:
                log.exception("flags.following_failed")
            await anyio.sleep(_RETRY_S)

    def _heard(self, client: FlagClient) -> None:
        """Serve and tell what the client has heard of its store. On its thread."""
        status = client.status
        has_no_word_yet = status.is_stale and status.fault is None
        if has_no_word_yet or client is not self._following:
            return
        self.client = client
        if status.source is not Source.DEFAULTS:
            self._known.set()
        if status.source is Source.STORE:
            self._store_version = status.version
        if monotonic() < self._quiet_until:
            return
        is_stale = status.fault is not None
        changed = changed_flags(self._told_rules, client.ruleset)
        news = News(None if is_stale is self._told_stale else is_stale, changed, status.fault)
        self._told_rules, self._told_stale = client.ruleset, is_stale
        try:
            self._tell(news)
        except Exception:
            log.exception("flags.telling_failed")


def changed_flags(before: Ruleset, after: Ruleset) -> tuple[str, ...]:
    """Return the keys of flags that may answer otherwise than before, sorted.

    They are those that are new, gone or defined otherwise; those with rules, where a segment has
    changed; and those that need one of them.
    """
    if before is after:
        return ()
    old, new = before.flags, after.flags
    segments_changed = before.segments != after.segments
    changed = {
        key
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key) or (segments_changed and new[key].rules)
    }
    while more := {
        key for key, flag in new.items() if key not in changed and _needs(flag, changed)
    }:
        changed |= more
    return tuple(sorted(changed))


def _needs(flag: Flag, keys: set[str]) -> bool:
    return any(prerequisite.flag in keys for prerequisite in flag.prerequisites)


_running: WeakSet[Background] = WeakSet()


@cache
def _watch_forks() -> None:
    """Be told of forks; once per process, since nobody can ask not to be told any more."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lambda: _each(Background.before_fork),
            after_in_parent=lambda: _each(Background.after_fork_in_parent),
            after_in_child=lambda: _each(Background.after_fork_in_child),
        )


def _each(act: Callable[[Background], None]) -> None:
    for background in list(_running):
        act(background)
