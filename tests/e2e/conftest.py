"""A chat page in a real browser, on a real server, whose model says what the test tells it to."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream, TaskGroup
from playwright.async_api import BrowserContext, Locator, Page

from tests.support.browser import ContextOptions, Watch, running_browser, watched_context
from tests.support.front import FRONTED, origin_at
from tests.support.server import Server, running_server

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


class Telling:
    """One answer of the model, as it is being told: by the test, word for word.

    Attributes:
        request: The body of what was asked.
        prompt: Its last message.
    """

    def __init__(self, stream: ByteStream, request: str) -> None:
        self.request = request
        self.prompt = str(json.loads(request)["messages"][-1]["content"])
        self.told = anyio.Event()
        self._stream = stream

    async def say(self, text: str) -> None:
        """Send one delta."""
        await self._send({"choices": [{"index": 0, "delta": {"content": text}}]})

    async def end(self, text: str = "") -> None:
        """Send a last delta, the finish reason, the usage, and the end."""
        if text:
            await self.say(text)
        await self._send({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}
        await self._send({"choices": [], "usage": usage})
        await self._chunk(b"data: [DONE]\n\n")
        await self._stream.send(b"0\r\n\r\n")
        self.told.set()

    async def break_off(self) -> None:
        """Close the connection in the middle."""
        self.told.set()
        await self._stream.aclose()

    async def until_closed(self) -> None:
        """Wait until the server has hung up: nobody pays for words that nobody will read."""
        with anyio.fail_after(5):
            try:
                while await self._stream.receive():
                    pass
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async def _send(self, part: Mapping[str, object]) -> None:
        frame = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "told"}
        await self._chunk(b"data: " + json.dumps({**frame, **part}).encode() + b"\n\n")

    async def _chunk(self, data: bytes) -> None:
        await self._stream.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")


class ToldModel:
    """An OpenAI-compatible server on a real socket; each request waits to be told its answer."""

    def __init__(self) -> None:
        self._tellings, self._asked = anyio.create_memory_object_stream[Telling](16)

    async def asked(self) -> Telling:
        """Return the next request that reaches the model."""
        with anyio.fail_after(10):
            return await self._asked.receive()

    def asked_nothing_more(self) -> bool:
        """Tell whether no request waits."""
        return self._asked.statistics().current_buffer_used == 0

    async def serve(self, stream: ByteStream) -> None:
        """Answer one connection; it stays open until its answer is told."""
        async with stream:
            try:
                telling = Telling(stream, await _body_of(stream))
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return  # on a busy machine a server may stop before it has asked
            await stream.send(_HEAD)
            await self._tellings.send(telling)
            await telling.told.wait()

    def close(self) -> None:
        """Let go of what nobody asked for."""
        self._tellings.close()
        self._asked.close()


async def _body_of(stream: ByteStream) -> str:
    """Read one request."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    while len(body) < length:
        body += await stream.receive()
    return body.decode()


class Cable:
    """What lies between page and server: may be cut, and plugged into another server.

    Attributes:
        port: Where it is plugged in.
    """

    def __init__(self) -> None:
        self.port = 0
        self._cuts: set[anyio.CancelScope] = set()

    def cut(self) -> None:
        """Close every connection; new ones are let through."""
        for scope in self._cuts:
            scope.cancel()

    async def serve(self, page: SocketStream) -> None:
        """Pass one connection on until either end closes it or it is cut."""
        with anyio.CancelScope() as scope, suppress(OSError):  # nobody may listen there
            self._cuts.add(scope)
            async with (
                page,
                await anyio.connect_tcp("127.0.0.1", self.port) as server,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(_pass_on, page, server, tasks.cancel_scope)
                tasks.start_soon(_pass_on, server, page, tasks.cancel_scope)
        self._cuts.discard(scope)


async def _pass_on(one: SocketStream, other: SocketStream, both: anyio.CancelScope) -> None:
    try:
        while True:
            await other.send(await one.receive())
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        both.cancel()


@dataclass
class World:
    """A page, and everything behind it."""

    page: Page
    context: BrowserContext
    watch: Watch
    model: ToldModel
    server: Server
    cable: Cable
    url: str
    settings: Mapping[str, object]

    @property
    def answer(self) -> Locator:
        """The answer that is shown last."""
        return self.page.locator(".answer:visible").last

    async def ask(self, text: str) -> Telling:
        """Send a message from the page and return what the model is to tell."""
        await self.page.fill("#box", text)
        await self.page.press("#box", "Enter")
        return await self.model.asked()

    async def ended(self, status: str = "completed") -> None:
        """Wait until the last answer has ended so."""
        await self.page.locator(
            f'.exchange:last-child .answer[data-status="{status}"]:visible'
        ).wait_for()

    @asynccontextmanager
    async def hanging_up(self) -> AsyncIterator[None]:
        """Meanwhile the model hangs up on whoever asks."""

        async def hang_up() -> None:
            while True:
                await (await self.model.asked()).break_off()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hang_up)
            yield
            tasks.cancel_scope.cancel()

    async def stored(self) -> list[dict[str, str]]:
        """Return the conversation's messages as the server keeps them."""
        conversation_id = self.page.url.rpartition("/")[2]
        path = f"{self.url}/api/v1/conversations/{conversation_id}/messages"
        answer = await self.context.request.get(path)
        return list((await answer.json())["messages"])


@asynccontextmanager
async def chat_page(
    options: ContextOptions | None = None, **settings: object
) -> AsyncIterator[World]:
    """Open the page as a new guest, on a server of its own with a model that the test tells."""
    async with AsyncExitStack() as stack:
        model = ToldModel()
        stack.callback(model.close)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        told = await _listen(tasks, model.serve)
        cable = Cable()
        url = origin_at(await _listen(tasks, cable.serve))
        upstream = {"openai_base_url": f"http://127.0.0.1:{told}/v1", "openai_api_key": "none"}
        # Through the cable a page has another port than what is in front of the server expects.
        settings = {**upstream, **({"allowed_origins": url} if FRONTED else {}), **settings}
        directory = await stack.enter_async_context(anyio.TemporaryDirectory())
        server = await stack.enter_async_context(running_server(Path(directory), **settings))
        cable.port = server.front_port
        browser = await stack.enter_async_context(running_browser())
        context, watch = await stack.enter_async_context(watched_context(browser, options))
        page = await context.new_page()
        await page.goto(url)
        await page.locator(".welcome").wait_for()
        yield World(page, context, watch, model, server, cable, url, settings)


async def _listen(tasks: TaskGroup, serve: Callable[[SocketStream], Awaitable[None]]) -> int:
    """Serve connections on a free port until the tasks are cancelled; return the port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)

    async def listen() -> None:
        async with listener:
            await listener.serve(serve)

    tasks.start_soon(listen)
    return int(listener.extra_attributes[SocketAttribute.local_port]())
