"""Links to a server: the driver's, but for how they end when a call is given up, and what packs."""

from typing import Any, cast

from hiredis import pack_command
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection
from redis.typing import EncodableT


class _Prompt(AbstractConnection):
    """Drops what is not sent yet when it is told not to wait: the call was given up.

    The driver would keep the socket until a peer that reads nothing has read all of it, and a
    write that timed out long ago would then be done.
    """

    async def disconnect(self, nowait: bool = False, *args: Any, **options: Any) -> None:
        if nowait and self._writer is not None:
            self._writer.transport.abort()
        await super().disconnect(nowait, *args, **options)

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        """Return a command as it is sent.

        In C, as the driver does where it is not asyncio's: in Python it was half of what a token
        cost more with a log in Redis.
        """
        name = args[0].encode() if isinstance(args[0], str) else bytes(cast("bytes", args[0]))
        words: Any = (*name.split(), *args[1:])  # the stub knows of one only
        return [pack_command(words)]


class TcpLink(_Prompt, Connection):
    """To a host."""


class TlsLink(_Prompt, SSLConnection):
    """To a host, encrypted."""


class SocketLink(_Prompt, UnixDomainSocketConnection):
    """To a Unix socket."""


class WatchedLink(_Prompt, SentinelManagedConnection):
    """To the primary that the Sentinels name."""


class WatchedTlsLink(_Prompt, SentinelManagedSSLConnection):
    """To the primary that the Sentinels name, encrypted."""
