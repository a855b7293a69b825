"""Users and the audit log on the operators' page, in a real browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from playwright.async_api import Page

from tests.e2e.conftest import World, chat_page
from tests.e2e.operators import token_of
from tests.e2e.test_admin_page import LOST_REFERENCES, NAMELESS, OVERFLOW, REPEATED_IDS
from tests.support.browser import PHONE, ContextOptions
from tests.support.front import cookie
from tests.support.server import client_of

pytestmark = [pytest.mark.services, pytest.mark.long]

USERS = "/api/v1/users"
PASSWORD = "correct horse battery"  # noqa: S105 - made up for the tests


@asynccontextmanager
async def admins_page(
    options: ContextOptions | None = None, **settings: object
) -> AsyncIterator[tuple[World, Page, httpx.AsyncClient]]:
    """Open the operators' page as an admin, beside an operator with the token and a user."""
    settings = {"rate_limit_enabled": "false", **settings}
    async with chat_page(options, **settings) as world, client_of(world.server.port) as operator:
        operator.headers["Authorization"] = f"Bearer {token_of(world.server.data_dir)}"
        for name, role in (("root", "admin"), ("ann", "user")):
            body = {"email": f"{name}@example.com", "role": role, "name": f"<b>{name}</b>"}
            body |= {"password": PASSWORD, "reason": "a test"}
            assert (await operator.post(USERS, json=body)).status_code == 201
        page = await world.context.new_page()
        await page.goto(f"{world.url}/admin")
        await sign_in(page, "root@example.com")
        await page.locator('#link[data-link="live"]').wait_for()
        yield world, page, operator


async def sign_in(page: Page, email: str) -> None:
    """Fill in the form and send it."""
    await page.locator("#email").fill(email)
    await page.locator("#password").fill(PASSWORD)
    await page.keyboard.press("Enter")


async def access_token(page: Page) -> str:
    """Return the token in the browser's cookie."""
    cookies = await page.context.cookies()
    return next(each["value"] for each in cookies if each["name"] == cookie("chat_access"))


async def is_renewed(page: Page) -> None:
    """Wait until the page has got another access token."""
    before = await access_token(page)
    with anyio.fail_after(10):
        while await access_token(page) == before:  # noqa: ASYNC110 - the page cannot set our event
            await anyio.sleep(0.05)


async def act(page: Page, email: str, action: str, reason: str) -> None:
    """Do something about a user, and say why."""
    user = page.locator(".user", has_text=email)
    if await user.get_attribute("open") is None:
        await user.locator("summary").click()
    await user.get_by_role("button", name=action, exact=True).click()
    await page.get_by_label("Reason").fill(reason)
    await page.get_by_role("dialog").locator("button[type=submit]").click()
    await page.get_by_role("dialog").wait_for(state="detached")


async def test_who_is_no_operator_is_told_so_and_an_admin_comes_in_without_the_token() -> None:
    async with admins_page() as (world, page, _operator):
        world.watch.expect("status of 401")
        assert await page.locator("#who").inner_text() == "<b>root</b>"
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await page.locator("#email").wait_for()
        assert await page.locator(".user").count() == 0

        await sign_in(page, "ann@example.com")
        await page.locator("#notice", has_text="ann@example.com, who is no operator").wait_for()
        await sign_in(page, "nobody@example.com")
        await page.locator("#account-fault", has_text="do not fit").wait_for()
        await sign_in(page, "root@example.com")
        await page.locator("#desk").wait_for()


async def test_a_user_is_found_changed_and_shut_out_and_the_log_says_why() -> None:
    async with admins_page() as (_, page, operator):
        await page.locator("#users-search").fill("ANN@")
        await page.locator(".user", has_text="root@").wait_for(state="detached")
        await act(page, "ann@", "Make an admin", "on call")
        await page.locator(".user", has_text="ann@").locator(".pill", has_text="Admin").wait_for()
        await act(page, "ann@", "Disable", "left")
        await page.locator(".user", has_text="ann@").locator(".pill", has_text="Dis").wait_for()
        await page.locator(".user summary").click()
        await page.locator(".user").get_by_role("button", name="What was done").click()
        await page.locator("#audit-title", has_text="ann@example.com").wait_for()
        reasons = page.locator("#audit .why")
        await reasons.nth(2).wait_for()

        assert await reasons.all_inner_texts() == ["left", "on call", "a test"]
        (ann,) = (await operator.get(USERS, params={"search": "ann@"})).json()["users"]
        assert (ann["role"], ann["is_disabled"]) == ("admin", True)


async def test_a_new_user_is_made_and_a_refusal_is_told_in_the_dialog() -> None:
    async with admins_page() as (world, page, _operator):
        world.watch.expect("status of 409")
        await page.get_by_role("button", name="New user").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Address").fill("ann@example.com")
        await dialog.get_by_label("Reason").fill("new")
        await dialog.locator("button[type=submit]").click()
        await dialog.locator(".fault", has_text="account with this address").wait_for()
        await dialog.get_by_label("Address").fill("new@example.com")
        await dialog.locator("button[type=submit]").click()
        await page.locator(".user", has_text="new@example.com").wait_for()


async def test_the_page_closes_when_the_session_ends_and_stays_open_past_its_access_token() -> None:
    async with admins_page(access_token_s=2) as (_, page, operator):
        for search in ("ann", "root"):
            await is_renewed(page)
            await page.locator("#users-search").fill(search)
            await page.locator(".user", has_text=f"{search}@").wait_for()
        (root,) = (await operator.get(USERS, params={"search": "root@"})).json()["users"]

        path = f"{USERS}/{root['user_id']}/sessions"
        await operator.delete(path, params={"reason": "a lost laptop"})

        await page.locator("#email").wait_for()
        await page.locator("#notice", has_text="ended").wait_for()
        assert not await page.locator("#desk").is_visible()


@pytest.mark.parametrize("options", [{}, {"viewport": PHONE}], ids=["desk", "phone"])
async def test_everything_has_a_name_and_fits(options: ContextOptions) -> None:
    async with admins_page(options) as (_, page, _operator):
        await page.locator(".user summary").first.click()
        await page.locator(".devices li").first.wait_for()

        assert await page.evaluate(OVERFLOW) == 0
        assert await page.evaluate(NAMELESS) == []
        assert await page.evaluate(REPEATED_IDS) == []
        assert await page.evaluate(LOST_REFERENCES) == []
        assert await page.locator("#desk b").filter(has_text="root").count() == 0
