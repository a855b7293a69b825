"""What is read past the client's layers is what they would have read."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from streaming.errors import SourceError, SourceUnavailableError
from streaming.llm.base import Finish, Prompt, PromptMessage
from streaming.llm.openai import OpenAITokenSource
from tests.streaming.llm.upstream import (
    DONE,
    HEAD,
    HELLO,
    STOP,
    USAGE,
    WHOLE,
    Step,
    refusal,
    upstream,
)

PROMPT = Prompt((PromptMessage("user", "Hi"),), "a-model")
CHUNKED = HEAD.replace(b"connection: close", b"transfer-encoding: chunked")
ERROR = b'data: {"error":{"message":"overloaded"}}\n\n'
BODY = b": ping\r\n\r\n" + HELLO + HELLO.replace(b"\n", b"\r\n") + STOP + USAGE + DONE


def framed(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


SCRIPTS: dict[str, Sequence[Step]] = {
    "whole": [WHOLE],
    "chunked": [CHUNKED, framed(HELLO), framed(HELLO, STOP), framed(USAGE, DONE) + b"0\r\n\r\n"],
    "byte by byte": [CHUNKED, *(framed(BODY[at : at + 1]) for at in range(len(BODY)))],
    "ends without a reason": [HEAD, HELLO],
    "ends within a chunk": [CHUNKED, framed(HELLO), b"ff\r\ndata: {"],
    "ends without its last chunk": [CHUNKED, framed(HELLO, STOP)],
    "an error within": [HEAD, HELLO, ERROR, STOP],
    "shorter than its length": [HEAD.replace(b"connection: close", b"content-length: 999"), HELLO],
    "refused": [refusal(503)],
    "redirects": [refusal(307, location="http://127.0.0.1:1/")],
    "no HTTP": [b"SSH-2.0-OpenSSH_9.2\r\n"],
    "nothing": [],
}


@asynccontextmanager
async def a_source(base_url: str) -> AsyncGenerator[OpenAITokenSource, None]:
    source = OpenAITokenSource(
        base_url=base_url,
        api_key="a-key",
        default_model="a-model",
        connect_timeout_s=2.0,
        request_timeout_s=5.0,
        max_retries=0,
    )
    try:
        yield source
    finally:
        await source.close()


async def outcome(script: Sequence[Step]) -> list[Any]:
    """Return all that comes of a script, and how it failed."""
    items: list[Any] = []
    with anyio.fail_after(10):
        async with upstream(script) as server, a_source(server.base_url) as source:
            await _read_into(items, source)
    return items


async def _read_into(items: list[object], source: OpenAITokenSource) -> None:
    try:
        async for item in source.stream(PROMPT):
            items.append(item)  # noqa: PERF401  # what came before an error counts
    except SourceError as error:
        items.append((type(error), error.detail, error.retryable))


@pytest.mark.parametrize("name", SCRIPTS)
async def test_an_answer_is_the_same_as_through_the_client_s_own_transport(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = await outcome(SCRIPTS[name])

    monkeypatch.setattr("streaming.llm.transport._has_proxy", lambda _: True)
    long = await outcome(SCRIPTS[name])

    assert short == long
    assert short


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
async def test_where_the_environment_names_a_proxy_the_request_goes_there(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with anyio.fail_after(10):
        async with upstream([WHOLE]) as proxy:
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
            async with a_source("http://provider.example/v1") as source:
                *_, finish = [item async for item in source.stream(PROMPT)]

    assert finish == Finish("stop", 3, 1)
    assert proxy.requests[0].head.startswith("POST http://provider.example/v1/chat/completions ")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
async def test_what_needs_no_proxy_is_asked_directly(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")

    assert await outcome([WHOLE]) == ["Hello", Finish("stop", 3, 1)]


async def test_a_proxy_of_socks_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")

    [(kind, *_)] = await outcome([WHOLE])

    assert kind is SourceUnavailableError


async def test_a_connection_is_used_again_once_its_answer_was_read_to_the_end() -> None:
    whole = b"".join([CHUNKED, framed(HELLO, STOP, USAGE, DONE), b"0\r\n\r\n"])
    connections: list[int] = []
    all_left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        while b"messages" in await reader.read(65_536):
            writer.write(whole)
        writer.close()
        all_left.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with anyio.fail_after(10):
        async with a_source(f"http://127.0.0.1:{port}/v1") as source:
            for _ in range(3):
                items = [item async for item in source.stream(PROMPT)]
                assert items == ["Hello", Finish("stop", 3, 1)]
        await all_left.wait()
    server.close()

    assert len(connections) == 1
