"""The OpenAI-compatible source against servers that misbehave in ways of their own."""

import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio
import pytest

from streaming.errors import (
    SourceError,
    SourceProtocolError,
    SourceRateLimitedError,
    SourceRefusedError,
    SourceReportedError,
    SourceTimeoutError,
    SourceTruncatedError,
    SourceUnavailableError,
)
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
    Upstream,
    refusal,
    upstream,
)

PROMPT = Prompt((PromptMessage("system", "Be kind."), PromptMessage("user", "Hi")), "a-model")
KEY = "sk-canary-1234"


@asynccontextmanager
async def a_source(
    base_url: str,
    *,
    retries: int = 0,
    connect_s: float = 2.0,
    request_s: float = 5.0,
    seen: list[SourceError] | None = None,
    may_retry: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[OpenAITokenSource, None]:
    source = OpenAITokenSource(
        base_url=base_url,
        api_key=KEY,
        default_model="a-model",
        connect_timeout_s=connect_s,
        request_timeout_s=request_s,
        max_retries=retries,
        may_retry=may_retry,
        on_retry=(seen if seen is not None else []).append,
    )
    try:
        yield source
    finally:
        await source.close()


async def answer(source: OpenAITokenSource, prompt: Prompt = PROMPT) -> tuple[str, Finish]:
    """Return the text and the end of an answer."""
    *texts, finish = [item async for item in source.stream(prompt)]
    assert isinstance(finish, Finish)
    return "".join(map(str, texts)), finish


async def failure(
    *scripts: Sequence[Step],
    retries: int = 0,
    request_s: float = 5.0,
    may_retry: Callable[[], bool] = lambda: True,
) -> tuple[SourceError, str, Upstream]:
    """Return the error that scripts end in, and the text that came before."""
    texts: list[str] = []
    with anyio.fail_after(10):
        async with (
            upstream(*scripts) as server,
            a_source(
                server.base_url, retries=retries, request_s=request_s, may_retry=may_retry
            ) as source,
        ):
            with pytest.raises(SourceError) as raised:
                await _read_into(texts, source)
            return raised.value, "".join(texts), server
    raise AssertionError


async def _read_into(texts: list[str], source: OpenAITokenSource) -> None:
    async for item in source.stream(PROMPT):
        texts += [str(item)]  # at once: what precedes an error counts


async def test_the_request_says_what_is_asked_and_takes_no_compression() -> None:
    with anyio.fail_after(5):
        async with upstream([WHOLE]) as server, a_source(server.base_url) as source:
            warm = Prompt(PROMPT.messages, "another", temperature=0.5)

            assert await answer(source, warm) == ("Hello", Finish("stop", 3, 1))
            assert await answer(source) == ("Hello", Finish("stop", 3, 1))

    assert server.requests[0].body == {
        "model": "another",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
    }
    assert "temperature" not in server.requests[1].body
    head = server.requests[0].head.lower()
    assert "post /v1/chat/completions" in head
    assert f"authorization: bearer {KEY}" in head
    assert "accept-encoding: identity" in head


async def test_a_server_that_refuses_stream_options_is_asked_without_from_then_on() -> None:
    refused = refusal(400, b'{"error":{"message":"Unrecognized argument: stream_options"}}')
    seen: list[SourceError] = []
    with anyio.fail_after(5):
        async with (
            upstream([refused], [HEAD + HELLO + STOP + DONE]) as server,
            a_source(server.base_url, seen=seen) as source,
        ):
            assert await answer(source) == ("Hello", Finish("stop", None, None))
            assert await answer(source) == ("Hello", Finish("stop", None, None))

    assert ["stream_options" in request.body for request in server.requests] == [True, False, False]
    assert not seen


async def test_a_server_that_goes_on_refusing_is_not_asked_for_ever() -> None:
    refused = refusal(400, b"stream_options is unknown")
    with anyio.fail_after(5):
        async with (
            upstream([refused], [HEAD + HELLO + STOP + DONE], [refused]) as server,
            a_source(server.base_url, retries=3) as source,
        ):
            await answer(source)
            with pytest.raises(SourceRefusedError):
                await answer(source)

    assert len(server.requests) == 3


async def test_retries_need_nobody_who_counts_them() -> None:
    with anyio.fail_after(5):
        async with upstream([refusal(500)], [WHOLE]) as server:
            source = OpenAITokenSource(
                base_url=server.base_url,
                api_key="",
                default_model="a-model",
                connect_timeout_s=2.0,
                request_timeout_s=2.0,
                max_retries=1,
            )
            assert (await answer(source))[0] == "Hello"
            await source.close()


async def test_turns_that_are_refused_at_once_are_all_asked_again() -> None:
    refused = refusal(400, b"stream_options is unknown")
    both_asked = anyio.Event()
    answers: list[str] = []

    async def ask(source: OpenAITokenSource) -> None:
        answers.append((await answer(source))[0])

    with anyio.fail_after(5):
        async with (
            upstream([both_asked, refused], [both_asked, refused], [WHOLE]) as server,
            a_source(server.base_url) as source,
            anyio.create_task_group() as group,
        ):
            group.start_soon(ask, source)
            group.start_soon(ask, source)
            await server.wait_for_requests(2)
            both_asked.set()

    assert answers == ["Hello", "Hello"]


async def test_a_fault_that_only_names_stream_options_is_told_and_forgotten() -> None:
    refused = refusal(400, b"model unknown; your request had stream_options")
    with anyio.fail_after(5):
        async with (
            upstream([refused], [refused], [WHOLE]) as server,
            a_source(server.base_url) as source,
        ):
            with pytest.raises(SourceRefusedError):
                await answer(source)
            await answer(source)

    assert ["stream_options" in request.body for request in server.requests] == [True, False, True]


@pytest.mark.parametrize(
    ("status", "body", "error", "word"),
    [
        (400, b"{}", SourceRefusedError, "request"),
        (400, b'{"error":{"code":"context_length_exceeded"}}', SourceRefusedError, "too long"),
        (401, b"{}", SourceRefusedError, "API key"),
        (402, b"{}", SourceRefusedError, "credit"),
        (403, b"{}", SourceRefusedError, "API key"),
        (404, b"{}", SourceRefusedError, "model"),
        (405, b"{}", SourceRefusedError, "address"),
        (413, b"{}", SourceRefusedError, "too long"),
        (418, b"{}", SourceRefusedError, "request"),
        (422, b"{}", SourceRefusedError, "request"),
        (302, b"", SourceRefusedError, "redirects"),
        (202, b"", SourceRefusedError, "no answer"),
        (408, b"{}", SourceUnavailableError, "408"),
        (409, b"{}", SourceUnavailableError, "409"),
        (500, b"{}", SourceUnavailableError, "500"),
        (503, b"{}", SourceUnavailableError, "503"),
        (429, b"{}", SourceRateLimitedError, "too many"),
        (429, b'{"error":{"code":"insufficient_quota"}}', SourceRefusedError, "quota"),
    ],
)
async def test_a_status_is_told_in_one_sentence_of_ours(
    status: int, body: bytes, error: type[SourceError], word: str
) -> None:
    secret = body + b" internal-host-7"
    raised, _, server = await failure([refusal(status, secret, location="http://127.0.0.1:1/")])

    assert (type(raised), len(server.requests)) == (error, 1)
    assert word in raised.detail
    for canary in ("internal-host-7", KEY, "127.0.0.1"):
        assert canary not in raised.detail


@pytest.mark.fault(40)
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(200, b"<html>", content_type="text/html"), SourceProtocolError),
        (refusal(200, b'{"error":{}}'), SourceReportedError),
        (refusal(200, b'{"choices":[]}'), SourceProtocolError),
        (refusal(200, b"", content_type=""), SourceProtocolError),
        (
            refusal(200, HELLO, content_type="text/event-stream", content_encoding="gzip"),
            SourceProtocolError,
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", SourceUnavailableError),
        (b"", SourceUnavailableError),
    ],
)
async def test_an_answer_that_is_no_event_stream_is_an_error(
    reply: bytes, error: type[SourceError]
) -> None:
    assert type((await failure([reply]))[0]) is error


