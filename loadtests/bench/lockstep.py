"""Streams in lockstep: the model says the next token once the one before has reached the client.

So each token is read, written and delivered by itself, however fast or busy the machine is: what a
server does for one can be counted, and comes to the same each time.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import cast

import anyio

from loadtests.bench.targets import request

_STREAM = re.compile(rb"stream (\d+) of (\d+) tokens")
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"lockstep","system_fingerprint":"fp_1","choices":[{"index":0,'
    b'"delta":{%b},"logprobs":null,"finish_reason":%b}],"usage":null}\n\n'
)
_END = (
    _CHUNK
    % (b"", b'"stop"')
    + b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":9}}\n\n'
    b"data: [DONE]\n\n"
)
_DELTA = b"event: text.delta\n"
_TERMINAL = b"event: turn.completed\n"
_WAIT_S = 120.0  # a server whose instructions are counted is fifty times as slow

Hooks = Mapping[int, Callable[[], None]]
"""What is called once a reader has so many tokens."""


class _Upstream(asyncio.Protocol):
    """One answer of the model at a time on a connection."""

    def __init__(self, waiting: "dict[int, _Upstream]") -> None:
        self._waiting = waiting
        self._transport: asyncio.Transport
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        found = _STREAM.search(data)
        if found is None:
            return  # the head alone: the body comes by itself
        self._left = int(found[2])
        self._waiting[int(found[1])] = self
        self._write(_HEAD + _framed(_CHUNK % (b'"role":"assistant","content":""', b"null")))
        self.say()

    def say(self) -> None:
        """Say the next token, or end."""
        if self._left:
            self._write(_framed(_CHUNK % (b'"content":" word"', b"null")))
        else:
            self._write(_framed(_END) + b"0\r\n\r\n")
        self._left -= 1

    def _write(self, data: bytes) -> None:
        self._transport.write(data)


class _Reader(asyncio.Protocol):
    """A client that has the model go on with each token that it gets."""

    def __init__(
        self, number: int, tokens: int, waiting: dict[int, _Upstream], hooks: Hooks | None
    ) -> None:
        self._number = number
        self._waiting = waiting
        self._hooks = hooks
        self._request = request("/api/v1/turns", {"message": f"stream {number} of {tokens} tokens"})
        self._transport: asyncio.Transport | None = None
        self._last = b""
        self.tokens = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._last = data
        for _ in range(data.count(_DELTA)):
            self.tokens += 1
            if self._hooks is None:
                return  # it is held here
            if self.tokens in self._hooks:
                self._hooks[self.tokens]()
            self._waiting[self._number].say()
        if _TERMINAL in data and not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(ConnectionError(f"{exc}: {self._last[-500:]!r}"))

    def close(self) -> None:
        """Leave."""
        self.ended.cancel()
        if self._transport is not None:
            self._transport.abort()


class Lockstep:
    """A model, and those who ask a server that asks it.

    Attributes:
        port: Of the model.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, _Upstream] = {}
        self._count = 0
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None, None]:
        """Answer as the model for the length of the block."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Upstream(self._waiting), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def run(self, port: int, *, turns: int, tokens: int, hooks: Hooks | None = None) -> None:
        """Have a server answer so many turns at once, each with so many tokens, to their ends.

        Raises:
            ConnectionError: It broke off.
            TimeoutError: It came to nothing.
        """
        readers: list[_Reader] = []
        try:
            with anyio.fail_after(_WAIT_S):
                for _ in range(turns):
                    await self._ask(port, tokens, hooks or {}, into=readers)
                for reader in readers:
                    await reader.ended
        finally:
            for reader in readers:
                reader.close()
        if any(reader.tokens != tokens for reader in readers):
            raise ConnectionError(f"{[reader.tokens for reader in readers]} tokens, not {tokens}")

    @asynccontextmanager
    async def holding(self, port: int, turns: int) -> AsyncGenerator[None, None]:
        """Hold turns open of which the model has said one token, each with its reader."""
        readers: list[_Reader] = []
        try:
            with anyio.fail_after(_WAIT_S):
                for _ in range(turns):
                    await self._ask(port, 2, None, into=readers)
                while any(not reader.tokens for reader in readers):  # noqa: ASYNC110  many
                    await anyio.sleep(0.02)
            yield
        finally:
            for reader in readers:
                reader.close()

    async def _ask(
        self, port: int, tokens: int, hooks: Hooks | None, *, into: list[_Reader]
    ) -> None:
        self._count += 1
        reader = _Reader(self._count, tokens, self._waiting, hooks)
        into.append(reader)
        await asyncio.get_running_loop().create_connection(lambda: reader, "127.0.0.1", port)


def _framed(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)
