"""The simulator's healthy answers, read by the real openai package and by a bare socket."""

import sys
from collections.abc import AsyncGenerator

import anyio
import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from loadtests.llm_simulator.prose import answer_text
from tests.support.simulator import Simulator, running_simulator

pytestmark = pytest.mark.long

QUESTION = "Tell me about streaming."


@pytest.fixture
async def simulator() -> AsyncGenerator[Simulator, None]:
    async with running_simulator() as running:
        yield running


async def chunks_of(
    simulator: Simulator, model: str, said: str = "", *, usage: bool = False
) -> list[ChatCompletionChunk]:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
    if said:
        messages.append({"role": "assistant", "content": said})
    client = openai.AsyncOpenAI(base_url=simulator.base_url, api_key="none", max_retries=0)
    with anyio.fail_after(10):
        async with client:
            stream = await client.chat.completions.create(
                model=model,
                messages=messages,
                stream=True,
                stream_options={"include_usage": usage},
            )
            return [chunk async for chunk in stream]


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def test_a_stream_has_role_then_tokens_then_finish_then_usage(simulator: Simulator) -> None:
    chunks = await chunks_of(simulator, "sim:tokens=7", usage=True)

    role, *tokens, finish, usage = chunks
    assert role.choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in tokens] == [None] * 7
    assert all(chunk.choices[0].delta.content for chunk in tokens)
    assert finish.choices[0].finish_reason == "stop"
    assert finish.choices[0].delta.content is None
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens == 7
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


async def test_without_being_asked_for_usage_it_sends_none(simulator: Simulator) -> None:
    chunks = await chunks_of(simulator, "sim:tokens=2")

    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


async def test_the_whole_answer_says_what_the_stream_says(simulator: Simulator) -> None:
    async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="none") as client:
        with anyio.fail_after(10):
            whole = await client.chat.completions.create(
                model="sim:tokens=60",
                messages=[{"role": "user", "content": QUESTION}],
            )
    chunks = await chunks_of(simulator, "sim:tokens=60")

    assert whole.choices[0].message.content == text_of(chunks)
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 60


async def test_another_seed_gives_another_text_and_the_same_seed_the_same(
    simulator: Simulator,
) -> None:
    first = text_of(await chunks_of(simulator, "sim:seed=1,tokens=50"))
    again = text_of(await chunks_of(simulator, "sim:seed=1,tokens=50"))
    other = text_of(await chunks_of(simulator, "sim:seed=2,tokens=50"))

    assert first == again
    assert first != other


async def test_an_answer_that_was_begun_is_continued(simulator: Simulator) -> None:
    whole = text_of(await chunks_of(simulator, "sim:tokens=80"))

    rest = text_of(await chunks_of(simulator, "sim:tokens=80", said=whole[:100]))

    assert whole[:100] + rest == whole


async def test_an_answer_depends_on_the_last_message_of_the_user_only(
    simulator: Simulator,
) -> None:
    whole = text_of(await chunks_of(simulator, "sim:tokens=50,seed=3"))

    longer: list[dict[str, object]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": QUESTION},
    ]
    assert await said_to(simulator, "sim:tokens=50,seed=3", longer) == whole
    assert answer_text(QUESTION, tokens=50, seed=3) == whole


STYLES: dict[str, tuple[dict[str, object], list[dict[str, object]], dict[str, object]]] = {
    "last_message": ({}, [], {}),
    "prefix": ({"prefix": True}, [], {}),
    "continue_final_message": (
        {},
        [],
        {"continue_final_message": True, "add_generation_prompt": False},
    ),
    "plain": ({}, [{"role": "user", "content": "Go on, please, from here:\n\nWORDS"}], {}),
}


async def continued(simulator: Simulator, model: str, said: str, style: str) -> str:
    """Return what comes of a request that brings the beginning of its answer."""
    mark, more, switches = STYLES[style]
    messages: list[dict[str, object]] = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": said, **mark},
        *more,
    ]
    for message in more:
        message["content"] = f"Go on, please, from here:\n\n{said[-20:]}"
    return await said_to(simulator, model, messages, switches)


