"""Connections that wait for their next request."""

import asyncio
from typing import NamedTuple, cast


class Origin(NamedTuple):
    """What a connection can be used again for."""

    is_tls: bool
    host: str
    port: int


class Quiet(asyncio.Protocol):
    """A connection that nothing was asked on: who sends something all the same is hung up on."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports have the type's methods and not its class.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  # the Protocol's
        self.cut()

    def cut(self) -> None:
        """Close at once, where it was opened."""
        if self.transport is not None:
            self.transport.abort()


class _Idle(Quiet):
    """A connection of the pool, which it leaves when it is used, lost or old."""

    def __init__(
        self, transport: asyncio.Transport, others: "dict[_Idle, None]", keepalive_s: float | None
    ) -> None:
        super().__init__()
        self.transport = transport
        self._others = others
        self._timer: asyncio.TimerHandle | None = None
        if keepalive_s is not None:
            self._timer = asyncio.get_running_loop().call_later(keepalive_s, self.cut)
        others[self] = None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the Protocol's
        self.leave()

    def leave(self) -> None:
        """Be nothing of the pool any more."""
        self._others.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()


class IdleConnections:
    """Those of one client, by origin; the one that was used last is used first.

    Args:
        keepalive_s: Seconds after which one is closed; None: never.
        max_each: How many are kept of an origin; None: all.
    """

    def __init__(self, *, keepalive_s: float | None, max_each: int | None) -> None:
        self._keepalive_s = keepalive_s
        self._max_each = max_each
        self._idle: dict[Origin, dict[_Idle, None]] = {}
        self._is_closed = False

    def take(self, origin: Origin) -> asyncio.Transport | None:
        """Return the one that was used last, which is the caller's now; None: there is none."""
        idle = self._idle.get(origin)
        if not idle:
            return None
        newest = next(reversed(idle))
        newest.leave()
        return newest.transport

    def keep(self, origin: Origin, transport: asyncio.Transport) -> None:
        """Keep an open connection, or close it where enough are kept."""
        idle = self._idle.setdefault(origin, {})
        if self._is_closed or (self._max_each is not None and len(idle) >= self._max_each):
            transport.abort()
        else:
            transport.set_protocol(_Idle(transport, idle, self._keepalive_s))

    def close(self) -> None:
        """Close all, and whatever would be kept from now on."""
        self._is_closed = True
        for idle in self._idle.values():
            for each in tuple(idle):
                each.leave()
                each.cut()
