"""The way to a name: the first of its addresses that answers.

Not left to the loop: uvloop's tries one after the other, each to its end.
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

import anyio

from streaming.llm.wire.idle import Origin, Quiet

NEXT_TRY_S = 0.25
"""After which the next address is tried beside those that have not answered yet."""


async def connect(origin: Origin, context: ssl.SSLContext | None) -> asyncio.Transport:
    """Connect to an origin, with TLS where there is a context; the caller bounds the time.

    Raises:
        OSError: None of its addresses takes connections, or none has a certificate that is good.
        UnicodeError: The name cannot be one.
    """
    addresses = await _addresses(origin)
    tries = [partial(_to, address, origin, context) for address in addresses]
    return await (tries[0]() if len(tries) == 1 else _first(tries))


async def _to(address: str, origin: Origin, context: ssl.SSLContext | None) -> asyncio.Transport:
    transport, _ = await asyncio.get_running_loop().create_connection(
        Quiet,
        address,
        origin.port,
        ssl=context,
        server_hostname=origin.host if context else None,
    )
    return transport


async def _addresses(origin: Origin) -> Sequence[str]:
    """Return all addresses of the host, families by turns; of none it is an OSError."""
    with suppress(ValueError):
        return [str(ip_address(origin.host))]
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
