"""The chat page when things come and go: reloads, cuts, other tabs, refusals."""

import json
import signal

import anyio
import httpx
import pytest
from playwright.async_api import Route

from tests.e2e.conftest import chat_page
from tests.support.browser import until
from tests.support.server import running_server

pytestmark = pytest.mark.services

WORDS = [f"word{n} " for n in range(40)]


@pytest.mark.long
async def test_a_reload_in_mid_answer_gives_every_word_once() -> None:
    async with chat_page() as world:
        telling = await world.ask("Many words")
        for word in WORDS[:20]:
            await telling.say(word)
        await world.answer.get_by_text("word19").wait_for()

        await world.page.reload()
        await world.answer.get_by_text("word19").wait_for()
        for word in WORDS[20:]:
            await telling.say(word)
        await telling.end()
        await world.ended()

        assert await world.answer.locator(".prose").inner_text() == "".join(WORDS).strip()
        assert await world.page.locator(".answer").count() == 1
        assert world.model.asked_nothing_more()


@pytest.mark.long
async def test_a_cut_connection_is_mended_and_gives_every_word_once() -> None:
    async with chat_page() as world:
        world.watch.expect("net::ERR|EventSource")
        telling = await world.ask("Through a bad cable")
        for number, word in enumerate(WORDS):
            await telling.say(word)
            if number % 8 == 3:
                await world.answer.get_by_text(word.strip(), exact=False).wait_for()
                world.cable.cut()
        await telling.end()
        await world.ended()

        assert await world.answer.locator(".prose").inner_text() == "".join(WORDS).strip()


@pytest.mark.long
async def test_a_killed_server_is_waited_for_and_nothing_is_doubled() -> None:
    async with chat_page() as world:
        world.watch.expect("net::ERR|EventSource|Failed to load")
        telling = await world.ask("Survive")
        await telling.say("Kept in memory. ")
        await world.answer.get_by_text("Kept in memory.").wait_for()

        world.server.signal(signal.SIGKILL)
        await world.server.exit_code()
        async with running_server(world.server.data_dir, **world.settings) as server:
            world.cable.port = server.front_port
            world.cable.cut()
            # Whatever the new server makes of the turn, the page agrees with its record.
            async with world.hanging_up():
                await world.page.locator(".answer-bar:visible").wait_for()
            stored = (await world.stored())[-1]
            assert await world.answer.get_attribute("data-status") == stored["status"]
            assert await world.answer.locator(".prose").inner_text() == stored["text"].strip()


@pytest.mark.long
async def test_a_start_cut_off_by_a_reload_is_one_turn() -> None:
    async with chat_page() as world:
        page = world.page
        held = anyio.Event()

        async def hold_back_the_answer(route: Route) -> None:
            await route.fetch()  # the server has it; the page never hears of it
            held.set()

        await page.route("**/api/v1/turns", hold_back_the_answer, times=1)
        telling = await world.ask("Only once")
        with anyio.fail_after(5):
            await held.wait()
        await page.reload()
        await world.page.locator(".answer").wait_for()
        await telling.end("Once.")
        await world.ended()

        assert [message["text"] for message in await world.stored()] == ["Only once", "Once."]
        assert world.model.asked_nothing_more()


@pytest.mark.long
async def test_a_start_that_fails_on_the_network_is_sent_again_with_its_key() -> None:
    async with chat_page() as world:
        world.watch.expect("ERR_FAILED|Failed to load")
        keys: list[str] = []

        async def fail_once(route: Route) -> None:
            keys.append(route.request.headers["idempotency-key"])
            await (route.abort() if len(keys) == 1 else route.continue_())

        await world.page.route("**/api/v1/turns", fail_once)
        await (await world.ask("Twice sent")).end("Once answered.")
        await world.ended()

        assert len(keys) == 2
        assert keys[0] == keys[1]


@pytest.mark.long
async def test_a_start_without_a_network_can_be_given_up_and_edited() -> None:
    async with chat_page() as world:
        world.watch.expect("ERR_INTERNET_DISCONNECTED|net::ERR")
        await world.context.set_offline(offline=True)
        await world.page.fill("#box", "Into the void")
        await world.page.press("#box", "Enter")
        await world.answer.get_by_text("Waiting for the network").wait_for()
        await world.page.keyboard.press("Escape")
        await world.answer.get_by_text("You are offline").wait_for()
        await world.answer.get_by_role("button", name="Edit").click()

        assert await world.page.input_value("#box") == "Into the void"
        await world.page.locator(".welcome").wait_for()
        await world.context.set_offline(offline=False)
        await world.page.press("#box", "Enter")
        await (await world.model.asked()).end("Not void.")
        await world.ended()
        assert len(await world.stored()) == 2


@pytest.mark.long
async def test_going_offline_and_back_loses_nothing() -> None:
    async with chat_page() as world:
        world.watch.expect("ERR_INTERNET_DISCONNECTED|net::ERR")
        telling = await world.ask("Through a tunnel")
        await telling.say("Before. ")
        await world.answer.get_by_text("Before.").wait_for()

        await world.context.set_offline(offline=True)
        await world.page.locator('#link[data-link="offline"]').wait_for()
        await telling.say("During. ")
        await world.context.set_offline(offline=False)
        await telling.end("After.")
        await world.ended()

        assert await world.answer.locator(".prose").inner_text() == "Before. During. After."


