"""The chat page and who uses it: registering, signing in and out, and what ends in between."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time

import anyio
import httpx
import pytest
from playwright.async_api import Locator, Page, Request, Route
from playwright.async_api import Response as PageResponse

from tests.e2e.conftest import World, chat_page
from tests.support.browser import PHONE, ContextOptions, until
from tests.support.front import cookie
from tests.support.oidc_provider import running_provider
from tests.support.server import client_of

pytestmark = pytest.mark.services

EMAIL = "ada@example.com"
PASSWORD = "nine small boats at dawn"  # noqa: S105  # made up for tests
NEXT_PASSWORD = "ten large ships at noon"  # noqa: S105
WRONG = "not this one"
SHORT = "short"
COMMON = "password123"
SPENT = 86_400
SLEPT = """() => localStorage.setItem("chatstream.sign-in",
  JSON.stringify({renewedAt: 1, dueAt: Date.now() + 1e9}))"""
"""Puts the next renewal by the clock far off."""


def dialog_of(page: Page) -> Locator:
    return page.get_by_role("dialog")


async def fill_in(page: Page, **fields: str) -> None:
    """Fill in the fields of the open dialog by their names, and send it."""
    for name, text in fields.items():
        await dialog_of(page).locator(f'[name="{name}"]').fill(text)
    await dialog_of(page).locator('[type="submit"]').click()


async def register(page: Page, *, email: str = EMAIL, name: str = "Ada") -> None:
    await page.get_by_role("button", name="Create account").click()
    await fill_in(page, email=email, name=name, password=PASSWORD)
    await page.get_by_role("button", name=name, exact=True).wait_for()


async def sign_in(page: Page) -> None:
    await fill_in(page, email=EMAIL, password=PASSWORD)
    await dialog_of(page).wait_for(state="detached")


async def choose(page: Page, item: str) -> None:
    await page.locator("#account [aria-haspopup]").click()
    await page.get_by_role("menuitem", name=item, exact=True).click()


async def sign_out(page: Page) -> None:
    await choose(page, "Sign out")
    await page.get_by_role("button", name="Sign in", exact=True).wait_for()


def listed(page: Page) -> Locator:
    return page.locator("#conversations li")


@asynccontextmanager
async def elsewhere(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """Sign in to the same account on another device."""
    async with client_of(world.server.port) as client:
        proof = {"email": EMAIL, "password": PASSWORD}
        answer = await client.post("/api/v1/auth/login", json=proof)
        assert answer.status_code == 200, answer.text
        client.cookies.clear()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


async def end_the_others(device: httpx.AsyncClient) -> None:
    for session in (await device.get("/api/v1/auth/sessions")).json()["sessions"]:
        if not session["is_this"]:
            ended = await device.delete(f"/api/v1/auth/sessions/{session['session_id']}")
            assert ended.status_code == 204, ended.text


async def test_who_registers_as_a_guest_keeps_everything_and_a_running_answer_goes_on() -> None:
    async with chat_page() as world:
        telling = await world.ask("Before I am known")
        await telling.say("One, ")
        await world.answer.get_by_text("One,").wait_for()

        await register(world.page)
        await telling.say("two, ")
        await world.answer.get_by_text("One, two,").wait_for()
        await telling.end("three.")
        await world.ended()

        assert await world.answer.locator(".prose").inner_text() == "One, two, three."
        assert await listed(world.page).count() == 1
        await world.page.reload()
        await world.page.get_by_role("button", name="Ada", exact=True).wait_for()
        await world.answer.get_by_text("One, two, three.").wait_for()
        assert (await world.stored())[0]["text"] == "Before I am known"


@pytest.mark.long
async def test_signing_out_and_in_puts_away_and_brings_back_what_is_theirs() -> None:
    async with chat_page() as world:
        world.watch.expect("401")
        await register(world.page)
        await (await world.ask("Mine alone")).end("Yours alone.")
        await world.ended()
        await world.page.fill("#box", "not sent yet")

        await sign_out(world.page)
        await world.page.locator(".welcome").wait_for()
        await until(world.page, "document.querySelectorAll('#conversations li').length === 0")
        assert await world.page.input_value("#box") == ""
        assert await world.page.locator(".bubble").count() == 0

        await world.page.get_by_role("button", name="Sign in", exact=True).click()
        await fill_in(world.page, email=EMAIL, password=WRONG)
        await (
            dialog_of(world.page).get_by_text("e-mail address or the password is wrong").wait_for()
        )
        await sign_in(world.page)
        await listed(world.page).get_by_text("Mine alone").click()
        await world.answer.get_by_text("Yours alone.").wait_for()


@pytest.mark.long
async def test_a_token_that_ends_in_mid_answer_is_renewed_and_no_word_is_lost() -> None:
    async with chat_page(access_token_s=2) as world:
        world.watch.expect("401|net::ERR|EventSource")
        await register(world.page)
        renewals: list[Request] = []
        world.context.on(
            "request",
            lambda request: renewals.append(request) if request.url.endswith("/refresh") else None,
        )
        # Nobody renews it in time, as in a tab that slept.
        await world.page.evaluate(SLEPT)
        await world.page.reload()
        telling = await world.ask("Through an ending token")
        words = [f"word{number} " for number in range(20)]
        for word in words[:10]:
            await telling.say(word)
        await world.answer.get_by_text("word9").wait_for()
        await token_has_ended(world)

        world.cable.cut()
        for word in words[10:]:
            await telling.say(word)
        await telling.end()
        await world.ended()

        assert await world.answer.locator(".prose").inner_text() == "".join(words).strip()
        assert len(renewals) == 1


async def token_has_ended(world: World) -> None:
    """Wait until the server no longer takes the page's access token; nothing is renewed by that."""
    cookies = {cookie["name"]: cookie["value"] for cookie in await world.context.cookies()}
    name = cookie("chat_access")
    async with client_of(world.server.port) as client:
        client.cookies.set(name, cookies[name])
        deadline = time() + 15
        while (await client.get("/api/v1/auth/me")).status_code != 401:
            assert time() < deadline


