"""The operators' page in a real browser: sign in, watch, kill, lead a rollout."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from playwright.async_api import Locator, Page

from tests.e2e.conftest import World, chat_page
from tests.e2e.operators import token_of
from tests.support.browser import PHONE, ContextOptions, until

pytestmark = pytest.mark.services

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
NAMELESS = """() => [...document.querySelectorAll('button, input, select, textarea, a, summary')]
  .filter((each) => each.checkVisibility())
  .filter((each) => !(each.textContent.trim() || each.getAttribute('aria-label') ||
    each.labels?.length)).map((each) => each.outerHTML)"""
REPEATED_IDS = """() => { const ids = [...document.querySelectorAll('[id]')].map(({id}) => id);
  return ids.filter((id, index) => ids.indexOf(id) !== index); }"""
LOST_REFERENCES = """() => [...document.querySelectorAll('[aria-labelledby], [aria-describedby]')]
  .flatMap((each) => [each.getAttribute('aria-labelledby'), each.getAttribute('aria-describedby')])
  .filter((id) => id && !document.getElementById(id))"""


@asynccontextmanager
async def operators_page(
    options: ContextOptions | None = None, **settings: object
) -> AsyncIterator[tuple[World, Page]]:
    """Open the chat page, and beside it the operators' page as somebody who has signed in."""
    async with chat_page(options, **settings) as world:
        page = await world.context.new_page()
        await page.goto(f"{world.url}/admin")
        await sign_in(page, token_of(world.server.data_dir))
        await page.locator("#desk").wait_for()
        await page.locator('#link[data-link="live"]').wait_for()
        yield world, page


async def sign_in(page: Page, token: str) -> None:
    """Fill in the form and send it."""
    await page.locator("#token").fill(token)
    await page.keyboard.press("Enter")


async def act(page: Page, button: str, reason: str) -> Locator:
    """Press a button and say why; return the dialog, which may stay open."""
    await page.locator("#rollout").get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill(reason)
    await dialog.locator("button[type=submit]").click()
    return dialog


async def is_at(page: Page, state: str, percentage: str) -> None:
    """Wait until the rollout is shown so."""
    await page.locator("#rollout .pill", has_text=state).wait_for()
    await page.locator("#rollout .share-figure", has_text=percentage).wait_for()


def figure(page: Page, name: str) -> Locator:
    """Return a figure of the moment."""
    tile = page.locator(".tile").filter(has=page.get_by_role("heading", name=name))
    return tile.locator(".figure")


async def becomes(place: Locator, text: str) -> None:
    """Wait until something reads so."""
    with anyio.fail_after(10):
        while await place.inner_text() != text:  # noqa: ASYNC110 - the page cannot set our event
            await anyio.sleep(0.02)


@pytest.mark.long
async def test_a_kill_takes_a_reason_and_both_are_told_in_the_history() -> None:
    async with operators_page() as (world, page):
        await is_at(page, "No rollout", "100 %")
        await becomes(figure(page, "Active turns"), "0")
        telling = await world.ask("Are you there?")
        await telling.say("Yes")
        await becomes(figure(page, "Active turns"), "1")
        await telling.end(".")
        await becomes(figure(page, "Active turns"), "0")

        dialog = await act(page, "Kill…", "   ")
        await dialog.get_by_text("Say why").wait_for()
        await dialog.get_by_role("button", name="Cancel").click()
        await act(page, "Kill…", "The provider is down")
        await is_at(page, "Killed", "0 %")
        newest = page.locator(".log li").first
        await newest.get_by_text("The provider is down").wait_for()

        await act(page, "End the kill…", "It is back")
        await is_at(page, "No rollout", "0 %")
        await newest.get_by_text("It is back").wait_for()


@pytest.mark.long
async def test_the_token_signs_in_a_wrong_one_is_told_and_signing_out_holds() -> None:
    async with chat_page() as world:
        world.watch.expect("401")
        page = await world.context.new_page()
        await page.goto(f"{world.url}/admin")
        await until(page, "document.activeElement.id === 'email'")
        await sign_in(page, "not the token")
        await page.get_by_text("This is not the operators' token").wait_for()
        assert await page.locator("#desk").is_hidden()

        await sign_in(page, token_of(world.server.data_dir))
        await page.locator(".tile").first.wait_for()
        await page.reload()
        await page.locator(".tile").first.wait_for()
        assert await page.evaluate("document.cookie") == ""

        await page.get_by_role("button", name="Sign out").click()
        await page.locator("#token").wait_for()
        await page.reload()
        await page.locator("#token").wait_for()
        assert await page.locator("#desk").is_hidden()


