"""The controller: one of the workers looks at what all have counted, and decides.

Whoever holds the lease leads. A step is one write behind a fence, made only if flag and rollout are
as they were when it was decided; so it does not matter where a leader dies, or how late it wakes.
Without its store nobody decides, and flags stay as they are.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

import anyio
import structlog

from flags.changes.editor import FlagEditor, Request
from flags.changes.rollouts import taken
from flags.client import FlagClient
from flags.errors import FencedError, FlagsError, FlagStoreError, VersionConflictError
from flags.model import Author, Flag, Ruleset
from flags.rollout.counters import Observation
from flags.rollout.decided import CONTROLLER, Inputs, audited, stepped
from flags.rollout.decision.evidence import decode_evidence, encode_evidence
from flags.rollout.decision.machine import Transition
from flags.rollout.decision.report import Report, decode_report, encode_report
from flags.rollout.model import ACTIVE, GuardedRollout
from flags.rollout.store.base import RolloutStore, Sight
from flags.rollout.tally import Tally
from flags.store.base import Fence

log = structlog.get_logger(__name__)

BUSY_PER_S = 50.0
"""With more requests a second than these the leader looks more often."""

_NO_EPOCH = 0  # for whom only the report matters
_LAST_BATCHES = 2  # one that was put back, and what was counted since

OnTransition = Callable[[str, GuardedRollout, GuardedRollout, str], None]
"""Told of a flag's key, its rollout before and after, and the action; must not block."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between two flushes, two looks of the leader (and when there is much traffic), two
    renewals of the lease, and two looks of those who do not lead.
    """  # noqa: D205  # one list

    flush_s: float = 1.0
    tick_s: float = 5.0
    busy_tick_s: float = 1.0
    renew_s: float = 5.0
    follow_s: float = 2.0


class RolloutController:
    """Hands over what this worker counts; leads, if it may; knows how all rollouts stand.

    Keep `run` running; `close` after it has ended. A step whose write was lost is told of when it
    shows that it held.

    Args:
        store: Where all workers count.
        editor: Changes the flags.
        client: Of the same flags, running.
        tallies: By flag, what is counted here; only these flags' rollouts are led.
        worker: Names this process among all that ever were.
        intervals: How often it does what.
        on_transition: Told of the steps that are made while it leads.
    """

    def __init__(
        self,
        store: RolloutStore,
        editor: FlagEditor,
        client: FlagClient,
        *,
        tallies: Mapping[str, Tally],
        worker: str,
        intervals: Intervals = Intervals(),
        on_transition: OnTransition = lambda *_: None,
    ) -> None:
        self._store = store
        self._editor = editor
        self._client = client
        self._tallies = tallies
        self._worker = worker
        self._intervals = intervals
        self._on_transition = on_transition
        self._fence: Fence | None = None
        self._reports: dict[str, Report] = {}
        self._ticked_at: float | None = None
        self._faults: dict[str, str] = {}
        self._in_doubt: dict[str, tuple[GuardedRollout, Transition]] = {}
        self._last: dict[str, tuple[float, int]] = {}
        self._is_busy = False

    @property
    def is_leader(self) -> bool:
        """Whether this worker decides, as far as it knows."""
        return self._fence is not None

    @property
    def last_tick_age_s(self) -> float | None:
        """Seconds since this worker last looked at all rollouts as the leader; None: never."""
        return None if self._ticked_at is None else monotonic() - self._ticked_at

    def report(self, key: str) -> Report | None:
        """Return how a rollout stood last, as far as this worker knows; None: it has none."""
        return self._reports.get(key) if key in self._client.ruleset.rollouts else None

    async def run(self) -> None:
        """Count, lead and follow until cancelled; nothing that fails ends it."""
        every = self._intervals
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._repeat, "flush", self.flush, lambda: every.flush_s)
            tasks.start_soon(self._repeat, "lead", self._lead, lambda: every.renew_s)
            tasks.start_soon(self._repeat, "tick", self._tick_as_leader, self._tick_s)
            tasks.start_soon(self._repeat, "follow", self._follow, lambda: every.follow_s)

    async def close(self) -> None:
        """Hand over what is left, and leave: another may lead at once. Never fails for a store."""
        self._fence = None
        try:
            for _ in range(_LAST_BATCHES):
                await self.flush()
            await self._store.leave(frozenset(self._tallies), self._worker)
        except FlagStoreError as error:
            log.warning("rollout.left_unheard", reason=str(error))

    async def flush(self) -> None:
        """Hand over what was counted; what the store may not have got is handed over again.

        Raises:
            FlagStoreError: it cannot be reached; nothing is lost.
        """
        version = self._client.ruleset.version
        for key, tally in self._tallies.items():
            tally.due(monotonic())
            batch = tally.take()
            try:
                await self._store.add(key, batch, version=version)
            except BaseException:
                tally.put_back(batch)
                raise

    async def tick(self, key: str, fence: Fence) -> None:
        """Look at one flag's rollout as the leader, decide, write what was decided, keep by what.

        Raises:
            FencedError: another leads.
            VersionConflictError: somebody else changed flag or rollout meanwhile; look again.
            FlagStoreError: the store cannot be reached.
        """
        await self._client.follow_store()
        ruleset = self._client.ruleset
        flag, rollout = ruleset.flags.get(key), ruleset.rollouts.get(key)
        if flag is None or rollout is None:
            self._in_doubt.pop(key, None)
            return
        self._tell_if_held(key, rollout)
        if rollout.state in ACTIVE and flag.epoch > rollout.version:
            await self._let_go(flag, rollout, fence)
            return
        sight = await self._store.see(key, flag.epoch)
        self._is_busy |= self._rate(key, sight) > BUSY_PER_S
        seen = observation(flag, sight)
        inputs = Inputs(rollout, decode_evidence(sight.evidence), seen)
        verdict = inputs.verdict()
        if verdict.transition is not None:
            await self._step(flag, inputs, verdict.transition, fence)
        evidence, report = encode_evidence(verdict.evidence), encode_report(verdict.report)
        await self._store.keep(key, evidence, report, fence)
        self._reports[key] = verdict.report

    async def _step(self, flag: Flag, inputs: Inputs, transition: Transition, fence: Fence) -> None:
        key, before = flag.key, inputs.rollout

        def change(ruleset: Ruleset) -> Ruleset:
            _check_as_seen(ruleset, flag, before)
            rollouts = {**ruleset.rollouts, key: transition.rollout}
            changed = replace(ruleset, rollouts=rollouts)
            if transition.percentage is None:
                return changed
            dealt = replace(flag.rollout, percentage=transition.percentage)
            return replace(changed, flags={**ruleset.flags, key: replace(flag, rollout=dealt)})

        request = Request(
            Author(CONTROLLER, transition.rollout.reason), evidence=audited(inputs), fence=fence
        )
        self._in_doubt[key] = (before, transition)
        try:
            await self._editor.change(
                transition.action, change, request, asked=None, about=f"rollout:{key}"
            )
        except (FencedError, VersionConflictError):
            del self._in_doubt[key]
            raise
        self._tell(key)

    async def _let_go(self, flag: Flag, rollout: GuardedRollout, fence: Fence) -> None:
        """Pause where a release that knows of no rollouts has changed how the flag deals.

        One that knows of them writes the rollout in the same write.
        """
        author = Author(CONTROLLER, "another release changed how the flag deals")

        def change(ruleset: Ruleset) -> Ruleset:
            _check_as_seen(ruleset, flag, rollout)
            return taken(ruleset, flag.key, author, datetime.now(UTC))

        request = Request(author, fence=fence)
        await self._editor.change("pause", change, request, asked=None, about=f"rollout:{flag.key}")
        log.warning("rollout.let_go", flag=flag.key, percentage=flag.rollout.percentage)

    def _tell_if_held(self, key: str, rollout: GuardedRollout) -> None:
        """Tell of a step whose answer was lost, now that it shows whether it held."""
        before, transition = self._in_doubt.get(key, (None, None))
        if transition is None:
            return
        if stepped(transition.rollout, rollout) == rollout:
            self._tell(key)
        elif rollout != before:
            del self._in_doubt[key]

    def _tell(self, key: str) -> None:
        before, transition = self._in_doubt.pop(key)
        after = transition.rollout
        log.info(
            "rollout.stepped",
            flag=key,
            action=transition.action,
            state=after.state,
            stage=after.stage,
            percentage=transition.percentage,
            reason=after.reason,
        )
        try:
            self._on_transition(key, before, after, transition.action)
        except Exception:
            log.exception("rollout.listener_failed")

    async def _lead(self) -> None:
        was_leader = self.is_leader
        try:
            self._fence = await self._store.lead(self._worker)
        except BaseException:
            self._fence = None
            raise
        if self.is_leader != was_leader:
            log.info("rollout.leads" if self.is_leader else "rollout.follows", worker=self._worker)

    async def _tick_as_leader(self) -> None:
        self._is_busy = False
        for key in self._tallies:
            fence = self._fence
            if fence is None:
                return
            try:
                await self.tick(key, fence)
            except VersionConflictError:
                log.info("rollout.overtaken", flag=key)
            except FencedError:
                self._fence = None
                log.info("rollout.fenced", flag=key, worker=self._worker)
                return
        self._ticked_at = monotonic()

    def _tick_s(self) -> float:
        return self._intervals.busy_tick_s if self._is_busy else self._intervals.tick_s

    async def _follow(self) -> None:
        if self.is_leader:
            return
        for key in self._tallies.keys() & self._client.ruleset.rollouts.keys():
            report = decode_report((await self._store.see(key, _NO_EPOCH)).report)
            if report is not None:
                self._reports[key] = report

    def _rate(self, key: str, sight: Sight) -> float:
        counted = sight.on.n + sight.off.n
        at, before = self._last.get(key, (sight.now, counted))
        self._last[key] = (sight.now, counted)
        return max(counted - before, 0) / (sight.now - at) if sight.now > at else 0.0

    async def _repeat(
        self, what: str, work: Callable[[], Awaitable[None]], interval_s: Callable[[], float]
    ) -> None:
        while True:
            try:
                await work()
                self._mended(what)
            except FlagsError as error:
                self._failed(what, str(error))
            except Exception:
                log.exception("rollout.failed", what=what)
            await anyio.sleep(interval_s())

    def _failed(self, what: str, reason: str) -> None:
        if what not in self._faults:
            log.warning("rollout.store_lost", what=what, reason=reason)
        self._faults[what] = reason

    def _mended(self, what: str) -> None:
        if self._faults.pop(what, None) is not None:
            log.info("rollout.store_back", what=what)


def _check_as_seen(ruleset: Ruleset, flag: Flag, rollout: GuardedRollout) -> None:
    key = flag.key
    if ruleset.flags.get(key) != flag or ruleset.rollouts.get(key) != rollout:
        raise VersionConflictError(key, expected=flag.version, version=ruleset.version)


def observation(flag: Flag, sight: Sight) -> Observation:
    """Return what is decided by: a flag and what is held of its epoch."""
    ages_s = [beat.age_s for beat in sight.workers.values()]
    return Observation(
        now=sight.now,
        epoch=flag.epoch,
        percentage=flag.rollout.percentage,
        on=sight.on,
        off=sight.off,
        oldest_flush_s=max(ages_s, default=None),
        newest_flush_s=min(ages_s, default=None),
        # Other changes of the rules than this flag's do not matter to who gets what of it.
        is_skewed=any(beat.version < flag.version for beat in sight.workers.values()),
        is_killed=flag.kill,
    )
