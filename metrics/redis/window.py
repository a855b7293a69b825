"""The window of all workers: recorded here, added up in Redis, and heard of again.

Recording and reading never wait. About once a second a worker sends what it recorded since, in one
script call, and hears what the others have sent: only what has changed. What it has not sent yet,
or sent without hearing that it arrived, is part of what it reads itself all the same.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import structlog

from metrics.backlog import Backlog, Batch
from metrics.base import GAUGES, Live, WindowTotals
from metrics.delta import Delta
from metrics.histogram import Histogram
from metrics.memory import BUCKET_S, WINDOW_S
from metrics.redis.keys import LIVE, PREFIX, SLOTS, flushed_by
from storage.errors import StorageError
from storage.redis import RedisConnection, Script

log = structlog.get_logger(__name__)

FLUSH_EVERY_S = 1.0

LIVE_FOR_S = 5.0
"""A few flushes fit into it: one may be lost, one late."""

_AT_ONCE = 20
_WORTH_TELLING = 3
"""Failures in a row; one alone is noise."""

_FLUSH = Script(Path(__file__).with_name("merge.lua"), Path(__file__).with_name("flush.lua"))


class RedisWindow:  # noqa: PLR0904  # the seam, and who shares it
    """What all workers recorded lately, in slots of `BUCKET_S` by the server's clock.

    While Redis is away the window has what was heard before, which slides out, and all that is
    recorded here; that is sent when Redis is back, to the slots of its time. Bound: a window of
    what was heard, and one of what was not sent.

    Args:
        connection: To Redis; not closed with this.
        worker_id: Name of this worker, not used by any other, nor after a restart.
        live_for_s: Seconds after which a worker that was not heard of is gone.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        connection: RedisConnection,
        *,
        worker_id: str,
        live_for_s: float = LIVE_FOR_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._worker_id = worker_id
        self._live_for_s = live_for_s
        self._clock = clock
        self._started_at = clock()
        self._current = Delta()
        self._backlog = Backlog(
            period_s=BUCKET_S, max_batches=round(WINDOW_S / BUCKET_S) + 1, clock=clock
        )
        self._gauges: dict[str, float] = {}
        self._heard = _Heard()
        self._failures = 0

    def count(self, name: str, amount: float = 1) -> None:
        self._current.count(name, amount)

    def observe(self, name: str, values: Iterable[float]) -> None:
        self._current.observe(name, values)

    def merge(self, name: str, values: Histogram) -> None:
        self._current.merge(name, values)

    def hold(self, name: str, value: float) -> None:
        self._gauges[name] = value

    def read(self) -> WindowTotals:
        batches = [batch.delta for batch in self._backlog if self._backlog.age_s(batch) < WINDOW_S]
        heard = self._heard.within(self._clock())
        totals = Delta.total([*heard, *batches, self._current])
        return WindowTotals(WINDOW_S, totals.counters, totals.histograms, self.live())

    def live(self) -> Live:
        """Return who runs now; this worker alone where nothing was heard of others lately."""
        now = self._clock()
        uptime_s, own = now - self._started_at, self._gauges
        heard = self._heard
        if heard.live is None or now - heard.at > self._live_for_s:
            return Live(1, dict(own), uptime_s, uptime_s)
        # Of itself a worker knows better than what it told a second ago.
        gauges = {
            name: value - heard.own.get(name, 0) + own.get(name, 0)
            for name, value in heard.live.gauges.items()
        }
        since_s = now - heard.at
        return Live(
            heard.live.workers,
            gauges,
            heard.live.oldest_s + since_s,
            heard.live.youngest_s + since_s,
        )

    async def flush(self) -> None:
        """Send what was recorded, and hear of the others. Where Redis is away, the log is told."""
        await self._flush(is_leaving=False)

    async def leave(self) -> None:
        """Send the last records, and be counted as gone; nothing where Redis was never met."""
        if self._heard.live is not None:
            await self._flush(is_leaving=True)

    async def _flush(self, *, is_leaving: bool) -> None:
        current, self._current = self._current, Delta()
        self._backlog.put(current)
        try:
            await self._exchange(is_leaving=is_leaving)
            while self._backlog:
                await self._exchange(is_leaving=is_leaving)
        except StorageError as error:
            self._failures += 1
            if self._failures == _WORTH_TELLING:
                log.warning("metrics.not_shared", reason=str(error))
            return
        if self._failures >= _WORTH_TELLING:
            log.info("metrics.shared_again")
        self._failures = 0

    @property
    def behind_s(self) -> float:
        """Seconds for which records have been waiting to be shared; 0: none do."""
        return self._backlog.behind_s

    @property
    def dropped(self) -> int:
        """Batches that were dropped, as they could not be shared while they counted."""
        return self._backlog.dropped

    async def _exchange(self, *, is_leaving: bool) -> None:
        batches, own = self._backlog.to_send(_AT_ONCE), dict(self._gauges)
        keys = (flushed_by(self._worker_id), SLOTS, LIVE)
        arguments = self._arguments(batches, own, is_leaving=is_leaving)
        answer = await self._connection.run(_FLUSH, keys, arguments)
        self._backlog.confirm(batches)
        self._heard.take(answer, batches, own, at=self._clock())

    def _arguments(
        self, batches: Sequence[Batch], own: dict[str, float], *, is_leaving: bool
    ) -> Sequence[str | bytes | int]:
        uptime_ms = round((self._clock() - self._started_at) * 1000)
        told = " ".join(str(round(own.get(name, 0))) for name in GAUGES)
        arguments: list[str | bytes | int] = [
            PREFIX,
            self._worker_id,
            self._heard.version,
            round(WINDOW_S * 1000),
            round(BUCKET_S * 1000),
            round(self._live_for_s * 1000),
            int(is_leaving),
            f"{uptime_ms} {told}",
        ]
        for batch in batches:
            age_ms = round(self._backlog.age_s(batch) * 1000)
            arguments += (batch.number, age_ms, batch.delta.encode())
        return arguments


