"""One link that listens to channels. A silent one is asked whether it still lives."""

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from storage.redis.server import FAULTS

PING_EVERY_S = 1.0
"""Seconds without a word after which the server is asked for one."""

SILENCE_S = 1.5
"""Seconds after that question until the link counts as lost."""


class Subscription:
    """What is published on some channels from now on. For one reader.

    Made by `RedisConnection.subscribe`. What is published while it is lost is not heard.

    Args:
        translate: Returns what to raise for an error of the driver.
    """

    def __init__(self, *, translate: Callable[[Exception], Exception]) -> None:
        self._translate = translate
        self._link: AbstractConnection | None = None
        self._heard_at = 0.0
        self._asked_at: float | None = None
        self._left_at = 0.0

    async def open(self, channels: Sequence[str], link: AbstractConnection) -> None:
        """Return once the server has confirmed all channels."""
        self._link = link
        await link.connect()  # type: ignore[no-untyped-call]  # the driver says no types
        await link.send_command("SUBSCRIBE", *channels)
        for _ in channels:  # no message comes before the last of them
            await link.read_response()
        self._heard_at = self._left_at = anyio.current_time()

    async def close(self) -> None:
        """Close the link; never fails."""
        if self._link is not None:
            with anyio.CancelScope(shield=True):
                await self._link.disconnect(nowait=True)

    async def get(self, timeout_s: float) -> tuple[str, bytes] | None:
        """Return the next channel and message, or None if there is none in time.

        Raises:
            StorageUnavailableError: the link is lost; subscribe anew.
        """
        await anyio.lowlevel.checkpoint()  # a flood of messages must not hold the loop
        now = anyio.current_time()
        self._skip(now - self._left_at)
        try:
            return await self._next(now + timeout_s)
        except FAULTS as error:
            raise self._translate(error) from None
        finally:
            self._left_at = anyio.current_time()

    async def _next(self, until: float) -> tuple[str, bytes] | None:
        while True:
            look_at = await self._ask_for_life()
            answer = await self._read(max(0.0, min(until, look_at) - anyio.current_time()))
            now = anyio.current_time()
            if answer is not None:
                self._heard_at, self._asked_at = now, None
                if message := _message(answer):
                    return message
            elif self._asked_at is not None and now >= self._asked_at + SILENCE_S:
                raise RedisConnectionError("the link of a subscription fell silent")
            elif now >= until:
                return None

    async def _ask_for_life(self) -> float:
        """Ping a link that has been silent; return when to look again."""
        now = anyio.current_time()
        if self._asked_at is None:
            if now < self._heard_at + PING_EVERY_S:
                return self._heard_at + PING_EVERY_S
            await self._opened().send_command("PING", check_health=False)
            self._asked_at = now
        return self._asked_at + SILENCE_S

    def _skip(self, away_s: float) -> None:
        # While nobody reads nobody hears: that time proves nothing about the link.
        self._heard_at += away_s
        if self._asked_at is not None:
            self._asked_at += away_s

    async def _read(self, timeout_s: float) -> Any:
        # An answer of which only a part has come stays where it is until the rest has.
        return await self._opened().read_response(timeout=timeout_s, disconnect_on_error=False)

    def _opened(self) -> AbstractConnection:
        if self._link is None or not self._link.is_connected:
            raise RedisConnectionError("the link of a subscription is closed")
        return self._link


def _message(answer: Any) -> tuple[str, bytes] | None:
    match answer:
        case [b"message", bytes() as channel, bytes() as message]:
            return channel.decode(errors="replace"), message
        case _:
            return None
