"""What nginx closes in time, refuses, and keeps small: slow callers, and bodies too large."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream
from anyio.from_thread import start_blocking_portal

from tests.security.scene import Scene, set_scene
from tests.support.certificates import trusting
from tests.support.chat import running_chat
from tests.support.http2 import MAX_DATA, Frame, Http2, Kind, http2
from tests.support.nginx import DOMAIN, Nginx, running_nginx
from tests.support.raw_http import RawReader, request_bytes

pytestmark = [pytest.mark.services, pytest.mark.long]
SLOW = 50
LARGE = 300_000_000
PIECE = b"x" * 16_000
TURNS = "/api/v1/turns"
LONG = "sim:tokens=40000,rate=8000"
"""Some 5 MB of events: more than sockets hold for a reader who takes nothing."""


@dataclass
class Counted:
    """A connection, and how much was sent on it."""

    stream: ByteStream
    sent: int = 0

    async def send(self, piece: bytes, length: int) -> None:
        """Send pieces as long as they are taken."""
        with suppress(anyio.BrokenResourceError):
            while self.sent < length:
                await self.stream.send(piece)
                self.sent += len(piece)


class Upload:
    """A body over HTTP/2: sends as much as may be sent."""

    def __init__(self, connection: Http2, stream: int) -> None:
        self.sent = 0
        self._connection, self._stream = connection, stream
        self._windows = {0: 65_535, stream: 65_535}

    def allow(self, frame: Frame) -> None:
        """Take note of more that may be sent."""
        if frame.kind == Kind.WINDOW_UPDATE:
            self._windows[frame.stream] += int.from_bytes(frame.payload, "big")

    async def send(self) -> None:
        """Send pieces as long as they are taken."""
        with suppress(anyio.BrokenResourceError):
            while self.sent < LARGE:
                await anyio.lowlevel.checkpoint()
                if min(self._windows.values()) >= MAX_DATA:
                    await self._connection.send_data(self._stream, b"x" * MAX_DATA)
                    self._windows = {name: n - MAX_DATA for name, n in self._windows.items()}
                    self.sent += MAX_DATA


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Run nginx before a server."""
    setting = set_scene(tmp_path_factory.mktemp("nginx"))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(setting) as scene:
        yield scene


async def _connected(nginx: Nginx) -> ByteStream:
    return await anyio.connect_tcp(
        "127.0.0.1",
        nginx.https_port,
        ssl_context=trusting(nginx.folder),
        tls_hostname=DOMAIN,
        tls_standard_compatible=False,
    )


def _head(nginx: Nginx, length: str) -> bytes:
    there = {"Host": f"{DOMAIN}:{nginx.https_port}", "Content-Type": "application/json"}
    name, _, value = length.partition(": ")
    return request_bytes("POST", TURNS, port=0, headers={**there, name: value})


def _resident_kb(nginx: Nginx) -> int:
    """Return the memory of nginx, its workers included."""
    children = Path(f"/proc/{nginx.pid}/task/{nginx.pid}/children").read_text(encoding="ascii")
    return sum(_resident_of(pid) for pid in (nginx.pid, *map(int, children.split())))


def _resident_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def _held_s(stream: ByteStream, begin: bytes, drop: bytes) -> float:
    """Return how long a connection is held whose request begins so, and goes on by drops."""
    began = anyio.current_time()
    async with stream:
        await stream.send(begin)
        with anyio.fail_after(30):
            while not await _says_something(stream):
                await _send(stream, drop)
    return anyio.current_time() - began


async def _says_something(stream: ByteStream) -> bool:
    """Tell whether anything comes within half a second, if only the end."""
    with anyio.move_on_after(0.5):
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await stream.receive()
        return True
    return False


async def _send(stream: ByteStream, data: bytes, *, times: int = 1) -> None:
    """Send something again and again, as long as it is taken."""
    with suppress(anyio.BrokenResourceError):
        for _ in range(times if data else 0):
            await stream.send(data)