async def test_an_error_without_end_is_not_read_to_its_end() -> None:
    endless = b"HTTP/1.1 500 Whatever\r\n\r\n" + b"x" * 200_000

    raised, _, _ = await failure([endless, anyio.Event()])

    assert isinstance(raised, SourceUnavailableError)


@pytest.mark.fault(39)
@pytest.mark.parametrize(
    ("headers", "told_s"),
    [
        ({"retry_after": "3600"}, 3_600),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-3"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 -0000"}, 0),
        ({"retry_after": "9", "retry_after_ms": "250"}, 0.25),
        ({}, None),
    ],
)
async def test_how_long_to_wait_is_read_where_it_makes_sense(
    headers: dict[str, str], told_s: float | None
) -> None:
    raised, _, _ = await failure([refusal(429, **headers)])

    assert raised.retry_after_s == told_s


async def test_a_date_to_wait_for_is_read_as_seconds_from_now() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    raised, _, _ = await failure([refusal(503, retry_after=date)])

    assert raised.retry_after_s == pytest.approx(3_600, abs=60)


@pytest.mark.long
async def test_what_may_pass_is_tried_again_and_counted() -> None:
    seen: list[SourceError] = []
    scripts: list[list[Step]] = [
        [refusal(503)],
        [refusal(429, retry_after="0")],
        [b""],
        [HEAD],
        [HEAD + b"data: {"],
        [WHOLE],
    ]
    with anyio.fail_after(20):
        async with (
            upstream(*scripts) as server,
            a_source(server.base_url, retries=5, seen=seen) as source,
        ):
            assert await answer(source) == ("Hello", Finish("stop", 3, 1))

    assert [type(error) for error in seen] == [
        SourceUnavailableError,
        SourceRateLimitedError,
        SourceUnavailableError,
        SourceTruncatedError,
        SourceTruncatedError,
    ]


