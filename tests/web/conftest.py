"""The page's modules in a real browser, read from disk: no server is needed to try them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from tests.support.browser import running_browser, watched_context

WEB = Path(__file__).parents[2] / "web"
ORIGIN = "http://page.test"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; media-src 'self' blob: data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


async def _serve(route: Route) -> None:
    path = route.request.url.removeprefix(ORIGIN)
    if path == "/":
        await route.fulfill(
            body="<!doctype html><title>modules</title><link rel=icon href=data:,><main></main>",
            content_type="text/html",
            headers={"Content-Security-Policy": POLICY},
        )
        return
    file = WEB / path.removeprefix("/assets/")
    if path.startswith("/assets/") and file.is_file():
        await route.fulfill(path=file, content_type=_TYPES[file.suffix])
        return
    # Whatever else a page asks for has left the page: the tests see it as a complaint.
    await route.abort()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def modules(browser: Browser) -> AsyncIterator[Page]:
    """A blank page, under the page's own policy, that can import the modules."""
    async with blank_page(browser) as page:
        yield page


@asynccontextmanager
async def blank_page(browser: Browser, *, allow: str = "^$") -> AsyncIterator[Page]:
    """Open a blank page of a new user; `allow` names the complaints that are expected."""
    async with watched_context(browser) as (context, watch):
        watch.expect(allow)
        await context.route("**/*", _serve)
        page = await context.new_page()
        await page.goto(f"{ORIGIN}/")
        yield page