async def _deaf(nginx: Nginx, request: bytes) -> socket.socket:
    """Send a request and never read of the answer."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", nginx.https_port))
    tls = trusting(nginx.folder).wrap_socket(plain, server_hostname=DOMAIN)
    tls.sendall(request)
    return tls


async def _until_gone(nginx: Nginx, *, within_s: float) -> None:
    """Wait until nginx has no connection that waits to be read."""
    with anyio.fail_after(within_s):
        while _waiting(nginx.https_port):  # noqa: ASYNC110 - it happens in another process
            await anyio.sleep(0.2)


def _waiting(port: int) -> int:
    """Return how many connections of a port have bytes that were not taken yet."""
    rows = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = [row.split() for row in rows]
    mine = [each for each in fields if int(each[1].rpartition(":")[2], 16) == port]
    return sum(each[3] == "01" and int(each[4].partition(":")[0], 16) > 0 for each in mine)


async def test_fifty_slow_heads_and_fifty_silent_bodies_are_closed_while_others_are_served(
    scene: Scene,
) -> None:
    nginx, held = scene.nginx, {"head": list[float](), "body": list[float]()}
    begin = {
        "head": f"GET / HTTP/1.1\r\nHost: {DOMAIN}:{nginx.https_port}\r\n".encode(),
        "body": _head(nginx, "Content-Length: 9999") + b"{",
    }
    before = _resident_kb(nginx)

    async def hold(kind: str, stream: ByteStream) -> None:
        drop = b"X-A: b\r\n" if kind == "head" else b""
        held[kind].append(await _held_s(stream, begin[kind], drop))

    async with anyio.create_task_group() as tasks:
        for kind in [*held] * SLOW:
            tasks.start_soon(hold, kind, await _connected(nginx))
        async with nginx.client() as http:
            answers = [await http.get("/health/live") for _ in range(20)]
        memory = _resident_kb(nginx) - before

    assert [len(each) for each in held.values()] == [SLOW, SLOW]
    assert 4 < min(held["head"]) <= max(held["head"]) < 20
    assert 9 < min(held["body"]) <= max(held["body"]) < 25
    assert {answer.status_code for answer in answers} == {200}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 5
    assert memory < 20_000


@pytest.mark.parametrize("length", [f"Content-Length: {LARGE}", "Transfer-Encoding: chunked"])
async def test_a_body_of_300_mb_is_refused_at_its_bound(scene: Scene, length: str) -> None:
    nginx, reader = scene.nginx, RawReader()
    before = _resident_kb(nginx)
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if "chunked" in length else PIECE
    taken = Counted(await _connected(nginx))
    async with taken.stream, anyio.create_task_group() as tasks:
        await taken.stream.send(_head(nginx, length))
        tasks.start_soon(taken.send, piece, LARGE)
        with anyio.fail_after(20):
            while not reader.answer.is_complete:
                reader.feed(await taken.stream.receive())
        tasks.cancel_scope.cancel()

    assert reader.answer.status == 413
    assert b"body_too_large" in reader.answer.body
    _little_was_taken(nginx, taken.sent, before)


@pytest.mark.parametrize("headers", [{"content-length": str(LARGE)}, {}], ids=["announced", "not"])
async def test_so_it_is_over_http2(scene: Scene, headers: dict[str, str]) -> None:
    nginx = scene.nginx
    there, before = f"{DOMAIN}:{nginx.https_port}", _resident_kb(nginx)
    async with (
        http2(nginx.https_port, trusting(nginx.folder), DOMAIN) as connection,
        anyio.create_task_group() as tasks,
    ):
        body = {"content-type": "application/json", **headers}
        upload = Upload(connection, await connection.ask("POST", TURNS, there, body, ends=False))
        tasks.start_soon(upload.send)
        with anyio.fail_after(20):
            status = await _status_of(connection, upload)
        tasks.cancel_scope.cancel()

    assert status == 413
    _little_was_taken(nginx, upload.sent, before)


async def _status_of(connection: Http2, upload: Upload) -> int:
    async for frame in connection.frames():
        upload.allow(frame)
        if frame.kind == Kind.HEADERS:
            return frame.status
    return 0


def _little_was_taken(nginx: Nginx, sent: int, resident_kb: int) -> None:
    """What sockets hold is among what was sent; nothing goes to a disk, little is remembered."""
    assert sent < 20_000_000
    assert list((nginx.folder / "body").rglob("*")) == []
    assert _resident_kb(nginx) - resident_kb < 5_000


@pytest.mark.skipif("config.getoption('--runs') <= 300", reason="a minute: make acceptance")
async def test_fifty_readers_who_take_nothing_are_bounded_and_cut_and_cost_nobody(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    settings = {"trusted_proxies": "127.0.0.1", "max_response_chars": 1_000_000, "max_readers": 99}
    async with (
        running_chat(tmp_path / "server", models={"long": LONG}, **settings) as chat,
        running_nginx(tmp_path / "nginx", upstream=chat.server.port) as nginx,
        nginx.client() as http,
    ):
        started = await chat.server.start(chatbot_id="long")
        name = chat.server.client.cookies["chat_guest"]
        guest = {"Cookie": f"__Host-chat_guest={name}"}
        there = {"Host": f"{DOMAIN}:{nginx.https_port}"}
        request = request_bytes("GET", started["events_url"], port=0, headers={**there, **guest})
        idle = _resident_kb(nginx), _resident_of(chat.server.process.pid)
        began = anyio.current_time()
        deaf = [await _deaf(nginx, request) for _ in range(SLOW)]
        try:
            whole = await http.get(started["events_url"], headers=guest, timeout=60)
            busy = _resident_kb(nginx), _resident_of(chat.server.process.pid)
            await _until_gone(nginx, within_s=90)
            cut_s = anyio.current_time() - began
        finally:
            for each in deaf:
                each.close()

    assert "event: turn.completed" in whole.text
    assert whole.text.count("event: text.delta") > 30_000
    more = [after - before for after, before in zip(busy, idle, strict=True)]
    record_property("nginx and worker, kB; all cut within s", [*more, cut_s])
    assert more[0] < SLOW * 400, more
    assert more[1] < 150_000, more
    assert cut_s < 90, cut_s
