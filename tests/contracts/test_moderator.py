"""What every moderator promises; and what OpenAI's makes of each fault of its endpoint."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
import pytest_asyncio

from streaming.errors import ModerationFault, ModerationUnavailableError
from streaming.moderation.base import BATCH, CLEAN, MAX_TEXT_CHARS, Moderator
from streaming.moderation.openai import OpenAIModerator
from streaming.moderation.words import WordModerator
from tests.support.simulator import Simulator, running_simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAULTS: dict[str, ModerationFault] = {
    "html": "protocol",
    "wrong-type": "protocol",
    "error-json": "protocol",
    "bad-json": "protocol",
    "bad-utf8": "protocol",
    "huge-chunk": "protocol",
    "rate-limit": "limited",
    "http-401": "refused",
    "http-404": "refused",
    "http-500": "unreachable",
    "http-502": "unreachable",
    "cut": "unreachable",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncIterator[Simulator]:
    async with running_simulator() as running:
        yield running


def an_openai(simulator: Simulator, model: str = "omni-moderation-latest") -> OpenAIModerator:
    return OpenAIModerator(
        base_url=simulator.base_url, api_key="test", model=model, connect_timeout_s=5
    )


@asynccontextmanager
async def opened(kind: str, simulator: Simulator) -> AsyncIterator[Moderator]:
    moderator: Moderator = (
        WordModerator([("violence", "violence"), ("hate", "hate")])
        if kind == "words"
        else an_openai(simulator)
    )
    try:
        yield moderator
    finally:
        await moderator.close()
        await moderator.close()


@pytest.fixture(params=["words", "openai"])
async def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def test_each_text_gets_its_own_verdict_in_order(kind: str, simulator: Simulator) -> None:
    texts = ["Hello.", "Violence, and hate!", "Whatever.", "hate"]

    async with opened(kind, simulator) as moderator:
        with anyio.fail_after(10):
            found = await moderator.check(texts)

    assert [verdict.categories for verdict in found] == [(), ("hate", "violence"), (), ("hate",)]
    assert (found[0], found[2]) == (CLEAN, CLEAN)


async def test_a_full_batch_of_the_longest_texts_is_judged(kind: str, simulator: Simulator) -> None:
    text = "so long 🦉 " * (MAX_TEXT_CHARS // 10)

    async with opened(kind, simulator) as moderator:
        with anyio.fail_after(10):
            found = await moderator.check([text[: MAX_TEXT_CHARS - 9] + " violence"] * BATCH)

    assert [verdict.categories for verdict in found] == [("violence",)] * BATCH


async def test_odd_texts_are_judged_like_any_other(kind: str, simulator: Simulator) -> None:
    odd = ["\0", "\u202e", "{}", "</script>", '"', "\x7f\x80", "🏳️‍🌈", "שלום", "\n.\n"]

    async with opened(kind, simulator) as moderator:
        with anyio.fail_after(10):
            assert await moderator.check(odd) == [CLEAN] * len(odd)


async def test_many_are_judged_side_by_side(kind: str, simulator: Simulator) -> None:
    texts = [f"{number} {'hate' if number % 3 else 'love'}" for number in range(40)]
    found: dict[str, bool] = {}

    async def judge(moderator: Moderator, text: str) -> None:
        (verdict,) = await moderator.check([text])
        found[text] = verdict.is_flagged

    async with opened(kind, simulator) as moderator, anyio.create_task_group() as tasks:
        tasks.cancel_scope.deadline = anyio.current_time() + 10
        for text in texts:
            tasks.start_soon(judge, moderator, text)

    assert found == {text: "hate" in text for text in texts}


async def test_categories_are_short_clean_names(kind: str, simulator: Simulator) -> None:
    async with opened(kind, simulator) as moderator:
        (verdict,) = await moderator.check(["violence"])

    assert all(re.fullmatch(r"[a-z0-9_/-]{1,64}", name) for name in verdict.categories)


@pytest.mark.parametrize(("fault", "reason"), FAULTS.items())
async def test_a_fault_of_the_endpoint_is_told_by_its_reason(
    simulator: Simulator, fault: str, reason: ModerationFault
) -> None:
    async with closing(an_openai(simulator, f"fault:{fault}")) as moderator:
        with anyio.fail_after(10), pytest.raises(ModerationUnavailableError) as raised:
            await moderator.check(["Hello."])

    assert raised.value.reason == reason


@pytest.mark.parametrize("fault", ["stall-headers", "stall"])
async def test_an_endpoint_that_stalls_can_be_left(simulator: Simulator, fault: str) -> None:
    async with closing(an_openai(simulator, f"fault:{fault}")) as moderator:
        with anyio.fail_after(10):
            with anyio.move_on_after(0.05) as scope:
                await moderator.check(["Hello."])

    assert scope.cancelled_caught


async def test_an_endpoint_that_is_not_there_is_unreachable() -> None:
    moderator = OpenAIModerator(
        base_url="http://127.0.0.1:1/v1", api_key="", model="m", connect_timeout_s=5
    )
    async with closing(moderator):
        with anyio.fail_after(10), pytest.raises(ModerationUnavailableError) as raised:
            await moderator.check(["Hello."])

    assert raised.value.reason == "unreachable"


async def test_the_score_is_that_of_the_surest_category(simulator: Simulator) -> None:
    async with closing(an_openai(simulator)) as moderator:
        (verdict,) = await moderator.check(["hate and violence"])

    assert verdict.score == 0.93


@asynccontextmanager
async def closing(moderator: OpenAIModerator) -> AsyncIterator[OpenAIModerator]:
    try:
        yield moderator
    finally:
        await moderator.close()