async def said_to(
    simulator: Simulator,
    model: str,
    messages: list[dict[str, object]],
    switches: dict[str, object] | None = None,
) -> str:
    request = {"model": model, "messages": messages, **(switches or {})}
    answer = await simulator.http.post("/v1/chat/completions", json=request)
    said: str = answer.raise_for_status().json()["choices"][0]["message"]["content"]
    return said


@pytest.mark.parametrize("style", STYLES)
async def test_an_answer_is_continued_however_that_is_asked_for(
    simulator: Simulator, style: str
) -> None:
    whole = answer_text(QUESTION, tokens=80)
    said = whole[:100].rstrip()

    rest = await continued(simulator, "sim:tokens=80", said, style)

    assert rest == (said[-20:] if style == "plain" else "") + whole[len(said) :]
    (record,) = (await simulator.stats())["streams"]
    assert (record["continued"], record["style"]) == (True, style)


async def test_who_asks_on_is_not_taken_for_one_who_wants_the_answer_continued(
    simulator: Simulator,
) -> None:
    said = answer_text(QUESTION, tokens=20)
    follow_up: list[dict[str, object]] = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": said},
        {"role": "user", "content": f"What is this?\n\n{said[:20]}"},
    ]

    await said_to(simulator, "sim", follow_up)

    (record,) = (await simulator.stats())["streams"]
    assert (record["continued"], record["style"]) == (False, "")


@pytest.mark.parametrize("style", STYLES)
async def test_a_model_can_be_told_how_to_go_on(simulator: Simulator, style: str) -> None:
    whole = answer_text(QUESTION, tokens=200)
    said = whole[: whole.index(". ", 60) + 20].rstrip()
    rest = whole[len(said) :]
    sentence = said[said.rindex(". ") + 1 :]

    async def told(how: str) -> str:
        return await continued(simulator, f"sim:tokens=200,continues={how}", said, style)

    assert await told("exact") == rest
    assert await told("bare") == rest.lstrip()
    assert await told("again") == whole
    assert await told("words,repeats=2") == " ".join(said.split(" ")[-2:]) + rest
    assert await told("words") == " ".join(said.split(" ")[-3:]) + rest
    assert await told("line") == said[said.rfind("\n") + 1 :] + rest
    assert await told("sentence") == sentence + rest
    assert await told("chatter") == f"Sure, here is the rest of it:\n\n{sentence}{rest}"
    assert await told("anew") == answer_text(QUESTION, tokens=200, seed=2)


async def test_the_beginning_of_another_answer_is_not_continued(simulator: Simulator) -> None:
    rest = await continued(simulator, "sim:tokens=80", "Quite another beginning", "prefix")

    assert rest == answer_text(QUESTION, tokens=80)


@pytest.mark.parametrize(
    ("last", "switches"),
    [
        ({"role": "assistant", "content": "Hm"}, {"continue_final_message": True}),
        (
            {"role": "assistant", "content": "Hm "},
            {"continue_final_message": True, "add_generation_prompt": False},
        ),
        (
            {"role": "user", "content": "Hm"},
            {"continue_final_message": True, "add_generation_prompt": False},
        ),
    ],
)
async def test_a_final_message_that_cannot_be_continued_is_refused(
    simulator: Simulator, last: dict[str, object], switches: dict[str, object]
) -> None:
    request = {"model": "sim", "messages": [last], **switches}
    answer = await simulator.http.post("/v1/chat/completions", json=request)

    assert answer.status_code == 400
    assert "continue_final_message" in answer.json()["error"]["message"]
    assert (await simulator.stats())["requests"] == 0


async def test_marked_tokens_can_be_counted(simulator: Simulator) -> None:
    text = text_of(await chunks_of(simulator, "sim:tokens=300,mark=1"))

    assert text.count("~") == 300


async def test_a_limit_on_tokens_ends_the_answer_by_length(simulator: Simulator) -> None:
    async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="none") as client:
        with anyio.fail_after(10):
            whole = await client.chat.completions.create(
                model="sim",
                messages=[{"role": "user", "content": "Tell me."}],
                max_completion_tokens=5,
            )

    assert whole.choices[0].finish_reason == "length"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 5


