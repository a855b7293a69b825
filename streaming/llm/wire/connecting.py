"""The way to a name: the first of its addresses that answers.

Not left to the loop: uvloop's tries one after the other, each to its end, and looks a name up for
every connection in one of two threads, where 600 at once wait for longer than they may.
Source: RFC 8305, Happy Eyeballs; of it, the order of families and the pause between two tries.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import cast

import anyio

from streaming.llm.wire.idle import Origin, Quiet

NEXT_TRY_S = 0.25
"""After which the next address is tried beside those that have not answered yet."""


KEEP_S = 10.0
"""How long the addresses of a name are good, and are not looked up again."""


class Names:
    """Looks names up: once for all who ask at once or soon after, as long as one can be reached."""

    def __init__(self) -> None:
        self._lookups: dict[Origin, tuple[float, asyncio.Task[Sequence[str]]]] = {}

    async def addresses_of(self, origin: Origin) -> Sequence[str]:
        """Return all addresses of the host, families by turns; who gives up leaves it to others.

        Raises:
            OSError: It has none, or nobody can tell.
            UnicodeError: The name cannot be one.
        """
        with suppress(ValueError):
            return [str(ip_address(origin.host))]
        now = asyncio.get_running_loop().time()
        good_until, lookup = self._lookups.get(origin, (now, None))
        if lookup is None or (lookup.done() and good_until <= now):
            # A task of nobody's: it outlasts who asked first, and others wait for it too.
            lookup = asyncio.ensure_future(_look_up(origin))  # noqa: TID251
            lookup.add_done_callback(partial(self._looked_up, origin))
            self._lookups[origin] = now + KEEP_S, lookup
        return await asyncio.shield(lookup)

    def forget(self, origin: Origin) -> None:
        """Look a name up anew at the next request."""
        self._lookups.pop(origin, None)

    def _looked_up(self, origin: Origin, lookup: "asyncio.Task[Sequence[str]]") -> None:
        if lookup.cancelled() or lookup.exception() is not None:
            self.forget(origin)


async def connect(
    origin: Origin, context: ssl.SSLContext | None, names: Names
) -> asyncio.Transport:
    """Connect to an origin, with TLS where there is a context; the caller bounds the time.

    Raises:
        OSError: None of its addresses takes connections, or the certificate is not good.
        UnicodeError: The name cannot be one.
    """
    addresses = await names.addresses_of(origin)
    tries = [partial(_to, address, origin.port) for address in addresses]
    try:
        transport = await (tries[0]() if len(tries) == 1 else _first(tries))
    except OSError:
        names.forget(origin)
        raise
    return transport if context is None else await _secured(transport, origin, context)


async def _to(address: str, port: int) -> asyncio.Transport:
    transport, _ = await asyncio.get_running_loop().create_connection(Quiet, address, port)
    return transport


async def _secured(
    transport: asyncio.Transport, origin: Origin, context: ssl.SSLContext
) -> asyncio.Transport:
    """Shake hands on the one connection that was first: the others had to be begun by then."""
    quiet = cast("Quiet", transport.get_protocol())
    try:
        secured = await asyncio.get_running_loop().start_tls(
            transport, quiet, context, server_hostname=origin.host
        )
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        raise ConnectionResetError("The connection was lost within the handshake.")
    quiet.transport = secured
    return secured


async def _look_up(origin: Origin) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    families: dict[int, list[str]] = {}  # the preferred one first
    for family, _, _, _, address in found:
        families.setdefault(family, []).append(str(address[0]))
    by_turns = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in by_turns if address is not None]


async def _first(
    tries: Sequence[Callable[[], Awaitable[asyncio.Transport]]],
) -> asyncio.Transport:
    """Return the first connection; a try begins once the one before has failed, or takes long."""
    connected: list[asyncio.Transport] = []
    errors: list[OSError] = []

    async def begin(each: Callable[[], Awaitable[asyncio.Transport]], over: anyio.Event) -> None:
        try:
            connected.append(await each())
        except OSError as exc:
            errors.append(exc)
        else:
            group.cancel_scope.cancel()
        finally:
            over.set()

    async def begin_all() -> None:
        for each in tries:
            over = anyio.Event()
            group.start_soon(begin, each, over)
            with anyio.move_on_after(NEXT_TRY_S):
                await over.wait()

    try:
        async with anyio.create_task_group() as group:
            await begin_all()
    except BaseException:
        _cut(connected)
        raise
    if not connected:
        raise errors[0]
    _cut(connected[1:])
    return connected[0]


def _cut(connected: Sequence[asyncio.Transport]) -> None:
    for each in connected:
        each.abort()
