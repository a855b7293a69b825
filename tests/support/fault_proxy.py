"""A TCP proxy that goes wrong on demand: what a network may do between two of our processes.

It never reads what it carries. Bound: one direction of one connection holds `_HELD_CHUNKS` pieces.
Plain sockets, not anyio's streams: those read on, without bound, while nobody takes what they read.
"""

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from socket import SHUT_WR, SO_LINGER, SO_REUSEPORT, SOL_SOCKET, socket

import anyio
import anyio.abc
from anyio.streams.memory import MemoryObjectReceiveStream

_CHUNK_BYTES = 16 * 1024
_HELD_CHUNKS = 64
_CONNECT_S = 2.0
_BACKLOG = 512
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

TO_SERVER, TO_CLIENT = "to_server", "to_client"


@dataclass(slots=True)
class Way:
    """What becomes of bytes in one direction; may be changed at any time.

    `delay_s` passes before a piece goes on, in order; `bytes_per_s` 0 is as fast as it goes;
    `is_dropped` bytes vanish, and their connection is reset when that ends: it has lost some.
    """

    delay_s: float = 0.0
    bytes_per_s: float = 0.0
    is_dropped: bool = False


@dataclass(slots=True)
class Counts:
    """What the proxy has carried so far."""

    connections: int = 0
    open: int = 0
    cut: int = 0
    unreachable: int = 0
    bytes: dict[str, int] = field(default_factory=lambda: {TO_SERVER: 0, TO_CLIENT: 0})
    dropped_bytes: int = 0