@pytest.mark.long
async def test_an_ended_token_is_renewed_once_for_all_calls_of_all_tabs() -> None:
    async with chat_page(access_token_s=6) as world:
        world.watch.expect("401")
        await register(world.page)
        other = await world.context.new_page()
        await other.goto(world.url)
        await other.get_by_role("button", name="Ada", exact=True).wait_for()
        refused: list[str] = []
        renewals: list[int] = []

        def count(answer: PageResponse) -> None:
            if answer.status == 401:
                refused.append(answer.url)
            elif answer.url.endswith("/refresh"):
                renewals.append(answer.status)

        for page in (world.page, other):  # nobody renews it in time, as when the machine slept
            await page.evaluate(SLEPT)
        await token_has_ended(world)
        world.context.on("response", count)
        call = """async () => (await Promise.all([1, 2, 3].map(
          async () => (await import("/assets/api.js")).conversations(null, 5)))).length"""
        async with anyio.create_task_group() as tasks:
            for page in (world.page, other):
                tasks.start_soon(page.evaluate, call)

        assert len(refused) >= 2
        assert renewals == [200]


@pytest.mark.long
async def test_a_session_ended_elsewhere_is_told_and_signing_in_shows_the_rest() -> None:
    async with chat_page() as world:
        world.watch.expect("401|EventSource")
        attached: list[str] = []
        world.context.on(
            "request",
            lambda request: attached.append(request.url) if "/events" in request.url else None,
        )
        await register(world.page)
        telling = await world.ask("A long one")
        await telling.say("Seen. ")
        await world.answer.get_by_text("Seen.").wait_for()
        await world.page.fill("#box", "my next question")

        async with elsewhere(world) as device:
            await end_the_others(device)
        await world.page.locator("#notice").get_by_text("Your sign-in has ended").wait_for()
        await world.answer.get_by_text("Seen.").wait_for()
        await world.page.press("#box", "Enter")
        count = len(attached)
        await telling.end("Not seen yet.")

        assert await world.page.input_value("#box") == "my next question"
        await world.page.locator("#notice").get_by_role("button", name="Sign in").click()
        assert await dialog_of(world.page).locator('[name="email"]').input_value() == EMAIL
        await sign_in(world.page)
        await world.answer.get_by_text("Seen. Not seen yet.").wait_for()
        assert await world.page.input_value("#box") == "my next question"
        assert count <= 3, attached