async def test_another_try_is_made_only_where_it_may_be_and_asked_for_only_where_it_would() -> None:
    asked: list[bool] = []

    def may_retry() -> bool:
        asked.append(len(asked) < 1)
        return asked[-1]

    _, _, server = await failure(*[[refusal(503)]] * 5, retries=3, may_retry=may_retry)
    assert (len(server.requests), asked) == (2, [True, False])
    await failure([refusal(503)], retries=0, may_retry=may_retry)
    await failure([refusal(401)], retries=3, may_retry=may_retry)

    assert asked == [True, False]  # nothing is paid for a try that would not be made


async def test_tries_are_bounded_and_the_last_error_is_told() -> None:
    raised, _, server = await failure([refusal(500)], retries=2)

    assert isinstance(raised, SourceUnavailableError)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "script",
    [
        [refusal(401)],
        [refusal(429, retry_after="3600")],
        [HEAD + HELLO],
        [HEAD + HELLO + b"data: not JSON\n\n"],
        [HEAD + b'data: {"choices":[{"delta":{"reasoning":"hm"}}]}\n\n'],
    ],
)
async def test_what_does_not_pass_or_has_begun_is_not_tried_again(script: list[Step]) -> None:
    _, _, server = await failure(script, retries=3)

    assert len(server.requests) == 1


async def test_the_head_of_the_answer_is_waited_for_once_and_not_for_ever() -> None:
    raised, _, server = await failure([anyio.Event()], retries=3, request_s=0.2)

    assert isinstance(raised, SourceTimeoutError)
    assert (raised.phase, len(server.requests)) == ("first_token", 1)


async def test_nobody_at_the_address_is_unavailable_after_all_tries() -> None:
    async with upstream([WHOLE]) as server:
        base_url = server.base_url
    seen: list[SourceError] = []
    with anyio.fail_after(10):
        async with a_source(base_url, retries=2, seen=seen) as source:
            with pytest.raises(SourceUnavailableError) as raised:
                await answer(source)

    assert len(seen) == 2
    assert "127.0.0.1" not in raised.value.detail