class FaultProxy:
    """Passes connections on to a server, as long as it is not told otherwise.

    Faults add up until `heal`. `running_proxy` makes one.

    Attributes:
        port: Where it listens.
        to_server: What becomes of requests.
        to_client: What becomes of replies.
        counts: What has been carried.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._connections: set[_Connection] = set()
        self._flowing = anyio.Event()
        self._flowing.set()
        # Bound but not listening: nobody else gets the port while connections are refused.
        self._place = _bound(0)
        self.port: int = self._place.getsockname()[1]
        self._listening: anyio.CancelScope | None = None
        self._silent = anyio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None
        self.to_server = Way()
        self.to_client = Way()
        self.counts = Counts()

    @property
    def ways(self) -> dict[str, Way]:
        """Both directions."""
        return {TO_SERVER: self.to_server, TO_CLIENT: self.to_client}

    async def heal(self) -> None:
        """Pass everything on again; connections that have lost bytes are reset."""
        for way in self.ways.values():
            way.delay_s = way.bytes_per_s = 0.0
            way.is_dropped = False
        for connection in list(self._connections):
            if connection.has_lost:
                connection.cut(is_reset=True)
        self._flowing.set()
        await self.listen()

    def stall(self) -> None:
        """Hold all bytes back; connections stay open, and new ones open."""
        if self._flowing.is_set():
            self._flowing = anyio.Event()

    def drop(self, way: str = TO_CLIENT) -> None:
        """Let all bytes of one direction vanish: by default the server works, and nobody hears."""
        self.ways[way].is_dropped = True

    def cut(self, *, is_reset: bool = False) -> int:
        """Close every connection on both sides, by FIN or RST; return how many there were."""
        connections = list(self._connections)
        for connection in connections:
            connection.cut(is_reset=is_reset)
        self.counts.cut += len(connections)
        return len(connections)

    async def refuse(self) -> None:
        """Let no new connection come about; open ones stay."""
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
            await self._silent.wait()

    async def listen(self) -> None:
        """Accept connections, again or for the first time."""
        if self._listening is None:
            assert self._tasks is not None, "use running_proxy()"
            self._listening = await self._tasks.start(self._listen)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Listen until the block ends."""
        try:
            async with anyio.create_task_group() as self._tasks:
                await self.listen()
                yield
                self._tasks.cancel_scope.cancel()
        finally:
            self._place.close()

    async def _listen(self, *, task_status: anyio.abc.TaskStatus[anyio.CancelScope]) -> None:
        assert self._tasks is not None
        self._silent = silent = anyio.Event()
        try:
            with _bound(self.port) as listener, anyio.CancelScope() as scope:
                listener.listen(_BACKLOG)
                task_status.started(scope)
                while True:
                    self._tasks.start_soon(self._serve, await _accepted(listener))
        finally:
            silent.set()

    async def _serve(self, client: socket) -> None:
        self.counts.connections += 1
        with client, socket() as server:
            server.setblocking(False)
            if not await self._reached(server):
                self.counts.unreachable += 1
                _reset_on_close(client)
                return
            await self._join(_Connection(client, server))

    async def _reached(self, server: socket) -> bool:
        try:
            with anyio.fail_after(_CONNECT_S):
                await asyncio.get_running_loop().sock_connect(
                    server, ("127.0.0.1", self._target_port)
                )
        except (OSError, TimeoutError):
            return False
        return True

    async def _join(self, connection: "_Connection") -> None:
        self._connections.add(connection)
        self.counts.open += 1
        try:
            with connection.scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._carry, connection, TO_SERVER)
                    tasks.start_soon(self._carry, connection, TO_CLIENT)
        finally:
            self._connections.discard(connection)
            self.counts.open -= 1

    async def _carry(self, connection: "_Connection", name: str) -> None:
        """Carry one direction to its end, and hand the end on."""
        is_request = name == TO_SERVER
        source = connection.client if is_request else connection.server
        target = connection.server if is_request else connection.client
        loop = asyncio.get_running_loop()
        put, take = anyio.create_memory_object_stream[tuple[float, bytes]](_HELD_CHUNKS)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._deliver, take, target, name, connection)
            with put, suppress(OSError):
                while data := await loop.sock_recv(source, _CHUNK_BYTES):
                    await put.send((anyio.current_time() + self.ways[name].delay_s, data))

    async def _deliver(
        self,
        chunks: MemoryObjectReceiveStream[tuple[float, bytes]],
        target: socket,
        name: str,
        connection: "_Connection",
    ) -> None:
        way = self.ways[name]
        with chunks:
            async for due, data in chunks:
                await anyio.sleep_until(due)
                if way.bytes_per_s:
                    await anyio.sleep(len(data) / way.bytes_per_s)
                await self._flowing.wait()
                if way.is_dropped or connection.has_lost:
                    connection.has_lost = True
                    self.counts.dropped_bytes += len(data)
                elif await _sent(target, data):
                    self.counts.bytes[name] += len(data)
                else:
                    connection.scope.cancel()
            with suppress(OSError):  # closed by the other end meanwhile
                target.shutdown(SHUT_WR)


class _Connection:
    """A client's connection and the server's that belongs to it."""

    def __init__(self, client: socket, server: socket) -> None:
        self.client = client
        self.server = server
        self.scope = anyio.CancelScope()
        self.has_lost = False

    def cut(self, *, is_reset: bool) -> None:
        """End both connections."""
        if is_reset:
            _reset_on_close(self.client)
            _reset_on_close(self.server)
        self.scope.cancel()


async def _accepted(listener: socket) -> socket:
    """Return the next connection. Not the loop's `sock_accept`: cancelled, it may lose one."""
    while True:
        await anyio.wait_readable(listener)
        with suppress(BlockingIOError):
            client, _ = listener.accept()
            client.setblocking(False)
            return client


def _bound(port: int) -> socket:
    place = socket()
    place.setblocking(False)
    place.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    place.bind(("127.0.0.1", port))
    return place


def _reset_on_close(end: socket) -> None:
    end.setsockopt(SOL_SOCKET, SO_LINGER, _RESET_ON_CLOSE)


async def _sent(target: socket, data: bytes) -> bool:
    try:
        await asyncio.get_running_loop().sock_sendall(target, data)
    except OSError:
        return False
    return True


@asynccontextmanager
async def running_proxy(target_port: int) -> AsyncGenerator[FaultProxy, None]:
    """Run a proxy on a free port of 127.0.0.1 in front of another one until the block ends."""
    proxy = FaultProxy(target_port)
    async with proxy.running():
        yield proxy