@pytest.mark.long
async def test_who_comes_back_after_their_session_ended_may_go_on_as_a_guest() -> None:
    async with chat_page() as world:
        world.watch.expect("401")
        await register(world.page)
        async with elsewhere(world) as device:
            await end_the_others(device)
        await world.page.reload()

        await dialog_of(world.page).get_by_text("Your sign-in has ended").wait_for()
        await dialog_of(world.page).get_by_role("button", name="Go on without").click()
        await (await world.ask("As a guest")).end("Welcome.")
        await world.ended()
        assert await world.page.locator("#notice").is_hidden()


@pytest.mark.long
async def test_a_limit_keeps_the_message_in_the_box_until_it_can_be_sent() -> None:
    async with chat_page(rate_limit_enabled=True, rate_limit_messages="1/4") as world:
        world.watch.expect("429")
        await (await world.ask("First")).end("One.")
        await world.ended()
        await world.page.fill("#box", "Too soon")
        await world.page.press("#box", "Enter")

        pause = world.page.locator("#send-pause")
        await pause.get_by_text(re.compile(r"You can send again in [1-9] s\.")).wait_for()
        assert await world.page.input_value("#box") == "Too soon"
        assert await world.page.locator(".bubble").count() == 1
        assert await world.page.locator("#send").is_disabled()
        await world.page.press("#box", "Enter")
        await pause.wait_for(state="hidden")
        await world.page.press("#box", "Enter")
        await (await world.model.asked()).end("Two.")
        await world.ended()
        assert [message["text"] for message in await world.stored()][2] == "Too soon"


@pytest.mark.long
async def test_a_spent_budget_says_until_when() -> None:
    async with chat_page() as world:
        world.watch.expect("429")

        async def refuse(route: Route) -> None:
            problem = {"status": 429, "code": "token_budget_spent", "title": "Spent"}
            await route.fulfill(status=429, headers={"Retry-After": str(SPENT)}, json=problem)

        await world.page.route("**/api/v1/turns", refuse)
        await world.page.fill("#box", "One more")
        await world.page.press("#box", "Enter")
        await (
            world.page.locator("#send-pause")
            .get_by_text(
                re.compile(
                    r"your share of text for today.*You can send again at \d\d:\d\d.* tomorrow"
                )
            )
            .wait_for()
        )
        assert await world.page.input_value("#box") == "One more"


@pytest.mark.long
async def test_a_reader_too_many_waits_and_goes_on_when_there_is_room() -> None:
    async with chat_page(rate_limit_enabled=True, readers_per_turn=1) as world:
        telling = await world.ask("For one at a time")
        await telling.say("Only ")
        await world.answer.get_by_text("Only").wait_for()
        other = await world.context.new_page()
        await other.goto(world.page.url)
        await other.locator('#link[data-link="waiting"]').wait_for()

        await world.page.close()
        await other.locator(".prose").get_by_text("Only").wait_for()
        await telling.end("once.")
        await other.locator('.answer[data-status="completed"]').wait_for()
        assert await other.locator(".prose").inner_text() == "Only once."


@pytest.mark.long
async def test_without_guests_the_page_asks_first_and_then_shows_the_address() -> None:
    async with chat_page(allow_guests=False) as world:
        world.watch.expect("401")
        page = world.page
        await dialog_of(page).get_by_role("button", name="Create one").click()
        await fill_in(page, email=EMAIL, name="Ada", password=PASSWORD)
        await dialog_of(page).wait_for(state="detached")
        await (await world.ask("Behind the door")).end("Inside.")
        await world.ended()
        address = page.url

        await choose(page, "Sign out")
        await dialog_of(page).wait_for()
        assert await page.locator(".bubble").count() == 0
        await page.goto("about:blank")
        await page.goto(address)
        await dialog_of(page).wait_for()
        await page.keyboard.press("Escape")
        await page.keyboard.press("Escape")
        assert await dialog_of(page).is_visible()
        await sign_in(page)
        await world.answer.get_by_text("Inside.").wait_for()


