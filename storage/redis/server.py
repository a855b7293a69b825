"""One server, or the primary that Sentinels name: its links, and when to leave them behind."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    InvalidResponse,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

Argument = str | bytes | int | float
Command = Sequence[Argument]

FAULTS = (RedisError, OSError)
"""What the driver raises where something is wrong with Redis, or on the way to it."""

FRESH_S = 1.0
"""Seconds for which links are kept whatever happens: a server that is down must not have every
caller make new ones."""

# Beside its own errors the driver lets through what a peer that is no Redis provokes in its parser,
# and what uvloop says of a write to a link that the peer has reset a moment before: RuntimeError.
_ODD = (ValueError, TypeError, AttributeError, LookupError, RuntimeError)


@dataclass(slots=True)
class _Links:
    """A client of the driver with its pool, and how many calls are in it."""

    client: Redis
    made_at: float
    calls: int = 0
    is_retired: bool = False


class Server:
    """The links to one server. Every call belongs inside a deadline.

    A call that is cancelled after a long silence, finds its link broken or the server no longer
    the primary retires all links: calls under way end on the old ones, the next call makes new
    ones, and so asks the Sentinels again. A dead link costs one call, not each idle link another.

    Args:
        make: Makes a client of the driver that has not connected yet.
        patience_s: Seconds without an answer after which the links are to blame.
    """

    def __init__(self, make: Callable[[], Redis], patience_s: float) -> None:
        self._make = make
        self._patience_s = patience_s
        self._links: _Links | None = None
        self.blamed_at = 0.0  # when links were last found to be sick

    async def execute(self, command: Command) -> Any:
        """Return the answer to one command.

        Raises:
            RedisError: or another of `FAULTS`.
        """
        async with self._used() as client:
            answer: Any = await client.execute_command(*command)  # type: ignore[no-untyped-call]  # the driver says no types
        return answer

    async def execute_all(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands sent at once; an answer may be a `RedisError`.

        Raises:
            RedisError: or another of `FAULTS`: the link broke, and any of them may have held.
        """
        async with self._used() as client:
            pipeline = client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            # The driver's own error of a pipeline would quote the command, so the user's text.
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def link(self, greet: Callable[[AbstractConnection], Awaitable[None]]) -> None:
        """Make a link beside the pool; it belongs to `greet`, which opens it.

        Raises:
            RedisError: or another of `FAULTS`.
        """
        async with self._used() as client:
            await greet(client.connection_pool.make_connection())  # type: ignore[no-untyped-call]  # the driver says no types

    async def blame(self) -> None:
        """Retire the links, unless they are new."""
        self.blamed_at = anyio.current_time()
        if self._links is not None and self.blamed_at >= self._links.made_at + FRESH_S:
            await self.close()

    async def close(self) -> None:
        """Leave the links behind: closed now, or with the last call that uses them; never fails."""
        links, self._links = self._links, None
        if links is not None:
            links.is_retired = True
            await self._close_if_unused(links)

    @asynccontextmanager
    async def _used(self) -> AsyncIterator[Redis]:
        if self._links is None:
            self._links = _Links(self._make(), anyio.current_time())
        links = self._links
        links.calls += 1
        began_at = anyio.current_time()
        try:
            yield links.client
        except FAULTS as error:
            if is_of_the_link(error):
                await self._blame(links)
            raise
        except _ODD as error:
            await self._blame(links)
            raise InvalidResponse(f"{type(error).__name__}: {error}") from None
        except anyio.get_cancelled_exc_class():
            if anyio.current_time() >= began_at + self._patience_s:
                await self._blame(links)
            raise
        finally:
            links.calls -= 1
            await self._close_if_unused(links)

    async def _blame(self, links: _Links) -> None:
        if links is self._links:  # else those that came after may be well
            await self.blame()

    async def _close_if_unused(self, links: _Links) -> None:
        if not links.is_retired or links.calls:
            return
        with anyio.CancelScope(shield=True), anyio.move_on_after(self._patience_s):
            try:
                await links.client.aclose()
            except FAULTS:
                return  # the other side is gone: there is nothing to say goodbye to


def is_of_the_link(error: Exception) -> bool:
    """Whether an error is of the link or of the server as such, and not of a command."""
    if isinstance(error, ReadOnlyError | MasterDownError):
        return True  # the server is a replica by now
    # Redis 6 says READONLY in the middle of a script's error.
    return not isinstance(error, ResponseError) or "READONLY" in str(error)
