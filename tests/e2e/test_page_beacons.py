"""What pages saw of turns reaches the server's figures, beside what the server saw itself."""

from typing import Any

import anyio
import pytest

from tests.e2e.conftest import World, chat_page

pytestmark = [pytest.mark.services, pytest.mark.long]


async def streaming(world: World) -> dict[str, Any]:
    """Return the figures of streaming."""
    answer = await world.server.client.get("/api/metrics/streaming")
    figures: dict[str, Any] = answer.json()["metrics"]
    return figures


async def until_reported(world: World, turns: int) -> dict[str, Any]:
    """Wait until pages have told of so many first texts, and return the figures."""
    with anyio.fail_after(10):
        while True:
            figures = await streaming(world)
            if figures["latency"]["page_ttft_ms"]["count"] >= turns:
                return figures
            await anyio.sleep(0.02)


async def test_a_page_tells_once_how_soon_it_saw_an_answer() -> None:
    async with chat_page() as world:
        world.watch.expect("net::ERR|EventSource")
        telling = await world.ask("Say something")
        await telling.say("First words")
        await world.answer.get_by_text("First words").wait_for()
        world.cable.cut()
        await telling.say(" and more")
        await telling.end(" and the rest.")
        await world.ended()

        figures = await until_reported(world, 1)
        await world.page.reload()
        await world.ended()
        await (await world.ask("Once more")).end("Again.")
        await world.ended()
        again = await until_reported(world, 2)

    page, server = figures["latency"]["page_ttft_ms"], figures["latency"]["ttft_ms"]
    assert (page["count"], again["latency"]["page_ttft_ms"]["count"]) == (1, 2)
    assert page["avg"] >= server["avg"]
    assert figures["readers"]["page_reconnects"] == 1


async def test_a_page_that_goes_elsewhere_tells_what_it_had_seen() -> None:
    async with chat_page() as world:
        telling = await world.ask("A long story")
        await telling.say("Once upon a time")
        await world.answer.get_by_text("Once upon a time").wait_for()

        await world.page.get_by_role("link", name="New conversation").click()
        figures = await until_reported(world, 1)
        await telling.end(".")

    assert figures["streams"]["completed"] == 0
