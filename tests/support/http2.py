"""HTTP/2 by hand, as much as a test needs: requests on one connection, and frames as they come.

Source: RFC 9113; of RFC 7541 literals without index, and the status of an answer.
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum

import anyio
from anyio.abc import ByteStream

LARGEST_WINDOW = 2**31 - 1
MAX_DATA = 16_384
_DEFAULT_WINDOW = 65_535
_HEAD = 9
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_STATUSES = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
_STATUS_BY_NAME = 0x48


class Kind(IntEnum):
    """What a frame is."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def ends(self) -> bool:
        """Whether it is the last one of its stream from there."""
        is_last = self.kind in {Kind.DATA, Kind.HEADERS} and self.flags & _END_STREAM
        return bool(is_last) or self.kind == Kind.RST_STREAM

    @property
    def status(self) -> int:
        """Of a `HEADERS` frame."""
        if self.payload[0] == _STATUS_BY_NAME:
            return int(self.payload[2:5])
        return _STATUSES[self.payload[0]]


class Http2:
    """One connection. Whatever comes may be as long as it likes."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._sending = anyio.Lock()
        self._next = 1

    async def ask(
        self, method: str, path: str, authority: str, headers: Mapping[str, str], *, ends: bool
    ) -> int:
        """Send a request's head, which `ends` it or not, and return its stream."""
        number, self._next = self._next, self._next + 2
        head = {":method": method, ":scheme": "https", ":path": path, ":authority": authority}
        block = b"".join(_literal(*field) for field in {**head, **headers}.items())
        flags = _END_HEADERS | (_END_STREAM if ends else 0)
        await self._send(_framed(Kind.HEADERS, flags, number, block))
        return number

    async def send_data(self, stream: int, data: bytes, *, ends: bool = False) -> None:
        """Send a piece of a body, of at most `MAX_DATA`; what may be sent the caller minds."""
        await self._send(_framed(Kind.DATA, _END_STREAM if ends else 0, stream, data))

    async def frames(self) -> AsyncIterator[Frame]:
        """Yield frames until the connection ends; what has to be answered is answered."""
        received = b""
        try:
            async for data in self._stream:
                received += data
                while (length := _length(received)) is not None:
                    frame = Frame(
                        received[3],
                        received[4],
                        int.from_bytes(received[5:_HEAD], "big") & LARGEST_WINDOW,
                        received[_HEAD:length],
                    )
                    received = received[length:]
                    await self._answer(frame)
                    yield frame
        except anyio.BrokenResourceError:
            return

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            await self._stream.send(data)

    async def _answer(self, frame: Frame) -> None:
        if frame.kind in {Kind.SETTINGS, Kind.PING} and not frame.flags & _ACK:
            payload = frame.payload if frame.kind == Kind.PING else b""
            await self._send(_framed(frame.kind, _ACK, 0, payload))


@asynccontextmanager
async def http2(port: int, tls: ssl.SSLContext, name: str) -> AsyncGenerator[Http2, None]:
    """Connect to 127.0.0.1, to whom a certificate calls so, until the block ends."""
    tls.set_alpn_protocols(["h2"])
    stream = await anyio.connect_tcp(
        "127.0.0.1", port, ssl_context=tls, tls_hostname=name, tls_standard_compatible=False
    )
    async with stream:
        window = (4).to_bytes(2, "big") + LARGEST_WINDOW.to_bytes(4, "big")
        more = (LARGEST_WINDOW - _DEFAULT_WINDOW).to_bytes(4, "big")
        await stream.send(
            _PREFACE
            + _framed(Kind.SETTINGS, 0, 0, window)
            + _framed(Kind.WINDOW_UPDATE, 0, 0, more)
        )
        yield Http2(stream)


def _length(received: bytes) -> int | None:
    """Return how long the first frame is with its head; None: it is not there yet."""
    length = _HEAD + int.from_bytes(received[:3], "big")
    return length if len(received) >= max(length, _HEAD) else None


def _framed(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def _literal(name: str, value: str) -> bytes:
    parts = (name.lower().encode("ascii"), value.encode("latin-1"))
    return b"\0" + b"".join(_integer(len(part)) + part for part in parts)


def _integer(number: int) -> bytes:
    """Return it with a prefix of seven bits (RFC 7541, 5.1)."""
    if number < 0x7F:
        return bytes((number,))
    rest, coded = number - 0x7F, bytearray((0x7F,))
    while rest >= 0x80:
        coded.append(0x80 | rest & 0x7F)
        rest >>= 7
    return bytes((*coded, rest))