@pytest.mark.long
async def test_tabs_agree_who_is_signed_in() -> None:
    async with chat_page() as world:
        await (await world.ask("Shared")).end("By both.")
        await world.ended()
        other = await world.context.new_page()
        await other.goto(world.page.url)
        await other.locator(".prose").get_by_text("By both.").wait_for()

        await register(world.page)
        await other.get_by_role("button", name="Ada", exact=True).wait_for()
        assert await other.locator(".bubble").count() == 1

        await sign_out(other)
        await world.page.get_by_role("button", name="Sign in", exact=True).wait_for()
        await world.page.locator(".welcome").wait_for()
        assert await world.page.locator(".bubble").count() == 0


@pytest.mark.long
async def test_a_provider_that_lets_nobody_in_leads_back_with_words() -> None:
    async with chat_page() as world:
        for code, words in (
            ("email_in_use", "already. Sign in to it with its password."),
            ("<script>", "That sign-in did not work"),
            ("constructor", "That sign-in did not work"),
        ):
            await world.page.goto(f"{world.url}/?sign_in_error={code}#/")
            await world.page.locator("#notice").get_by_text(words).wait_for()
            assert world.page.url == f"{world.url}/#/"
        await world.page.locator("#notice").get_by_role("button", name="Sign in").click()
        await dialog_of(world.page).wait_for()


@pytest.mark.long
async def test_a_guest_who_signs_in_with_a_provider_comes_back_to_their_conversation() -> None:
    async with (
        running_provider() as provider,
        chat_page(None, **provider.settings, oidc_name="Example ID") as world,
    ):
        provider.is_user("ada", EMAIL, name="Ada")
        await (await world.ask("Before the detour")).end("Kept.")
        await world.ended()
        other = await world.context.new_page()
        await other.goto(world.url)
        await other.get_by_role("button", name="Sign in", exact=True).wait_for()

        async def detour(route: Route) -> None:
            away = await route.fetch(max_redirects=0)
            query = provider.authorize(away.headers["location"])
            callback = f"{world.url}/api/v1/auth/oidc/callback?{query}"
            await route.fulfill(status=302, headers={"Location": callback})

        await world.page.route("**/api/v1/auth/oidc/login**", detour)
        await world.page.get_by_role("button", name="Sign in", exact=True).click()
        await world.page.get_by_role("link", name="Sign in with Example ID").click()

        await world.page.get_by_role("button", name="Ada", exact=True).wait_for()
        await world.answer.get_by_text("Kept.").wait_for()
        await other.get_by_role("button", name="Ada", exact=True).wait_for()
        await world.page.locator("#account [aria-haspopup]").click()
        assert await world.page.get_by_role("menuitem", name="Change password").count() == 0


@pytest.mark.long
async def test_what_people_call_themselves_is_text() -> None:
    async with chat_page() as world:
        name = "<img src=x onerror=alert(1)>"
        await register(world.page, name=name)
        await world.page.reload()
        await world.page.get_by_role("button", name=name, exact=True).wait_for()
        assert await world.page.locator("#account img").count() == 0


@pytest.mark.long
async def test_faults_stand_beside_their_fields() -> None:
    async with chat_page() as world:
        world.watch.expect("422|409")
        page = world.page
        await page.get_by_role("button", name="Create account").click()
        await fill_in(page, email="nobody", password=SHORT)
        email = dialog_of(page).locator(".field", has=page.locator('[name="email"]'))
        password = dialog_of(page).locator(".field", has=page.locator('[name="password"]'))
        await email.get_by_text("not an e-mail address").wait_for()
        await password.get_by_text("Use at least 8 characters").wait_for()
        await fill_in(page, email=EMAIL, password=COMMON)
        await password.locator(".field-fault:visible").wait_for()
        assert (
            await dialog_of(page)
            .locator('[name="password"]')
            .evaluate("input => input === document.activeElement && input.ariaInvalid === 'true'")
        )
        await password.get_by_role("button", name="Show").click()
        assert await dialog_of(page).locator('[name="password"]').get_attribute("type") == "text"


