"""Decisions for a process: asked from memory, kept up to date behind the questions' back.

Flags fail open: a lost store never fails, delays or changes an evaluation. What was last known goes
on being served, its reason is «stale», and `status` says why.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from time import monotonic

import anyio
import structlog
from anyio import to_thread

from flags.changes.editor import FlagEditor, Request
from flags.errors import FlagsError, FlagStoreError
from flags.evaluate import Snapshot, compile_ruleset
from flags.kills import LocalKills, killed_of
from flags.model import (
    NO_ATTRIBUTES,
    Attributes,
    Author,
    Decision,
    Flag,
    Reason,
    Ruleset,
    Value,
)
from flags.store.base import FlagStore
from flags.store.snapshot import read_bootstrap, read_snapshot, write_snapshot

log = structlog.get_logger(__name__)

POLL_S = 1.0
"""A lost announcement is made up for within this time."""

_RETRY_S = 0.25
FLAG_NOT_FOUND = "flag_not_found"
EVALUATION_FAILED = "general"
_SYSTEM = Request(Author("system"))
_UNSEEN = -1
_NOTHING = Ruleset()


class Source(StrEnum):
    """Where the rules that are served come from."""

    STORE = "store"
    SNAPSHOT = "snapshot"
    BOOTSTRAP = "bootstrap"
    DEFAULTS = "defaults"


@dataclass(frozen=True, slots=True)
class FlagsStatus:
    """How well the rules that are served are known.

    `age_s` are the seconds since the store confirmed them, None where it never did.
    """

    source: Source
    version: int
    is_stale: bool
    age_s: float | None
    killed_here: frozenset[str]
    fault: str | None


Listener = Callable[[Ruleset, Ruleset], None]
"""Told of the rules before and after; must not block."""


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """What a process serves without its store, in this order; and what it then wants to exist.

    `snapshot_path` is written at every change; None: never. `defaults` is the code's own word.
    `wanted` are created where the store does not have them.
    """

    defaults: Ruleset
    snapshot_path: Path | None = None
    bootstrap_path: Path | None = None
    wanted: Sequence[Flag] = ()


class FlagClient:
    """Decides, in one process. `open` once, then keep `run` running beside.

    Args:
        store: Where the rules are.
        fallbacks: What is served without it.
        kills: Kills that need no store.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        store: FlagStore,
        fallbacks: Fallbacks,
        *,
        kills: LocalKills | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._fallbacks = fallbacks
        self._kills = kills or LocalKills()
        self._clock = clock
        self._killed = self._kills.read()
        self._source = Source.DEFAULTS
        self._is_stale = True
        self._confirmed_at: float | None = None
        self._fault: str | None = None
        self._listeners: list[Listener] = []
        self._refreshing = anyio.Lock()
        self._compiled_for: tuple[Collection[str], bool] | None = None
        self._snapshot = Snapshot(_NOTHING, {})
        self._snapshot = self._compiled(fallbacks.defaults)

    @property
    def status(self) -> FlagsStatus:
        """How well the rules are known."""
        age_s = None if self._confirmed_at is None else self._clock() - self._confirmed_at
        return FlagsStatus(
            self._source,
            self._snapshot.ruleset.version,
            self._is_stale,
            age_s,
            frozenset(killed_of(self._killed, self._snapshot.ruleset.flags)),
            self._fault,
        )

    @property
    def ruleset(self) -> Ruleset:
        """The rules that are served now."""
        return self._snapshot.ruleset

    @property
    def snapshot(self) -> Snapshot:
        """The rules that are served now, ready to be asked: one and the same for many questions."""
        return self._snapshot

    def on_change(self, listener: Listener) -> None:
        """Have a function told of every change of the rules."""
        self._listeners.append(listener)

    def decide(
        self,
        key: str,
        unit: str,
        *,
        default: Value,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> Decision:
        """Return what a unit gets of a flag. It never raises, never waits and asks nobody.

        Args:
            key: The flag.
            unit: The user's id, else the guest's; the same unit always gets the same.
            default: The value where there is no such flag.
            attributes: What rules may ask for.
        """
        try:
            evaluate = self._snapshot.evaluators.get(key)
            if evaluate is None:
                return Decision(key, default, None, Reason.ERROR, error=FLAG_NOT_FOUND)
            return evaluate(unit, attributes)
        except Exception:
            log.exception("flags.evaluation_failed", flag=key)
            return Decision(key, default, None, Reason.ERROR, error=EVALUATION_FAILED)

    async def open(self) -> None:
        """Take the store's rules, or the best that is known without it. Never raises for a store.

        Raises:
            FlagsError: the bootstrap file is needed, and cannot be used.
        """
        try:
            await self._refresh()
        except FlagsError as error:
            self._lost(error)
            if self._source is Source.STORE:
                return
            known, self._source = await self._known_without_store()
            self._serve(known)
            log.warning("flags.started_without_store", source=self._source, reason=self._fault)

    async def run(self) -> None:
        """Keep the rules up to date until cancelled: announced changes at once, others in 1 s."""
        async with anyio.create_task_group() as tasks:
            # Beside the store, not after it: a local kill is for when the store does not answer.
            tasks.start_soon(self._watch_kills)
            await self._follow()

    async def _watch_kills(self) -> None:
        while True:
            killed = await to_thread.run_sync(self._kills.read)
            if killed != self._killed:
                self._killed = killed
                log.warning("flags.killed_here", keys=sorted(killed))
                self._serve(self._snapshot.ruleset)
            await anyio.sleep(POLL_S)

    async def _follow(self) -> None:
        while True:
            try:
                await self._follow_once()
            except FlagsError as error:
                self._lost(error)
                await anyio.sleep(_RETRY_S)

    async def follow_store(self) -> None:
        """Take the store's rules now; for whoever has just changed them.

        Raises:
            FlagStoreError: the store cannot be reached.
        """
        await self._refresh()

    async def _follow_once(self) -> None:
        # Rules that the store never confirmed, or has been away since, are read again whatever
        # their version is: what it lost meanwhile may have been written anew under the same one.
        is_settled = self._source is Source.STORE and not self._is_stale
        seen = self._snapshot.ruleset.version if is_settled else _UNSEEN
        version = await self._store.next_version(seen, timeout_s=POLL_S)
        if version != seen:
            await self._refresh()
        else:
            self._found()

    async def _refresh(self) -> None:
        # One at a time: else an answer that comes late would bring older rules back.
        async with self._refreshing:
            found = await self._restored(await self._store.read())
            ruleset = await self._with_wanted(found)
            if self._source is Source.STORE and ruleset == self._snapshot.ruleset:
                self._found()
                return
            self._source = Source.STORE
            self._found(ruleset)
            await self._keep(ruleset)

    async def _restored(self, found: Ruleset) -> Ruleset:
        """Give a store that lost its rules what is known here.

        Of several processes that do it one wins, and the others find it done.
        """
        known = await self._lost_by(found)
        if not known.flags:
            return found
        restored = await FlagEditor(self._store).take_in(
            known, _SYSTEM, action="restore", only_missing=True
        )
        if not restored:
            return found
        log.warning("flags.restored", version=known.version, definitions=len(restored))
        return await self._store.read()

    async def _with_wanted(self, found: Ruleset) -> Ruleset:
        """Create what is wanted and missing."""
        wanted = {flag.key: flag for flag in self._fallbacks.wanted}
        if not wanted.keys() - found.flags.keys():
            return found
        try:
            await FlagEditor(self._store).take_in(
                Ruleset(flags=wanted), _SYSTEM, action="create", only_missing=True
            )
            return await self._store.read()
        except FlagsError:
            # Reading works where writing may not (a full disk): what was found holds.
            if found.version:
                self._source = Source.STORE
                self._serve(found)
            raise

    async def _lost_by(self, found: Ruleset) -> Ruleset:
        """Return what a store had and has no more; versions tell that from what was deleted."""
        if self._source is Source.STORE:
            known = self._snapshot.ruleset
            return known if found.version < known.version else _NOTHING
        # Not below the snapshot's version only: the file may be of another store.
        if found.version:
            return _NOTHING
        known, source = await self._known_without_store()
        return _NOTHING if source is Source.DEFAULTS else known

    async def _known_without_store(self) -> tuple[Ruleset, Source]:
        snapshot_path, bootstrap_path = (
            self._fallbacks.snapshot_path,
            self._fallbacks.bootstrap_path,
        )
        if snapshot_path is not None:
            try:
                kept = await to_thread.run_sync(read_snapshot, snapshot_path)
            except FlagStoreError as error:
                log.error("flags.snapshot_unusable", reason=str(error))  # noqa: TRY400  # told whole
                kept = None
            if kept is not None:
                return kept, Source.SNAPSHOT
        if bootstrap_path is not None:
            return await to_thread.run_sync(read_bootstrap, bootstrap_path), Source.BOOTSTRAP
        return self._fallbacks.defaults, Source.DEFAULTS

    async def _keep(self, ruleset: Ruleset) -> None:
        path = self._fallbacks.snapshot_path
        if path is None:
            return
        try:
            await to_thread.run_sync(partial(write_snapshot, path, ruleset))
        except (FlagStoreError, OSError) as error:
            log.warning("flags.snapshot_not_written", reason=str(error))

    def _found(self, ruleset: Ruleset | None = None) -> None:
        """The store has answered: what is served is its word."""
        was_stale, self._is_stale, self._fault = self._is_stale, False, None
        self._confirmed_at = self._clock()
        if ruleset is not None:
            self._serve(ruleset)
        elif was_stale:
            log.info("flags.store_back", version=self._snapshot.ruleset.version)
            self._serve(self._snapshot.ruleset)

    def _lost(self, error: FlagsError) -> None:
        self._fault = str(error) or error.code
        if not self._is_stale:
            self._is_stale = True
            log.warning("flags.store_lost", reason=self._fault)
            self._serve(self._snapshot.ruleset)

    def _serve(self, ruleset: Ruleset) -> None:
        before, self._snapshot = self._snapshot.ruleset, self._compiled(ruleset)
        if before != ruleset:
            log.info("flags.changed", version=ruleset.version, source=self._source)
            for listener in self._listeners:
                _tell(listener, before, ruleset)

    def _compiled(self, ruleset: Ruleset) -> Snapshot:
        """Return rules ready to be asked; where a rollout alone has changed, nothing is compiled.

        Versions tell flags apart that Python takes for equal, such as of 1 and of true.
        """
        served = self._snapshot.ruleset
        wanted = (killed_of(self._killed, ruleset.flags), self._is_stale)
        is_alike = (ruleset.flags, ruleset.segments) == (served.flags, served.segments)
        if is_alike and wanted == self._compiled_for:
            return Snapshot(ruleset, self._snapshot.evaluators)
        self._compiled_for = wanted
        return compile_ruleset(ruleset, killed=wanted[0], is_stale=wanted[1])


def _tell(listener: Listener, before: Ruleset, after: Ruleset) -> None:
    try:
        listener(before, after)
    except Exception:
        log.exception("flags.listener_failed")