async def test_every_listed_model_is_one_it_serves(simulator: Simulator) -> None:
    async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="none") as client:
        with anyio.fail_after(10):
            names = [model.id async for model in client.models.list()]

    assert names[0] == "sim"
    assert {"fault:cut", "fault:rate-limit", "fault:split-surrogate"} <= set(names)


async def test_an_option_out_of_range_is_refused_with_its_name(simulator: Simulator) -> None:
    with pytest.raises(openai.BadRequestError, match="rate=nan"):
        await chunks_of(simulator, "sim:rate=nan")


async def test_a_client_that_leaves_early_is_noticed(simulator: Simulator) -> None:
    async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="none") as client:
        with anyio.fail_after(10):
            stream = await client.chat.completions.create(
                model="sim:tokens=100000,rate=50",
                messages=[{"role": "user", "content": "Tell me everything."}],
                stream=True,
            )
            while not (await anext(stream)).choices[0].delta.content:
                pass
            await stream.close()
            seen = await simulator.wait_for(lambda stats: stats["open"] == 0)

    (record,) = seen["streams"]
    assert record["closed_early"]
    assert record["state"] == "closed_early"
    assert 1 <= record["tokens"] < 1000
    assert record["closed_after_ms"] >= 0


async def test_a_client_that_does_not_read_holds_up_only_itself(simulator: Simulator) -> None:
    request = (
        b'{"model":"sim:tokens=100000,rate=0","stream":true,'
        b'"messages":[{"role":"user","content":"hi"}]}'
    )
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    async with await anyio.connect_tcp("127.0.0.1", simulator.port) as idle:
        with anyio.fail_after(10):
            await idle.send(head % len(request) + request)
            await idle.receive(1)

            assert text_of(await chunks_of(simulator, "sim:tokens=5"))
            record = (await simulator.stats())["streams"][0]

    assert record["state"] == "open"
    assert record["tokens"] < 100_000


async def test_a_connection_serves_one_request_after_the_other(simulator: Simulator) -> None:
    request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    async with await anyio.connect_tcp("127.0.0.1", simulator.port) as stream:
        with anyio.fail_after(5):
            for _ in range(3):
                await stream.send(request)

                assert (await stream.receive()).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no such protocol\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, b"431"),
        (b"POST / HTTP/1.1\r\ncontent-length: 9000000\r\n\r\n" + b"z" * 9_000_000, b"413"),
        (b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n", b"404"),
        (b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 3\r\n\r\n{]}", b"400"),
        (
            (
                b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 28\r\n\r\n"
                b'{"model":"\xcd!","messages":[]}'
            ),
            b"400",
        ),
    ],
)
async def test_a_bad_request_gets_a_status_and_the_server_goes_on(
    simulator: Simulator, sent: bytes, status: bytes
) -> None:
    async with await anyio.connect_tcp("127.0.0.1", simulator.port) as stream:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_send_all, stream, sent)
                answer = await stream.receive()
                tasks.cancel_scope.cancel()

    assert answer.split()[1] == status
    assert (await simulator.http.get("/healthz")).status_code == 200


async def _send_all(stream: anyio.abc.SocketStream, data: bytes) -> None:
    # The server may close before it has read everything.
    try:
        await stream.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


async def test_a_taken_port_is_one_line_and_status_1(simulator: Simulator) -> None:
    with anyio.fail_after(20):
        second = await anyio.run_process(
            [sys.executable, "-m", "loadtests.llm_simulator", "--port", str(simulator.port)],
            check=False,
        )

    assert second.returncode == 1
    assert second.stderr.decode().count("\n") == 1
    assert "in use" in second.stderr.decode()


async def test_it_ends_with_status_0_when_told_to_while_streams_are_open() -> None:
    request = b'{"model":"fault:stall","stream":true,"messages":[]}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(request)
    async with (
        running_simulator() as simulator,
        await anyio.connect_tcp("127.0.0.1", simulator.port) as stream,
    ):
        await stream.send(head + request)
        with anyio.fail_after(5):
            await stream.receive()
            simulator.process.terminate()

            assert await simulator.process.wait() == 0