@pytest.mark.long
async def test_the_password_can_be_changed_and_other_devices_are_signed_out() -> None:
    async with chat_page() as world:
        world.watch.expect("403|401")
        await register(world.page)
        async with elsewhere(world) as device:
            await choose(world.page, "Change password")
            await fill_in(world.page, current_password=WRONG, new_password=NEXT_PASSWORD)
            await dialog_of(world.page).get_by_text("This is not your password").wait_for()
            await fill_in(world.page, current_password=PASSWORD, new_password=NEXT_PASSWORD)
            await world.page.locator("#notice").get_by_text("Your password is changed").wait_for()
            assert (await device.get("/api/v1/auth/me")).status_code == 401
        await (await world.ask("Still here")).end("Yes.")
        await world.ended()


@pytest.mark.long
async def test_devices_are_listed_and_ended() -> None:
    async with chat_page() as world:
        await register(world.page)
        async with elsewhere(world) as device:
            await choose(world.page, "Your devices")
            rows = dialog_of(world.page).locator(".rows li")
            await rows.get_by_text("This one").wait_for()
            assert await rows.count() == 2
            await rows.get_by_role("button", name="Sign out").click()
            await until(world.page, "document.querySelectorAll('.rows li').length === 1")
            assert (await device.get("/api/v1/auth/me")).status_code == 401
        await world.page.keyboard.press("Escape")
        await dialog_of(world.page).wait_for(state="detached")


@pytest.mark.long
async def test_a_key_is_shown_once_works_and_is_revoked() -> None:
    async with chat_page({"permissions": ["clipboard-read", "clipboard-write"]}) as world:
        await register(world.page)
        await choose(world.page, "API keys")
        dialog = dialog_of(world.page)
        await dialog.get_by_text("You have no keys").wait_for()
        await dialog.get_by_text("New key").click()
        await fill_in(world.page, name="nightly report")
        await dialog.get_by_role("button", name="Copy").click()
        key = await world.page.evaluate("navigator.clipboard.readText()")
        async with client_of(world.server.port) as program:
            program.headers["Authorization"] = f"Bearer {key}"
            assert (await program.get("/api/v1/conversations")).status_code == 200
            await dialog.get_by_role("button", name="Revoke").click()
            await dialog.get_by_text("Revoked").wait_for()
            assert (await program.get("/api/v1/conversations")).status_code == 401
        await world.page.keyboard.press("Escape")
        await choose(world.page, "API keys")
        await dialog_of(world.page).locator(".rows").get_by_text("nightly report").wait_for()
        assert key not in await world.page.content()


@pytest.mark.long
@pytest.mark.parametrize("screen", [None, PHONE])
async def test_the_menu_works_from_the_keyboard_at_any_width(screen: ContextOptions | None) -> None:
    options: ContextOptions = {"viewport": PHONE} if screen else {}
    async with chat_page(options) as world:
        page = world.page
        if screen:
            await page.get_by_role("button", name="Open the conversations").click()
        await register(page)
        button = page.locator("#account [aria-haspopup]")
        await button.focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("End")
        focused = "document.activeElement.textContent"
        assert await page.evaluate(focused) == "Sign out everywhere"
        await page.keyboard.press("ArrowDown")
        assert await page.evaluate(focused) == "Change password"
        await page.keyboard.press("Escape")
        assert await button.get_attribute("aria-expanded") == "false"
        assert await button.evaluate("button => button === document.activeElement")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")
        await dialog_of(page).wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        box = await dialog_of(page).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= (PHONE["width"] if screen else 1280)
        await page.keyboard.press("Escape")
        assert await button.evaluate("button => button === document.activeElement")


@pytest.mark.long
async def test_an_account_is_deleted_with_all_that_is_in_it() -> None:
    async with chat_page() as world:
        world.watch.expect("401")
        await register(world.page)
        await (await world.ask("Forget me")).end("I will.")
        await world.ended()
        await choose(world.page, "Delete account")
        await fill_in(world.page, password=PASSWORD)
        await world.page.get_by_role("button", name="Sign in", exact=True).wait_for()
        assert await world.page.locator(".bubble").count() == 0
        await world.page.get_by_role("button", name="Sign in", exact=True).click()
        await fill_in(world.page, email=EMAIL, password=PASSWORD)
        await dialog_of(world.page).get_by_text("is wrong").wait_for()
