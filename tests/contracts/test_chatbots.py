"""What every store of chatbots promises."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from chatbots.base import MAX_FORMER, Chatbots
from chatbots.errors import ChatbotChangedError, ChatbotNotFoundError
from chatbots.model import DEFAULT_CHATBOT, DEFAULT_CHATBOT_ID, Chatbot

POET = Chatbot(
    chatbot_id="poet",
    name="Dichter 🦉",
    instructions="Answer in verse. שלום",
    model="big",
    temperature=0.7,
    voice="en-GB",
    greeting="Speak, friend",
    max_response_chars=500,
    on_break="interrupt",
    moderation="block",
    enabled=False,
)


async def test_a_new_store_holds_the_default_chatbot(chatbots: Chatbots) -> None:
    assert await chatbots.list() == [DEFAULT_CHATBOT]
    assert await chatbots.get(DEFAULT_CHATBOT_ID) == DEFAULT_CHATBOT


async def test_opening_again_leaves_what_is_stored(chatbots: Chatbots) -> None:
    await chatbots.put(POET)
    await chatbots.delete(DEFAULT_CHATBOT_ID)

    await chatbots.open()

    assert await chatbots.list() == [POET]


async def test_a_chatbot_comes_back_as_it_was_put(chatbots: Chatbots) -> None:
    assert await chatbots.put(POET) == POET
    assert await chatbots.get("poet") == POET
    assert [chatbot.chatbot_id for chatbot in await chatbots.list()] == ["default", "poet"]


async def test_putting_again_replaces_everything_and_counts(chatbots: Chatbots) -> None:
    await chatbots.put(POET)
    plain = Chatbot(chatbot_id="poet", name="Plain", instructions="", version=77)

    replaced = await chatbots.put(plain)

    assert replaced == replace(plain, version=2)
    assert await chatbots.get("poet") == replaced


async def test_parallel_puts_are_all_counted(chatbots: Chatbots) -> None:
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(chatbots.put, POET)

    assert (await chatbots.get("poet")).version == 10


async def test_a_put_for_a_version_holds_only_at_that_version(chatbots: Chatbots) -> None:
    await chatbots.put(POET)
    second = await chatbots.put(replace(POET, name="Second"), if_version=1)

    for seen in (0, 1, 3):
        with pytest.raises(ChatbotChangedError) as refused:
            await chatbots.put(replace(POET, name="Late"), if_version=seen)
        assert refused.value.version == 2

    assert await chatbots.get("poet") == second == replace(POET, name="Second", version=2)


async def test_a_put_for_a_chatbot_that_must_not_exist_yet_makes_it_once(
    chatbots: Chatbots,
) -> None:
    with pytest.raises(ChatbotChangedError) as refused:
        await chatbots.put(POET, if_version=1)
    assert refused.value.version == 0

    made: list[Chatbot] = []
    refusals: list[int] = []

    async def make() -> None:
        try:
            made.append(await chatbots.put(POET, if_version=0))
        except ChatbotChangedError as error:
            refusals.append(error.version)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(make)

    assert (made, refusals) == ([POET], [1] * 4)


async def test_a_delete_for_a_version_holds_only_at_that_version(chatbots: Chatbots) -> None:
    await chatbots.put(POET)
    await chatbots.put(POET)

    with pytest.raises(ChatbotChangedError) as refused:
        await chatbots.delete("poet", if_version=1)
    assert refused.value.version == 2
    await chatbots.delete("poet", if_version=2)

    with pytest.raises(ChatbotNotFoundError):
        await chatbots.delete("poet", if_version=2)


async def test_a_chatbot_that_is_not_there_is_not_found(chatbots: Chatbots) -> None:
    with pytest.raises(ChatbotNotFoundError):
        await chatbots.get("nobody")
    with pytest.raises(ChatbotNotFoundError):
        await chatbots.delete("nobody")


async def test_a_deleted_chatbot_is_gone(chatbots: Chatbots) -> None:
    await chatbots.put(POET)

    await chatbots.delete("poet")

    with pytest.raises(ChatbotNotFoundError):
        await chatbots.get("poet")


async def test_what_was_replaced_can_be_read_newest_first_until_the_chatbot_is_deleted(
    chatbots: Chatbots,
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    await chatbots.put(POET)
    await chatbots.put(replace(POET, instructions="In prose.", moderation="block"))
    assert [each.chatbot for each in await chatbots.former("poet")] == [POET]
    await chatbots.put(replace(POET, name="Third"))

    former = await chatbots.former("poet")
    others = await chatbots.former(DEFAULT_CHATBOT_ID)
    await chatbots.delete("poet")
    with pytest.raises(ChatbotNotFoundError):
        await chatbots.former("poet")
    await chatbots.put(POET)

    second = replace(POET, instructions="In prose.", moderation="block", version=2)
    assert [each.chatbot for each in former] == [second, POET]
    assert all(before < each.replaced_at <= datetime.now(UTC) for each in former)
    assert list(others) == []
    assert list(await chatbots.former("poet")) == []


async def test_the_last_fifty_versions_are_kept_and_none_is_missing(chatbots: Chatbots) -> None:
    async def put_some() -> None:
        for _ in range(20):
            await chatbots.put(POET)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(put_some)

    former = await chatbots.former("poet")

    assert [each.chatbot.version for each in former] == list(range(59, 59 - MAX_FORMER, -1))


async def test_a_put_that_is_refused_leaves_nothing_behind(chatbots: Chatbots) -> None:
    await chatbots.put(POET)

    with pytest.raises(ChatbotChangedError):
        await chatbots.put(replace(POET, name="Late"), if_version=7)

    assert list(await chatbots.former("poet")) == []
