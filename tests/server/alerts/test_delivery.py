"""Tries of one message, in time that passes only when everybody waits."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from server.alerts.channels import ChannelError, ChannelName
from server.alerts.delivery import TOTAL_S, TRIES, TRY_S, deliver
from server.alerts.model import Notice
from tests.server.alerts.notices import a_notice
from tests.support.virtual_time import run_in_virtual_time


class Scripted:
    """A channel that does what the test says, then takes everything."""

    name: ChannelName = "webhook"

    def __init__(self, *steps: Callable[[], Awaitable[None]]) -> None:
        self.steps = list(steps)
        self.tried_at: list[float] = []

    async def send(self, notice: Notice) -> None:  # noqa: ARG002  # the seam's
        self.tried_at.append(anyio.current_time())
        if self.steps:
            await self.steps.pop(0)()

    async def close(self) -> None:
        return


def failing(*, passing: bool, retry_after_s: float | None = None) -> Callable[[], Awaitable[None]]:
    """Return a step that fails."""

    async def fail() -> None:
        raise ChannelError("status 503", is_passing=passing, retry_after_s=retry_after_s)

    return fail


def delivered(channel: Scripted) -> float:
    """Deliver, and return the seconds that it took."""

    async def run() -> float:
        began = anyio.current_time()
        await deliver(channel, a_notice())
        return anyio.current_time() - began

    return run_in_virtual_time(run)


def refused(channel: Scripted) -> tuple[ChannelError, float]:
    """Deliver in vain; return the error, and the seconds that it took."""

    async def run() -> tuple[ChannelError, float]:
        began = anyio.current_time()
        with pytest.raises(ChannelError) as caught:
            await deliver(channel, a_notice())
        return caught.value, anyio.current_time() - began

    return run_in_virtual_time(run)


def test_what_fails_for_a_moment_is_tried_again_further_and_further_apart() -> None:
    channel = Scripted(*[failing(passing=True)] * 3)

    assert delivered(channel) < TOTAL_S

    pauses = [b - a for a, b in zip(channel.tried_at, channel.tried_at[1:], strict=False)]
    assert len(pauses) == 3
    assert all(low <= pause <= low + 1 for low, pause in zip((1, 2, 4), pauses, strict=True))


def test_what_is_refused_for_good_is_not_tried_again() -> None:
    channel = Scripted(failing(passing=False))

    error, took_s = refused(channel)

    assert (str(error), took_s, len(channel.tried_at)) == ("status 503", 0.0, 1)


def test_it_waits_as_long_as_it_is_asked_to() -> None:
    channel = Scripted(failing(passing=True, retry_after_s=20.0))

    assert 20.0 <= delivered(channel) <= 22.0


def test_who_asks_for_too_long_is_given_up_in_time() -> None:
    error, took_s = refused(Scripted(failing(passing=True, retry_after_s=3600.0)))

    assert error.is_passing
    assert took_s == pytest.approx(TOTAL_S)


def test_it_gives_up_after_a_few_tries() -> None:
    channel = Scripted(*[failing(passing=True)] * 20)

    error, took_s = refused(channel)

    assert str(error) == "status 503"
    assert len(channel.tried_at) == TRIES
    assert took_s < TOTAL_S


def test_who_never_answers_costs_a_bounded_time() -> None:
    channel = Scripted(*[anyio.sleep_forever] * 20)

    error, took_s = refused(channel)

    assert error.reason == "not taken in time"
    assert took_s == pytest.approx(TOTAL_S)
    assert channel.tried_at[1] - channel.tried_at[0] >= TRY_S
