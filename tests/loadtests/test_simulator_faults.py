"""Each fault model does what its description says, as the real openai package meets it."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionMessageParam

from tests.support.simulator import Simulator, running_simulator

_MANUAL = Path(__file__).parents[2] / "docs" / "simulator.md"

# One simulator serves the whole file, on one loop; each test starts with nothing seen.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="shared")
async def shared_simulator() -> AsyncGenerator[Simulator, None]:
    async with running_simulator() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def simulator(shared: Simulator) -> Simulator:
    await shared.reset()
    return shared


@dataclass
class Seen:
    """What a client of the openai package saw of one stream."""

    text: str = ""
    finish: str | None = None
    tokens: int = 0
    error: Exception | None = None
    contents: list[str] = field(default_factory=list)


async def seen_of(
    simulator: Simulator, model: str, *, timeout_s: float = 5.0, said: str = ""
) -> Seen:
    seen = Seen()
    client = openai.AsyncOpenAI(
        base_url=simulator.base_url, api_key="none", max_retries=0, timeout=timeout_s
    )
    async with client:
        with anyio.fail_after(20):
            try:
                await _read(client, model, seen, said)
            except Exception as exc:  # noqa: BLE001  what is raised is what the tests look at
                seen.error = exc
    return seen


async def _read(client: openai.AsyncOpenAI, model: str, seen: Seen, said: str) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me."}]
    if said:
        messages.append({"role": "assistant", "content": said})
    stream = await client.chat.completions.create(model=model, messages=messages, stream=True)
    async for chunk in stream:
        for choice in chunk.choices or ():
            seen.finish = choice.finish_reason or seen.finish
            if choice.delta.content:
                seen.contents.append(choice.delta.content)
                seen.text += choice.delta.content


async def test_a_healthy_answer_is_what_faults_are_compared_with(simulator: Simulator) -> None:
    seen = await seen_of(simulator, "sim")

    assert (len(seen.contents), seen.finish, seen.error) == (20, "stop", None)


@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_a_broken_connection_is_an_error_after_the_tokens(
    simulator: Simulator, fault: str
) -> None:
    # Paced, so that the tokens are read before a reset discards what was not.
    seen = await seen_of(simulator, f"fault:{fault}:after=5,rate=50")

    assert len(seen.contents) in (4, 5) if fault == "reset" else len(seen.contents) == 5
    assert isinstance(seen.error, openai.APIConnectionError)
    assert seen.finish is None


async def test_a_truncated_stream_looks_like_a_success_to_the_package(
    simulator: Simulator,
) -> None:
    seen = await seen_of(simulator, "fault:truncate:after=5")

    assert (len(seen.contents), seen.finish, seen.error) == (5, None, None)


@pytest.mark.parametrize(
    ("fault", "tokens"), [("stall-headers", 0), ("stall-first", 0), ("stall", 3)]
)
async def test_a_stall_runs_into_the_clients_timeout_and_is_seen_as_closed_early(
    simulator: Simulator, fault: str, tokens: int
) -> None:
    seen = await seen_of(simulator, f"fault:{fault}", timeout_s=0.5)
    stats = await simulator.wait_for(lambda view: view["open"] == 0)

    assert len(seen.contents) == tokens
    assert isinstance(seen.error, openai.APITimeoutError)
    assert stats["streams"][0]["closed_early"]


async def test_slowloris_sends_single_bytes(simulator: Simulator) -> None:
    request = {"model": "fault:slowloris:after=0,every=0.01", "stream": True, "messages": []}
    with anyio.fail_after(10):
        async with simulator.http.stream("POST", "/v1/chat/completions", json=request) as answer:
            pieces = answer.aiter_raw()
            reads = [await anext(pieces) for _ in range(6)]

    assert b"".join(reads[1:]).startswith(b"data")
    assert sum(len(read) == 1 for read in reads) >= 4


@pytest.mark.parametrize(
    ("fault", "error"),
    [("bad-json", json.JSONDecodeError), ("bad-utf8", UnicodeDecodeError)],
)
async def test_a_frame_that_cannot_be_read_breaks_the_package_with_a_bare_error(
    simulator: Simulator, fault: str, error: type[Exception]
) -> None:
    seen = await seen_of(simulator, f"fault:{fault}:after=4")

    assert len(seen.contents) == 4
    assert isinstance(seen.error, error)


async def test_an_error_frame_is_reported_after_the_tokens(simulator: Simulator) -> None:
    seen = await seen_of(simulator, "fault:error-frame:after=4")

    assert len(seen.contents) == 4
    assert type(seen.error) is openai.APIError
    assert "overloaded" in str(seen.error)


@pytest.mark.parametrize("fault", ["html", "error-json"])
async def test_a_page_instead_of_a_stream_is_an_empty_success_to_the_package(
    simulator: Simulator, fault: str
) -> None:
    seen = await seen_of(simulator, f"fault:{fault}")

    assert (seen.contents, seen.finish, seen.error) == ([], None, None)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate-limit", openai.RateLimitError),
        ("http-401", openai.AuthenticationError),
        ("http-404", openai.NotFoundError),
        ("http-500", openai.InternalServerError),
        ("http-502", openai.InternalServerError),
        ("http-503", openai.InternalServerError),
        ("no-such-fault", openai.NotFoundError),
    ],
)
async def test_a_refusal_has_its_status(
    simulator: Simulator, fault: str, error: type[Exception]
) -> None:
    seen = await seen_of(simulator, f"fault:{fault}")

    assert isinstance(seen.error, error)
    assert (await simulator.stats())["streams"][0]["state"] == "refused"


async def test_retry_after_is_sent_as_it_was_asked_for(simulator: Simulator) -> None:
    request = {"model": "fault:rate-limit:retry_after=soon, maybe", "messages": []}
    refused = await simulator.http.post("/v1/chat/completions", json=request)
    asked = {"model": "fault:rate-limit:retry_after=soon", "messages": []}
    limited = await simulator.http.post("/v1/chat/completions", json=asked)

    assert refused.status_code == 400
    assert limited.status_code == 429
    assert limited.headers["retry-after"] == "soon"


@pytest.mark.parametrize("fault", ["rate-limit", "http-500", "cut"])
async def test_a_fault_heals_after_as_many_requests_as_were_asked_for(
    simulator: Simulator, fault: str
) -> None:
    model = f"fault:{fault}:times=2"

    seen = [await seen_of(simulator, model) for _ in range(3)]
    await simulator.reset()
    again = await seen_of(simulator, model)

    assert [one.error is None for one in seen] == [False, False, True]
    assert seen[2].finish == "stop"
    assert again.error is not None


@pytest.mark.parametrize("fault", ["cut", "error-frame", "stall", "truncate", "http-503"])
async def test_a_fault_can_spare_those_who_go_on_with_an_answer(
    simulator: Simulator, fault: str
) -> None:
    model = f"fault:{fault}:first=1,after=8"
    healthy = await seen_of(simulator, "sim")

    broken = [await seen_of(simulator, model, timeout_s=0.5) for _ in range(2)]
    rest = await seen_of(simulator, model, said=healthy.text[:30])

    assert [seen.finish for seen in broken] == [None, None]
    assert {len(seen.contents) for seen in broken} == {0 if fault == "http-503" else 8}
    assert healthy.text[:30] + rest.text == healthy.text
    assert (rest.finish, rest.error) == ("stop", None)


async def test_a_fault_that_spares_nobody_breaks_the_continuation_as_well(
    simulator: Simulator,
) -> None:
    healthy = await seen_of(simulator, "sim")

    rest = await seen_of(simulator, "fault:truncate:after=4", said=healthy.text[:30])

    assert (len(rest.contents), rest.finish) == (4, None)
    assert healthy.text.startswith(healthy.text[:30] + rest.text)


async def test_a_huge_chunk_is_one_delta_of_the_asked_size(simulator: Simulator) -> None:
    seen = await seen_of(simulator, "fault:huge-chunk:after=2,bytes=3000000")

    assert len(seen.contents[2]) == 3_000_000
    assert seen.finish == "stop"


async def test_an_endless_line_has_no_line_feed_and_is_cut(simulator: Simulator) -> None:
    request = {"model": "fault:endless-line:after=0,bytes=2000000", "stream": True, "messages": []}
    read = bytearray()

    async def read_all() -> None:
        async with simulator.http.stream("POST", "/v1/chat/completions", json=request) as answer:
            async for piece in answer.aiter_raw():
                read.extend(piece)

    with anyio.fail_after(10):
        with pytest.raises(httpx.RemoteProtocolError):
            await read_all()

    assert len(read) > 2_000_000
    assert b"\n" not in read.split(b"\n\n", 1)[1]


async def test_a_wrong_content_type_carries_a_healthy_stream(simulator: Simulator) -> None:
    request = {"model": "fault:wrong-type", "stream": True, "messages": []}
    answer = await simulator.http.post("/v1/chat/completions", json=request)

    assert answer.headers["content-type"] == "application/json"
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("fault", ["empty-choices", "null-choices", "after-done", "no-done"])
async def test_an_oddity_that_loses_nothing_leaves_the_text_whole(
    simulator: Simulator, fault: str
) -> None:
    healthy = await seen_of(simulator, "sim")

    seen = await seen_of(simulator, f"fault:{fault}")

    assert (seen.text, seen.finish, seen.error) == (healthy.text, "stop", None)


async def test_odd_but_valid_framing_is_accepted(simulator: Simulator) -> None:
    healthy = await seen_of(simulator, "sim:tokens=60")

    seen = await seen_of(simulator, "fault:odd-framing:tokens=60")

    assert (seen.text, seen.finish, seen.error) == (healthy.text, "stop", None)


async def test_a_surrogate_pair_is_split_over_two_chunks(simulator: Simulator) -> None:
    seen = await seen_of(simulator, "fault:split-surrogate:after=2")

    assert seen.contents[2:4] == ["\ud83d", "\ude00"]
    assert seen.finish == "stop"


@pytest.mark.parametrize(
    ("fault", "reason"), [("length", "length"), ("content-filter", "content_filter")]
)
async def test_a_finish_reason_ends_the_answer(
    simulator: Simulator, fault: str, reason: str
) -> None:
    seen = await seen_of(simulator, f"fault:{fault}:after=6")

    assert (len(seen.contents), seen.finish, seen.error) == (6, reason, None)


async def test_every_fault_is_in_the_manual(simulator: Simulator) -> None:
    manual = await anyio.Path(_MANUAL).read_text(encoding="utf-8")
    listed = (await simulator.http.get("/v1/models")).json()["data"]

    assert [name for model in listed if f"`{(name := model['id'])}`" not in manual] == []
