"""Tries of one message on one channel: a few, further and further apart, within a deadline."""

import anyio
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from server.alerts.channels import Channel, ChannelError
from server.alerts.model import Notice

log = structlog.get_logger(__name__)

TRIES = 5
TRY_S = 15.0
TOTAL_S = 60.0
"""For all tries together; `claims.CLAIM_S` is longer."""

_WAIT = wait_exponential_jitter(initial=1.0, max=15.0, jitter=1.0)


async def deliver(channel: Channel, notice: Notice) -> None:
    """Send a message, again where that may help.

    Raises:
        ChannelError: the last try's, or that it took too long.
    """
    retrying = AsyncRetrying(
        stop=stop_after_attempt(TRIES),
        wait=_wait_s,
        retry=retry_if_exception(_is_passing),
        before_sleep=lambda state: _tell(channel, state),
        reraise=True,
    )
    with anyio.move_on_after(TOTAL_S):
        await retrying(send_once, channel, notice)
        return
    raise ChannelError("not taken in time", is_passing=True)


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, ChannelError) and error.is_passing


async def send_once(channel: Channel, notice: Notice) -> None:
    """Send a message, with one try.

    Raises:
        ChannelError: it was not taken.
    """
    with anyio.move_on_after(TRY_S) as limit:
        await channel.send(notice)
    if limit.cancelled_caught:
        raise ChannelError("no answer in time", is_passing=True)


def _wait_s(state: RetryCallState) -> float:
    """Wait as long as the other side asks for; `TOTAL_S` bounds that, too."""
    error = None if state.outcome is None else state.outcome.exception()
    asked_s = error.retry_after_s if isinstance(error, ChannelError) else None
    return max(_WAIT(state), asked_s or 0.0)


def _tell(channel: Channel, state: RetryCallState) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    log.warning("alert.try_failed", channel=channel.name, reason=str(error))
