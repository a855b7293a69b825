"""The API's description: as programs get it, and in a real browser, as people read it."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Page

from tests.support.browser import PHONE, ContextOptions, running_browser, watched_context
from tests.support.server import ROOT, Server, running_server

pytestmark = [pytest.mark.services, pytest.mark.long]

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OPEN_ALL = (
    "document.querySelectorAll('details:not([open])').forEach((each) => { each.open = true; })"
)


@asynccontextmanager
async def docs_page(
    data_dir: Path, options: ContextOptions | None = None
) -> AsyncIterator[tuple[Server, Page]]:
    """Open `/docs`; a complaint of the page's fails the test."""
    async with (
        running_server(data_dir) as server,
        running_browser() as browser,
        watched_context(browser, options) as (context, _),
    ):
        page = await context.new_page()
        await page.goto(f"{server.url}/docs")
        await page.locator(".operation").first.wait_for()
        yield server, page


async def test_the_description_is_the_same_for_everybody_and_sent_once(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        told = await server.client.get("/openapi.json")
        again = await server.client.get(
            "/openapi.json", headers={"If-None-Match": told.headers["etag"]}
        )

    assert told.json()["openapi"] == "3.1.0"
    assert told.headers["content-type"] == "application/json"
    assert "set-cookie" not in told.headers
    assert (again.status_code, again.content) == (304, b"")
    printed = await anyio.run_process([sys.executable, "-m", "server", "openapi"], cwd=ROOT)
    assert json.loads(printed.stdout) == told.json()


async def test_people_find_an_operation_read_it_and_copy_its_command(tmp_path: Path) -> None:
    async with docs_page(tmp_path) as (server, page):
        await page.locator("#search").fill("start a turn")
        await page.get_by_role("link", name="Start a turn").click()
        shown = page.locator(".operation[open]")

        assert await shown.get_attribute("id") == "turns.start_turn"
        assert f"{server.url}/api/v1/turns" in await shown.locator(".command code").inner_text()
        await shown.locator(".answer summary").first.click()
        names = await shown.locator(".event > summary > code").all_inner_texts()
        assert (names[0], names[-1]) == ("turn.started", "session.ended")


async def test_everything_can_be_opened_on_a_phone_and_nothing_is_wider_than_it(
    tmp_path: Path,
) -> None:
    async with docs_page(tmp_path, {"viewport": PHONE}) as (_, page):
        count = await page.locator(".operation").count()
        await page.evaluate(OPEN_ALL)
        await page.locator(".operation .inner").nth(count - 1).wait_for()
        await page.evaluate(OPEN_ALL)
        await page.locator(".answer[open] .properties").first.wait_for()

        assert await page.locator(".operation .inner").count() == count > 60
        assert await page.evaluate(OVERFLOW) <= 0