@pytest.mark.long
async def test_two_tabs_agree_word_for_word() -> None:
    async with chat_page() as world:
        telling = await world.ask("For both")
        await telling.say("Shared ")
        await world.answer.get_by_text("Shared").wait_for()
        other = await world.context.new_page()
        await other.goto(world.page.url)
        await other.locator(".prose").get_by_text("Shared").wait_for()

        await telling.end("words.")
        for page in (world.page, other):
            await page.locator('.answer[data-status="completed"]').wait_for()
            assert await page.locator(".prose").inner_text() == "Shared words."

        # A turn begun in one tab shows up in the other by itself.
        telling = await world.ask("And again")
        await other.locator(".bubble").get_by_text("And again").wait_for()
        await telling.end("Also shared.")
        await other.locator(".prose").get_by_text("Also shared.").wait_for()
        assert await other.locator(".answer").count() == 2


@pytest.mark.long
async def test_a_second_message_meanwhile_comes_back_into_the_box() -> None:
    async with chat_page() as world:
        world.watch.expect("409")
        await (await world.ask("Warm up")).end("Ready.")
        await world.ended()
        other = await world.context.new_page()
        await other.goto(world.page.url)
        await other.locator(".prose").get_by_text("Ready.").wait_for()
        # This tab does not hear of the other's turn, as when it is another device.
        await other.evaluate("BroadcastChannel.prototype.postMessage = () => {}")
        await other.fill("#box", "From elsewhere")
        await other.press("#box", "Enter")
        telling = await world.model.asked()

        await world.page.fill("#box", "My own")
        await world.page.press("#box", "Enter")
        await world.page.locator("#notice").get_by_text("still being written").wait_for()

        assert await world.page.input_value("#box") == "My own"
        await world.page.locator(".bubble").get_by_text("From elsewhere").wait_for()
        await telling.end("Seen in both.")
        await world.page.locator(".prose").get_by_text("Seen in both.").wait_for()


@pytest.mark.long
async def test_a_refused_start_says_what_to_do_and_can_be_repeated() -> None:
    async with chat_page() as world:
        world.watch.expect("Failed to load resource")

        async def refuse(route: Route) -> None:
            await route.fulfill(
                status=503,
                headers={"Retry-After": "1"},
                content_type="application/problem+json",
                body=json.dumps({"status": 503, "code": "refused", "title": "No"}),
            )

        await world.page.route("**/api/v1/turns", refuse, times=1)
        await world.page.fill("#box", "Hello")
        await world.page.press("#box", "Enter")
        await world.answer.locator(".note").get_by_text("not available right now").wait_for()
        again = world.answer.get_by_role("button", name="Try again", exact=True).first
        await again.click()
        await (await world.model.asked()).end("Hello back.")
        await world.answer.get_by_text("Hello back.").wait_for()


@pytest.mark.long
async def test_a_message_that_is_refused_comes_back_with_the_reason() -> None:
    async with chat_page(max_message_chars=20) as world:
        world.watch.expect("Failed to load resource")
        await world.page.fill("#box", "This is more than twenty characters")
        await world.page.press("#box", "Enter")
        await world.page.locator("#notice:visible").wait_for()

        assert await world.page.input_value("#box") == "This is more than twenty characters"
        assert await world.page.locator(".bubble").count() == 0


@pytest.mark.long
async def test_without_streaming_the_answer_comes_whole() -> None:
    async with chat_page(default_streaming_percentage=0) as world:
        telling = await world.ask("All at once")
        await telling.say("The whole ")
        await world.answer.get_by_text("Writing the whole answer").wait_for()
        await world.page.reload()
        await world.page.locator(".answer .waiting").wait_for()
        await telling.end("answer.")
        await world.ended()

        assert await world.answer.locator(".prose").inner_text() == "The whole answer."


@pytest.mark.long
async def test_a_whole_answer_that_another_worker_goes_on_with_is_waited_for() -> None:
    async with chat_page(default_streaming_percentage=0) as world:

        async def answer_as_a_worker_that_leaves(route: Route) -> None:
            url, headers = route.request.url, await route.request.all_headers()
            body = route.request.post_data_buffer
            async with (
                httpx.AsyncClient(headers=headers) as http,
                http.stream("POST", url, content=body) as begun,
            ):
                told = {name: begun.headers[name] for name in ("X-Turn-ID", "X-Streaming")}
                state = await http.get(f"{url}/{told['X-Turn-ID']}")
            assert state.json()["status"] == "running"
            await route.fulfill(headers=told, json=state.json())

        await world.page.route("**/api/v1/turns", answer_as_a_worker_that_leaves, times=1)
        telling = await world.ask("All of it")
        await telling.say("All ")
        await world.answer.get_by_text("Writing the whole answer").wait_for()
        await telling.end("of it.")
        await world.ended()

        assert await world.answer.locator(".prose").inner_text() == "All of it."


@pytest.mark.long
async def test_a_conversation_deleted_in_another_tab_is_left() -> None:
    async with chat_page() as world:
        await (await world.ask("Short-lived")).end("Yes.")
        await world.ended()
        other = await world.context.new_page()
        await other.goto(world.page.url)
        await other.locator("#conversations li").first.hover()
        await other.get_by_role("button", name="Delete “Short-lived”").click()
        await other.get_by_role("dialog").get_by_role("button", name="Delete").click()

        await world.page.locator(".welcome").wait_for()
        await until(world.page, "document.querySelectorAll('#conversations li').length === 0")