class _Heard:
    """What Redis told: slots by their numbers, and who lives."""

    def __init__(self) -> None:
        self.version = "0"
        self.live: Live | None = None
        self.own: dict[str, float] = {}
        self.at = 0.0
        self._now_s = 0.0
        self._slots: dict[int, Delta] = {}

    def take(
        self, answer: Sequence[Any], batches: Sequence[Batch], own: dict[str, float], *, at: float
    ) -> None:
        """Take an answer to what was sent.

        Args:
            answer: As `flush.lua` returns it.
            batches: What was sent.
            own: Gauges as they were sent.
            at: When it came, in monotonic seconds.
        """
        now_ms, version, live, places, told = answer
        self.version, self.own, self.at, self._now_s = version.decode(), own, at, now_ms / 1000
        self.live = _live([float(number) for number in live.split()])
        changed = {
            int(slot): Delta.decode(data) for slot, data in zip(told[::2], told[1::2], strict=True)
        }
        self._slots.update(changed)
        for batch, place in zip(batches, map(int, places.split()), strict=True):
            if place >= 0 and place not in changed:  # nobody else had anything to add
                self._slots.setdefault(place, Delta()).add(batch.delta)
        oldest = self._oldest(at)
        for slot in [slot for slot in self._slots if not oldest <= slot <= oldest + _SLOTS]:
            del self._slots[slot]

    def within(self, now: float) -> Sequence[Delta]:
        """Return all that lies within the window now."""
        oldest = self._oldest(now)
        return [delta for slot, delta in self._slots.items() if slot >= oldest]

    def _oldest(self, now: float) -> int:
        """Return the first slot of the window, by the server's clock as far as it is known."""
        return math.floor((self._now_s + now - self.at) / BUCKET_S) - _SLOTS + 1


_SLOTS = round(WINDOW_S / BUCKET_S)


def _live(numbers: Sequence[float]) -> Live:
    workers, longest_ms, shortest_ms, *gauges = numbers
    named = dict(zip(GAUGES, gauges, strict=False))  # another release may tell of more, or fewer
    return Live(int(workers), named, longest_ms / 1000, shortest_ms / 1000)
