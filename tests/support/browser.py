"""A real browser for tests: the system's Chromium, driven through Playwright.

A page made here is watched: whatever it complains about (script errors, console errors, refusals
of the content security policy) fails the test, unless the test said that it expects it.
"""

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypedDict

import anyio
import pytest
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, async_playwright

from tests.support.front import FRONTED

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 10_000
"""No test waits longer than this for anything on a page."""

PHONE: ViewportSize = {"width": 360, "height": 740}
DESK: ViewportSize = {"width": 1280, "height": 800}


def chromium_path() -> str:
    """Return the browser's path; without one skip the test, or fail where services are required."""
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    reason = f"none of {', '.join(_NAMES)} is installed"
    if os.environ.get("REQUIRE_SERVICES") == "1":  # noqa: TID251 - a switch of the tests, not a setting
        pytest.fail(reason)
    pytest.skip(reason)


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Run a headless browser of one's own; it is gone at the end."""
    path = chromium_path()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


async def until(page: Page, claim: str) -> None:
    """Wait until a JavaScript expression is true on the page.

    Playwright's own `wait_for_function` needs `eval`, which the page's policy forbids.
    """
    with anyio.fail_after(WAIT_MS / 1000):
        while not await page.evaluate(claim):  # noqa: ASYNC110 - the page cannot set our event
            await anyio.sleep(0.01)


class ContextOptions(TypedDict, total=False):
    """What may differ between users: screen, colours, clipboard."""

    viewport: ViewportSize
    color_scheme: str
    reduced_motion: str
    has_touch: bool
    is_mobile: bool
    permissions: list[str]
    ignore_https_errors: bool


@dataclass
class Watch:
    """What pages complained about, and what was expected of them."""

    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def expect(self, pattern: str) -> None:
        """Allow complaints that contain a match of the pattern."""
        self.expected.append(pattern)

    def on(self, page: Page) -> None:
        """Watch one more page."""
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on(
            "console",
            lambda message: (
                self.complaints.append(f"{message.type}: {message.text}")
                if message.type in {"error", "warning"}
                else None
            ),
        )

    def unexpected(self) -> list[str]:
        """Return the complaints that no test asked for."""
        return [
            complaint
            for complaint in self.complaints
            if not any(re.search(pattern, complaint) for pattern in self.expected)
        ]


@asynccontextmanager
async def watched_context(
    browser: Browser, options: ContextOptions | None = None
) -> AsyncIterator[tuple[BrowserContext, Watch]]:
    """Open a fresh user (no cookies, no storage); fail at the end if a page complained."""
    watch = Watch()
    chosen: ContextOptions = {
        "viewport": DESK,
        "ignore_https_errors": FRONTED,  # a certificate that vouches for itself
        **(options or {}),
    }
    context = await browser.new_context(**chosen)  # type: ignore[arg-type]  # Playwright's literals
    context.on("page", watch.on)
    try:
        yield context, watch
        assert watch.unexpected() == []
    finally:
        await context.close()