@pytest.mark.long
async def test_a_rollout_is_started_paused_resumed_and_killed_from_the_page() -> None:
    async with operators_page(default_streaming_percentage=0) as (_, page):
        await is_at(page, "No rollout", "0 %")
        await page.locator("#rollout").get_by_role("button", name="Start a rollout…").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_text("Stages and times").click()
        await dialog.get_by_label("Stages, in per cent").fill("5, 20 100")
        await dialog.get_by_label("Bake of each stage").fill("600")
        await dialog.get_by_label("Reason").fill("A first try")
        await dialog.get_by_role("button", name="Start").click()
        await is_at(page, "Running", "5 %")
        steps = page.locator(".track .step")
        assert await steps.locator("span:first-of-type").all_inner_texts() == [
            *("5 %", "20 %", "100 %", "Final bake"),
        ]
        assert await steps.nth(0).get_attribute("aria-current") == "step"
        await page.get_by_role("meter", name="For promoting").first.wait_for()
        await page.locator(".log li").first.get_by_text("A first try").wait_for()

        await act(page, "Pause…", "Lunch")
        await is_at(page, "Paused", "5 %")
        await act(page, "Resume…", "Back again")
        await is_at(page, "Running", "5 %")
        await act(page, "Kill…", "Enough")
        await is_at(page, "Killed", "0 %")
        told = await page.locator(".log li .why").all_inner_texts()
        assert told[:4] == ["Enough", "Back again", "Lunch", "A first try"]


@pytest.mark.long
async def test_what_somebody_else_changed_meanwhile_is_told_before_it_is_done_again() -> None:
    async with operators_page(default_streaming_percentage=10) as (world, page):
        world.watch.expect("412|422")
        await is_at(page, "No rollout", "10 %")
        await page.locator("#rollout").get_by_role("button", name="Kill…").click()
        token = {"Authorization": f"Bearer {token_of(world.server.data_dir)}"}
        body = {"feature": "streaming", "percentage": 30, "reason": "by script"}
        changed = await world.server.client.post(
            "/api/metrics/feature-flags/rollout", json=body, headers=token
        )
        assert changed.status_code == 200
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Reason").fill("Too slow")
        await dialog.get_by_role("button", name="Kill").click()
        await dialog.get_by_text("It was changed after you opened this").wait_for()
        await is_at(page, "No rollout", "30 %")
        await dialog.get_by_role("button", name="Kill").click()
        await is_at(page, "Killed", "0 %")

        await act(page, "End the kill…", "Over")
        await page.locator("#rollout").get_by_role("button", name="Start a rollout…").click()
        await dialog.get_by_text("Stages and times").click()
        await dialog.get_by_label("Stages, in per cent").fill("50, 20")
        await dialog.get_by_label("Reason").fill("In the wrong order")
        await dialog.get_by_role("button", name="Start").click()
        await dialog.get_by_text("The server did not accept it").wait_for()


@pytest.mark.long
async def test_a_server_that_is_gone_is_waited_for() -> None:
    async with operators_page() as (world, page):
        world.watch.expect("net::ERR|EventSource|Failed to load")
        world.cable.cut()
        port, world.cable.port = world.cable.port, 1
        await page.locator('#link[data-link="reconnecting"]').wait_for()
        world.cable.port = port
        await page.locator('#link[data-link="live"]').wait_for(timeout=20_000)


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_shows_all_of_it_without_scrolling_aside_and_everything_has_a_name(
    scheme: str,
) -> None:
    options: ContextOptions = {
        "viewport": PHONE,
        "has_touch": True,
        "is_mobile": True,
        "color_scheme": scheme,
    }
    async with operators_page(options) as (_, page):
        await is_at(page, "No rollout", "100 %")
        await page.get_by_role("button", name="6 hours").click()
        await page.locator("figure.chart summary").first.click()
        assert await page.evaluate(OVERFLOW) == 0
        await act(page, "Kill…", "On the way")
        await is_at(page, "Killed", "0 %")
        await page.locator("#rollout").get_by_role("button", name="End the kill…").click()

        assert await page.evaluate(OVERFLOW) == 0
        assert await page.evaluate(NAMELESS) == []
        assert await page.evaluate(REPEATED_IDS) == []
        assert await page.evaluate(LOST_REFERENCES) == []


@pytest.mark.long
async def test_everything_can_be_done_from_the_keyboard() -> None:
    async with operators_page() as (_, page):
        await is_at(page, "No rollout", "100 %")
        await page.locator('[data-action="kill"]').focus()
        await page.keyboard.press("Enter")
        await until(page, "document.activeElement.id === 'reason'")
        await page.keyboard.press("Escape")
        await page.get_by_role("dialog").wait_for(state="detached")
        await until(page, "document.activeElement.dataset.action === 'kill'")
        await page.keyboard.press("Enter")
        await until(page, "document.activeElement.id === 'reason'")
        await page.keyboard.type("By hand")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await is_at(page, "Killed", "0 %")
