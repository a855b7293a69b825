"""Raising a percentage step by step: the waiting, the watching, and every way to end.

A step is a compare-and-set against the version of the step before, so that nobody's change is ever
overwritten. Between two steps the store is watched, and an interruption ends the wait at once; a
step itself is never cut.
"""

import secrets
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import anyio

from flags.changes.editor import FlagEditor, Request
from flags.errors import FlagStoreError, VersionConflictError
from flags.model import Flag
from flags.store.base import FlagStore

LOOK_S = 1.0
"""Another writer's change is seen this late at most, should its announcement be lost."""

_RETRY_S = 0.5
_MAX_PATIENCE_S = 600.0


class End(StrEnum):
    """How a climb ended."""

    DONE = "done"
    INTERRUPTED = "interrupted"
    OVERTAKEN = "overtaken"
    STORE_LOST = "store_lost"


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a climb.

    `flag` is how the last step left it; `in_doubt` the percentage of a step that may have been made
    after it; `signal` the one that interrupted it; `fault` what was wrong with a lost store.
    """

    end: End
    flag: Flag
    in_doubt: float | None = None
    signal: int = 0
    fault: str = ""


class _OvertakenError(Exception):
    """Somebody else changed the flag."""


class _InterruptedError(Exception):
    """Somebody wants it to stop."""


class Climb:
    """One climb of one flag.

    Args:
        store: Where the flag is.
        request: Whose steps they are; every step adds the version it is made at.
        every_s: Seconds between two steps. A store that is lost is waited for as long again, at
            most 10 minutes.
        told: Called with the flag after every step.
        said: Called with what a person should know meanwhile.
    """

    def __init__(
        self,
        store: FlagStore,
        request: Request,
        *,
        every_s: float,
        told: Callable[[Flag], None],
        said: Callable[[str], None],
    ) -> None:
        self._store = store
        self._editor = FlagEditor(store)
        self._request = request
        self._every_s = every_s
        self._patience_s = min(every_s, _MAX_PATIENCE_S)
        self._told = told
        self._said = said
        self._signal = 0
        self._in_doubt: float | None = None
        self._waiting: anyio.CancelScope | None = None
        # With it a step whose answer was lost can be repeated: it is made once.
        self._id = secrets.token_hex(8)

    async def run(self, flag: Flag, stages: Sequence[float]) -> Ended:
        """Take the flag through the percentages; the first at once.

        Args:
            flag: As it was read.
            stages: Each above the one before, the first above the flag's.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            ended = await self._climb(flag, stages)
            tasks.cancel_scope.cancel()
        return ended

    async def _climb(self, flag: Flag, stages: Sequence[float]) -> Ended:
        try:
            for stage in stages:
                flag = await self._step(flag, stage)
                self._told(flag)
                if stage != stages[-1]:
                    await self._watch(flag)
        except _InterruptedError:
            return Ended(End.INTERRUPTED, flag, self._in_doubt, signal=self._signal)
        except (_OvertakenError, VersionConflictError):
            return Ended(End.OVERTAKEN, flag)
        except FlagStoreError as error:
            return Ended(End.STORE_LOST, flag, self._in_doubt, fault=str(error))
        return Ended(End.DONE, flag)

    async def _step(self, flag: Flag, percentage: float) -> Flag:
        request = replace(
            self._request,
            if_version=flag.version,
            idempotency_key=f"ramp-{self._id}-{percentage:g}",
        )
        give_up_at = anyio.current_time() + self._patience_s
        is_lost = False
        while True:
            self._check_interrupted()
            try:
                made = await self._editor.set_percentage(flag.key, percentage, request)
            except FlagStoreError as error:
                self._in_doubt = percentage
                is_lost = await self._bear(error, give_up_at, is_known=is_lost)
            else:
                self._in_doubt = None
                return made

    async def _watch(self, flag: Flag) -> None:
        """Return after the interval, if the flag is still as the last step left it."""
        seen, step_at = flag.version, anyio.current_time() + self._every_s
        is_lost = False
        while True:
            self._check_interrupted()
            try:
                seen = await self._look(flag, seen, left_s=step_at - anyio.current_time())
                is_lost = False
            except FlagStoreError as error:
                is_lost = await self._bear(error, step_at + self._patience_s, is_known=is_lost)
            else:
                if anyio.current_time() >= step_at:
                    return

    async def _look(self, flag: Flag, seen: int, *, left_s: float) -> int:
        with anyio.CancelScope() as self._waiting:
            version = await self._store.next_version(seen, timeout_s=min(max(left_s, 0.0), LOOK_S))
            if version != seen:
                found = (await self._store.read()).flags.get(flag.key)
                if found is None or found.version != flag.version:
                    raise _OvertakenError
            return version
        return seen

    async def _bear(self, error: FlagStoreError, give_up_at: float, *, is_known: bool) -> bool:
        """Wait a little for a store that is lost; always true.

        Raises:
            FlagStoreError: it has been waited for long enough.
        """
        if anyio.current_time() >= give_up_at:
            raise error
        if not is_known:
            self._said(
                f"The flags cannot be reached ({str(error).rstrip('.')}); waiting for them ..."
            )
        with anyio.CancelScope() as self._waiting:
            await anyio.sleep(_RETRY_S)
        return True

    def _check_interrupted(self) -> None:
        if self._signal:
            raise _InterruptedError

    async def _listen(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                self._signal = number
                if self._waiting is not None:
                    self._waiting.cancel()