async def test_a_password_in_the_address_is_sent_in_place_of_the_key() -> None:
    with anyio.fail_after(5):
        async with (
            upstream([WHOLE]) as server,
            a_source(server.base_url.replace("//", "//user:hunter2@")) as source,
        ):
            await answer(source)

    assert "authorization: basic dxnlcjpodw50zxiy" in server.requests[0].head.lower()
    assert "hunter2" not in server.requests[0].head


@pytest.mark.fault(41)
async def test_connecting_is_bounded_and_tried_again() -> None:
    seen: list[SourceError] = []
    with anyio.fail_after(15), full_listener() as base_url:
        async with a_source(base_url, connect_s=0.2, retries=1, seen=seen) as source:
            with pytest.raises(SourceTimeoutError) as raised:
                await answer(source)

    assert (raised.value.phase, len(seen)) == ("connect", 1)


@contextmanager
def full_listener() -> Iterator[str]:
    """Yield the address of a socket whose queue is full: who connects gets no answer at all."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


async def test_an_answer_without_text_is_an_answer() -> None:
    with anyio.fail_after(5):
        async with (
            upstream([HEAD + b": hello\n\n", STOP + USAGE + DONE]) as server,
            a_source(server.base_url) as source,
        ):
            assert await answer(source) == ("", Finish("stop", 3, 1))


async def test_an_address_that_makes_no_sense_is_unavailable() -> None:
    async with a_source("http://no-such-host.invalid/v1") as source:
        with pytest.raises(SourceUnavailableError), anyio.fail_after(10):
            await answer(source)


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n"])
async def test_an_end_without_finish_reason_is_truncated_and_the_text_stands(end: bytes) -> None:
    raised, text, _ = await failure([HEAD + HELLO + end])

    assert (type(raised), text) == (SourceTruncatedError, "Hello")


async def test_usage_that_never_comes_costs_a_bounded_wait() -> None:
    unasked = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
    with anyio.fail_after(5):
        async with (
            upstream([HEAD + HELLO + STOP, unasked, anyio.Event()]) as server,
            a_source(server.base_url) as source,
        ):
            assert await answer(source) == ("Hello", Finish("stop", None, None))


@pytest.mark.parametrize("junk", [b"data: not JSON\n\n", b"x" * 2_000_000, b""])
async def test_what_breaks_after_the_finish_reason_costs_the_usage_only(junk: bytes) -> None:
    with anyio.fail_after(5):
        async with (
            upstream([HEAD + HELLO + STOP, junk]) as server,
            a_source(server.base_url) as source,
        ):
            assert await answer(source) == ("Hello", Finish("stop", None, None))


@pytest.mark.fault(42)
async def test_what_comes_after_done_is_ignored_and_not_waited_for() -> None:
    after: list[Step] = [WHOLE + HELLO, anyio.Event()]
    with anyio.fail_after(5):
        async with upstream(after) as server, a_source(server.base_url) as source:
            assert await answer(source) == ("Hello", Finish("stop", 3, 1))


async def test_deltas_of_one_read_come_one_by_one() -> None:
    with anyio.fail_after(5):
        async with (
            upstream([HEAD + HELLO * 3 + STOP + USAGE + DONE]) as server,
            a_source(server.base_url) as source,
        ):
            items = [item async for item in source.stream(PROMPT)]

    assert items == ["Hello", "Hello", "Hello", Finish("stop", 3, 1)]


async def test_leaving_at_the_finish_is_a_normal_end() -> None:
    with anyio.fail_after(5):
        async with (
            upstream([WHOLE]) as server,
            a_source(server.base_url) as source,
            aclosing(source.stream(PROMPT)) as items,
        ):
            while not isinstance(await anext(items), Finish):
                pass

    assert len(server.requests) == 1
