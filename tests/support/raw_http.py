"""HTTP by hand: requests that no well-behaved client would send, and their answers."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
import httptools
from anyio.abc import ByteStream

ANSWER_S = 10.0


@dataclass
class RawAnswer:
    """One answer, as it came. Header names are lower case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_complete: bool = False


class RawReader:
    """Feed it what comes, look at what it has made of it."""

    def __init__(self) -> None:
        self.answer = RawAnswer()
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take what has come from the socket."""
        self._parser.feed_data(data)

    # called by httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header field."""
        self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Take the status."""
        self.answer.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self.answer.body += body

    def on_message_complete(self) -> None:
        """Take note of the end."""
        self.answer.is_complete = True


def request_bytes(
    method: str, path: str, *, port: int, headers: Mapping[str, str], body: bytes = b""
) -> bytes:
    """Return a request as it is written, path and all; the length is added where it is not told."""
    fields = {"Host": f"127.0.0.1:{port}", "Connection": "close", **headers}
    if body and not {"content-length", "transfer-encoding"} & {name.lower() for name in fields}:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def exchange(
    port: int, request: bytes, *, tls: ssl.SSLContext | None = None, name: str = "localhost"
) -> RawAnswer:
    """Send bytes to 127.0.0.1 and return the answer, to the end of the connection.

    Args:
        port: Where.
        request: What is sent.
        tls: How it is encrypted; None: not at all.
        name: With TLS: whom the certificate has to be for.

    Raises:
        TimeoutError: the connection is still open after `ANSWER_S`.
    """
    reader = RawReader()
    with anyio.fail_after(ANSWER_S):
        stream: ByteStream = (
            await anyio.connect_tcp("127.0.0.1", port)
            if tls is None
            else await anyio.connect_tcp(
                "127.0.0.1",
                port,
                ssl_context=tls,
                tls_hostname=name,
                tls_standard_compatible=False,
            )
        )
        async with stream, anyio.create_task_group() as tasks:
            tasks.start_soon(_send, stream, request)
            await _read(stream, reader)
            tasks.cancel_scope.cancel()
    return reader.answer


async def _send(stream: ByteStream, request: bytes) -> None:
    try:
        await stream.send(request)
    except anyio.BrokenResourceError:
        return  # refused before all of it was sent: the answer says why


async def _read(stream: ByteStream, reader: RawReader) -> None:
    try:
        async for data in stream:
            reader.feed(data)
    except anyio.BrokenResourceError:
        return
