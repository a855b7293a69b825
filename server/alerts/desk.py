"""Where messages wait until they are sent: a bound for them, and one sender for all workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
import structlog

from metrics.alerts import AlertSeries
from server.alerts.channels import Channel, ChannelError
from server.alerts.claims import MAX_AN_HOUR, Claim, Claims, Permit
from server.alerts.delivery import deliver
from server.alerts.model import Notice, Section, Severity

log = structlog.get_logger(__name__)

MAX_WAITING = 100
"""Messages that wait; more are no help to anybody. The oldest go first, and are counted."""

GIVE_UP_S = 900.0
"""What could not be sent for this long is dropped; a state that lasts comes again by itself."""

LOOK_AGAIN_S = 15.0
"""For a message that another worker is just sending: it may fail."""

TRY_AGAIN_S = 60.0
"""For a message that no channel has taken, or for which there is no room in this hour."""

_GRAVEST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)

_FULL = Notice(
    subject="alerts:full",
    severity=Severity.WARNING,
    summary=f"{MAX_AN_HOUR} messages within an hour: until it is over only critical ones are sent.",
    detail="What is amiss is in GET /health and in the log of each worker.",
    section=Section.TOO_MANY,
    lasts=False,
)


@dataclass(slots=True)
class _Waiting:
    notice: Notice
    since: float
    due_at: float
    is_held: bool = False


class Desk:
    """Takes messages at once, and sends them in `work`, which is called again and again.

    Args:
        channels: On which ways they are sent; at least one has to take a message.
        claims: Who of the workers sends what.
        series: What is counted.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        claims: Claims,
        *,
        series: AlertSeries,
        clock: Callable[[], float],
    ) -> None:
        self._channels = channels
        self._claims = claims
        self._series = series
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}

    def post(self, notice: Notice) -> None:
        """Take a message; never waits, never fails. The newest of a subject replaces the others."""
        now = self._clock()
        former = self._waiting.get(notice.subject)
        if former is not None and former.notice.is_resolved is notice.is_resolved:
            former.notice = notice
            return
        self._waiting.pop(notice.subject, None)
        if len(self._waiting) >= MAX_WAITING:
            oldest = next(iter(self._waiting))
            self._drop(oldest, "dropped")
        self._waiting[notice.subject] = _Waiting(notice, now, now)

    async def work(self) -> None:
        """Send what is due, the gravest first; bounded in time for each message."""
        while (waiting := self._next()) is not None:
            await self._look_at(waiting)

    async def close(self) -> None:
        """Release all connections; what waits is not sent."""
        for channel in self._channels:
            await channel.close()
        await self._claims.close()

    def _next(self) -> _Waiting | None:
        """Return the next one; looked for anew each time, as a message may take a minute."""
        now = self._clock()
        due = [each for each in self._waiting.values() if each.due_at <= now]
        return min(due, key=lambda each: _GRAVEST_FIRST.index(each.notice.severity), default=None)

    async def _look_at(self, waiting: _Waiting) -> None:
        notice = waiting.notice
        match await self._claims.claim(notice):
            case Claim.DONE:
                self._forget(waiting)
            case Claim.THEIRS:
                self._later(waiting, LOOK_AGAIN_S)
            case Claim.OURS:
                await self._tell(waiting, notice)

    async def _tell(self, waiting: _Waiting, notice: Notice) -> None:
        match await self._claims.permit(notice.severity):
            case Permit.GRANTED if await self._sent(notice):
                await self._claims.told(notice)
                self._forget(waiting)
            case Permit.GRANTED:
                await self._claims.put_back()
                await self._claims.give_back(notice)
                self._later(waiting, TRY_AGAIN_S)
            case Permit.LAST:
                await self._sent(_FULL)
                await self._hold(waiting)
            case Permit.REFUSED:
                await self._hold(waiting)

    async def _hold(self, waiting: _Waiting) -> None:
        if not waiting.is_held:
            waiting.is_held = True
            self._series.count("none", "held")
            log.warning("alert.held", subject=waiting.notice.subject)
        await self._claims.give_back(waiting.notice)
        self._later(waiting, TRY_AGAIN_S)

    async def _sent(self, notice: Notice) -> bool:
        """Send on all channels at once; whether one has taken it."""
        taken: list[bool] = []

        async def send(channel: Channel) -> None:
            try:
                await deliver(channel, notice)
            except Exception as error:  # noqa: BLE001 - a bug of one way silences none of the others
                reason = _reason(error)
                self._series.count(channel.name, "failed")
                log.error("alert.not_sent", channel=channel.name, reason=reason)  # noqa: TRY400  # told whole
            else:
                self._series.count(channel.name, "sent")
                taken.append(True)

        async with anyio.create_task_group() as tasks:
            for channel in self._channels:
                tasks.start_soon(send, channel)
        if taken:
            log.info("alert.sent", subject=notice.subject, heading=notice.heading)
        return bool(taken)

    def _later(self, waiting: _Waiting, seconds: float) -> None:
        now = self._clock()
        waiting.due_at = now + seconds
        if now - waiting.since >= GIVE_UP_S and self._is_there(waiting):
            self._drop(waiting.notice.subject, "dropped")

    def _drop(self, subject: str, outcome: str) -> None:
        del self._waiting[subject]
        self._series.count("none", outcome)
        log.warning("alert.dropped", subject=subject)

    def _forget(self, waiting: _Waiting) -> None:
        if self._is_there(waiting):
            del self._waiting[waiting.notice.subject]

    def _is_there(self, waiting: _Waiting) -> bool:
        """Whether nothing newer has come meanwhile."""
        return self._waiting.get(waiting.notice.subject) is waiting


def _reason(error: Exception) -> str:
    """Return what the log says; what nobody foresaw may quote an address: its kind has to do."""
    if isinstance(error, ChannelError):
        return error.reason
    return f"a bug ({type(error).__name__})"
