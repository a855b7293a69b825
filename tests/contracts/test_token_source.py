"""What every token source promises; and what the OpenAI one makes of each fault of an upstream."""

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import get_args

import anyio
import pytest
import pytest_asyncio

from loadtests.llm_simulator.faults import catalogue
from streaming.continuing import Join
from streaming.errors import (
    SourceError,
    SourceFilteredError,
    SourceProtocolError,
    SourceRateLimitedError,
    SourceRefusedError,
    SourceReportedError,
    SourceTimeoutError,
    SourceTruncatedError,
    SourceUnavailableError,
)
from streaming.llm.base import Finish, Prompt, PromptMessage, TokenSource
from streaming.llm.offline import OfflineTokenSource
from streaming.llm.openai import OpenAITokenSource
from streaming.llm.prefixes import PrefixStyle
from tests.support.simulator import Simulator, running_simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

BROKEN: dict[str, type[SourceError]] = {  # after three tokens, which stand
    "cut": SourceTruncatedError,
    "reset": SourceTruncatedError,
    "truncate": SourceTruncatedError,
    "bad-json": SourceProtocolError,
    "bad-utf8": SourceProtocolError,
    "null-choices": SourceProtocolError,
    "huge-chunk": SourceProtocolError,
    "endless-line": SourceProtocolError,
    "error-frame": SourceReportedError,
    "content-filter": SourceFilteredError,
}
REFUSED: dict[str, type[SourceError]] = {  # before any token
    "html": SourceProtocolError,
    "wrong-type": SourceProtocolError,
    "error-json": SourceReportedError,
    "rate-limit": SourceRateLimitedError,
    "http-401": SourceRefusedError,
    "http-404": SourceRefusedError,
    "http-500": SourceUnavailableError,
    "http-502": SourceUnavailableError,
    "http-503": SourceUnavailableError,
    "stall-headers": SourceTimeoutError,
}
SILENT = {"stall-first": 0, "stall": 3, "slowloris": 3}  # tokens before nothing comes any more
HARMLESS = {  # tokens of an answer of ten
    "empty-choices": 10,
    "after-done": 10,
    "no-done": 10,
    "odd-framing": 10,
    "split-surrogate": 11,
    "length": 3,
}

LONG = "sim:tokens=150,rate=0"
SOURCES = ["openai", "offline"]
STYLES: tuple[PrefixStyle, ...] = get_args(PrefixStyle)
CONTINUING = [*STYLES, "offline"]  # the OpenAI source asks in three ways to go on with an answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncIterator[Simulator]:
    async with running_simulator(tokens=10) as running:
        yield running


def asking(model: str = "sim", *, prefix: str = "") -> Prompt:
    return Prompt((PromptMessage("user", "How do I resume a stream?"),), model, prefix=prefix)


@asynccontextmanager
async def an_openai_source(
    simulator: Simulator, style: PrefixStyle = "plain"
) -> AsyncGenerator[OpenAITokenSource, None]:
    source = OpenAITokenSource(
        base_url=simulator.base_url,
        api_key="a-key",
        default_model="sim",
        connect_timeout_s=2.0,
        request_timeout_s=1.0,
        max_retries=0,
        prefix_style=style,
    )
    try:
        yield source
    finally:
        await source.close()


@asynccontextmanager
async def a_source(kind: str, simulator: Simulator) -> AsyncGenerator[TokenSource, None]:
    if kind != "offline":
        styles: dict[str, PrefixStyle] = {style: style for style in STYLES}
        style = styles.get(kind, "plain")
        async with an_openai_source(simulator, style) as source:
            yield source
    else:
        yield OfflineTokenSource(docs_dir=Path(__file__).parents[2] / "docs", tokens_per_s=0)


@pytest.mark.parametrize("kind", SOURCES)
async def test_text_comes_in_pieces_and_ends_with_exactly_one_finish(
    kind: str, simulator: Simulator
) -> None:
    with anyio.fail_after(10):
        async with a_source(kind, simulator) as source:
            *pieces, finish = [item async for item in source.stream(asking(source.default_model))]

    assert len(pieces) > 5
    assert all(isinstance(piece, str) for piece in pieces)
    "".join(map(str, pieces)).encode()
    assert isinstance(finish, Finish)
    assert finish.reason == "stop"
    assert finish.output_tokens == len(pieces)
    assert finish.input_tokens is not None
    assert finish.input_tokens > 0


@pytest.mark.parametrize("kind", SOURCES)
async def test_the_same_prompt_is_answered_alike(kind: str, simulator: Simulator) -> None:
    with anyio.fail_after(10):
        async with a_source(kind, simulator) as source:
            first = [item async for item in source.stream(asking())]
            second = [item async for item in source.stream(asking())]

    assert first == second


@pytest.mark.parametrize("kind", SOURCES)
async def test_one_source_serves_many_turns_at_once(kind: str, simulator: Simulator) -> None:
    answers: list[int] = []
    order: list[int] = []

    async def ask(source: TokenSource, number: int) -> None:
        items = []
        async for item in source.stream(asking()):
            order.append(number)
            items.append(item)
        assert isinstance(items[-1], Finish)
        answers.append(len(items))

    with anyio.fail_after(30):
        async with a_source(kind, simulator) as source, anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(ask, source, number)

    assert len(answers) == 50
    assert len(set(answers)) == 1
    changes = sum(one != other for one, other in pairwise(order))
    assert changes > 50  # one after the other it would change 49 times


@pytest.mark.parametrize("kind", CONTINUING)
async def test_an_answer_that_broke_off_anywhere_is_continued_without_a_seam(
    kind: str, simulator: Simulator
) -> None:
    with anyio.fail_after(60):
        async with a_source(kind, simulator) as source:
            whole = await text_of(source, asking(LONG))
            cuts = {2, *range(3, len(whole), len(whole) // 30), len(whole) - 1, len(whole)}
            texts = [await continued(source, LONG, whole[:cut]) for cut in sorted(cuts)]

    assert len(whole) > 300
    assert [text for text in texts if text != whole] == []


@pytest.mark.parametrize("kind", CONTINUING)
async def test_white_space_at_the_end_of_a_prefix_does_not_count(
    kind: str, simulator: Simulator
) -> None:
    with anyio.fail_after(10):
        async with a_source(kind, simulator) as source:
            whole = await text_of(source, asking(LONG))
            visible = whole[: whole.index("\n\n")]
            plain = [item async for item in source.stream(asking(LONG, prefix=visible))]
            blank = [item async for item in source.stream(asking(LONG, prefix=visible + "\n\n "))]

    assert [item for item in plain if isinstance(item, str)] == [
        item for item in blank if isinstance(item, str)
    ]


@pytest.mark.parametrize("kind", CONTINUING)
async def test_a_continuation_ends_with_exactly_one_finish_also_where_nothing_is_left(
    kind: str, simulator: Simulator
) -> None:
    with anyio.fail_after(10):
        async with a_source(kind, simulator) as source:
            whole = await text_of(source, asking(LONG))
            *texts, finish = [item async for item in source.stream(asking(LONG, prefix=whole))]

    assert all(isinstance(text, str) for text in texts)
    assert isinstance(finish, Finish)
    assert finish.reason == "stop"


@pytest.mark.parametrize("kind", CONTINUING)
async def test_the_beginning_of_another_models_answer_is_followed_by_an_answer(
    kind: str, simulator: Simulator
) -> None:
    with anyio.fail_after(10):
        async with a_source(kind, simulator) as source:
            whole = await text_of(source, asking())
            said = await text_of(source, asking(prefix="What another model began with, as fa"))

    assert said.strip() == whole


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("how", ["exact", "words,repeats=6", "line", "chatter", "again"])
async def test_however_a_server_goes_on_the_answer_has_no_seam(
    how: str, style: PrefixStyle, simulator: Simulator
) -> None:
    model = f"{LONG},continues={how}"
    with anyio.fail_after(30):
        async with an_openai_source(simulator, style) as source:
            whole = await text_of(source, asking(LONG))
            cuts = [whole.index(". ") + 30, len(whole) // 2, len(whole) - 20]
            texts = [await continued(source, model, whole[:cut]) for cut in cuts]

    assert texts == [whole] * 3


async def test_what_breaks_at_first_is_whole_after_it_was_continued(simulator: Simulator) -> None:
    model = "fault:cut:after=40,first=1,tokens=150,rate=0"
    with anyio.fail_after(10):
        async with an_openai_source(simulator) as source:
            whole = await text_of(source, asking("sim:tokens=150,rate=0"))
            texts, raised = await read(source, model)
            written = "".join(map(str, texts))
            text = await continued(source, model, written)

    assert type(raised) is SourceTruncatedError
    assert len(texts) == 40
    assert text == whole


@pytest.mark.parametrize("kind", SOURCES)
async def test_leaving_early_leaves_the_source_usable(kind: str, simulator: Simulator) -> None:
    with anyio.fail_after(10):
        async with a_source(kind, simulator) as source:
            for pieces in (3, 1, 0):
                await leave_after(pieces, source.stream(asking()), [])
            whole = [item async for item in source.stream(asking())]

    assert isinstance(whole[-1], Finish)


@pytest.mark.parametrize("kind", SOURCES)
async def test_cancelling_leaves_the_source_usable(kind: str, simulator: Simulator) -> None:
    with anyio.fail_after(10):
        async with a_source(kind, simulator) as source:
            scope = anyio.CancelScope()
            with scope:
                await cancelled_by_its_reader(source, scope)
            whole = [item async for item in source.stream(asking())]

    assert scope.cancelled_caught
    assert isinstance(whole[-1], Finish)


@pytest.mark.parametrize("kind", SOURCES)
async def test_closing_a_source_twice_is_safe(kind: str, simulator: Simulator) -> None:
    with anyio.fail_after(10):
        async with a_source(kind, simulator) as source:
            await source.close()
            await source.close()


async def test_every_fault_of_the_simulator_is_tried_here() -> None:
    assert {*BROKEN, *REFUSED, *SILENT, *HARMLESS} == set(catalogue())


@pytest.mark.parametrize(("fault", "error"), BROKEN.items())
async def test_a_stream_that_breaks_is_a_typed_error_and_its_text_stands(
    fault: str, error: type[SourceError], simulator: Simulator
) -> None:
    with anyio.fail_after(10):
        async with an_openai_source(simulator) as source:
            whole = [item async for item in source.stream(asking())]
            texts, raised = await read(source, f"fault:{fault}")

    assert texts == whole[:3]
    assert type(raised) is error


@pytest.mark.parametrize(("fault", "error"), REFUSED.items())
async def test_an_answer_that_is_no_stream_is_a_typed_error(
    fault: str, error: type[SourceError], simulator: Simulator
) -> None:
    with anyio.fail_after(10):
        async with an_openai_source(simulator) as source:
            texts, raised = await read(source, f"fault:{fault}")

    assert (texts, type(raised)) == ([], error)


@pytest.mark.parametrize(("fault", "tokens"), HARMLESS.items())
async def test_what_only_looks_odd_is_a_whole_answer(
    fault: str, tokens: int, simulator: Simulator
) -> None:
    with anyio.fail_after(10):
        async with an_openai_source(simulator) as source:
            whole = [str(item) async for item in source.stream(asking()) if item]
            items = [item async for item in source.stream(asking(f"fault:{fault}"))]

    text = "".join(str(item) for item in items[:-1])
    finish = items[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == ("length" if fault == "length" else "stop")
    assert text.replace("😀", "") == "".join(whole[: min(tokens, 10)])
    assert ("😀" in text) == (fault == "split-surrogate")


@pytest.mark.parametrize(("fault", "tokens"), SILENT.items())
@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_whoever_stops_waiting_closes_the_upstream_connection(
    how: str, fault: str, tokens: int, simulator: Simulator
) -> None:
    await simulator.reset()
    texts: list[str | Finish] = []
    async with an_openai_source(simulator) as source:
        stop_at = tokens if tokens and how == "close" else 1_000
        with anyio.move_on_after(0.5):
            await leave_after(stop_at, source.stream(asking(f"fault:{fault}")), texts)
        left = await simulator.wait_for(lambda seen: seen["requests"] and not seen["open"])

    assert len(texts) == tokens
    assert [stream["state"] for stream in left["streams"]] == ["closed_early"]


async def test_no_fault_leaks_a_connection(simulator: Simulator) -> None:
    before = sockets()
    async with an_openai_source(simulator) as source:
        for fault in (*BROKEN, *REFUSED, *HARMLESS, *SILENT):
            with anyio.move_on_after(0.3 if fault in SILENT else 5), suppress(SourceError):
                await leave_after(1_000, source.stream(asking(f"fault:{fault}")), [])
        await simulator.wait_for(lambda seen: not seen["open"])
        await until_at_most(before + 1)  # one is kept for the next turn
    await until_at_most(before)


async def text_of(source: TokenSource, prompt: Prompt) -> str:
    return "".join([item async for item in source.stream(prompt) if isinstance(item, str)])


async def continued(source: TokenSource, model: str, written: str) -> str:
    """Return the answer that begins with what was written, and goes on as the source says."""
    join, text = Join(written), written
    async for item in source.stream(asking(model, prefix=written)):
        if isinstance(item, str):
            text += join.push(item)
    return text + join.flush()


async def leave_after(
    count: int, stream: AsyncGenerator[str | Finish, None], items: list[str | Finish]
) -> None:
    """Read a stream up to some item, or its end, and close it."""
    async with aclosing(stream):
        while len(items) < count and (item := await anext(stream, None)) is not None:
            items.append(item)


async def cancelled_by_its_reader(source: TokenSource, scope: anyio.CancelScope) -> None:
    async for _ in source.stream(asking()):
        scope.cancel()


async def read(source: TokenSource, model: str) -> tuple[list[str | Finish], SourceError]:
    """Return what a stream gave before it failed, and the error."""
    items: list[str | Finish] = []
    try:
        async for item in source.stream(asking(model)):
            items += [item]  # at once: what precedes an error counts
    except SourceError as error:
        return items, error
    pytest.fail("no error")


def sockets() -> int:
    """Return how many sockets this process has open."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("counts sockets through /proc")
    count = 0
    for name in os.listdir(folder):  # noqa: PTH208  a Path would follow what may just be closing
        with suppress(OSError):
            count += str((folder / name).readlink()).startswith("socket:")
    return count


async def until_at_most(count: int) -> None:
    """Wait for a transport's last callbacks, which close its socket."""
    with anyio.fail_after(5):
        while sockets() > count:  # noqa: ASYNC110  the kernel sends no event for it
            await anyio.sleep(0.01)
