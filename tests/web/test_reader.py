"""The reader does not give up: cuts, refusals, silence and sleep all end in a new connection."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from playwright.async_api import Browser, Page, Route

from tests.support.browser import until
from tests.web.conftest import ORIGIN, blank_page

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="module")]

_EVENTS = f"{ORIGIN}/api/v1/turns/t1/events"

_READ = """async () => {
  const {Reader} = await import('/assets/reader.js');
  const turn = await import('/assets/turn.js');
  window.state = turn.newTurn({turnId: 't1'});
  window.links = [];
  window.checks = 0;
  window.goesOn = true;
  const url = () => '/api/v1/turns/t1/events'
    + (state.cursor ? `?last_event_id=${encodeURIComponent(state.cursor)}` : '');
  window.reader = new Reader({
    url,
    onEvent: (event) => { window.state = turn.reduce(window.state, event); },
    onLink: (link) => window.links.push(link),
    check: async () => { window.checks += 1; return window.goesOn; },
  });
}"""


def frame(seq: int, text: str) -> str:
    return f"id: t1.1-{seq}\nevent: text.delta\ndata: {json.dumps({'text': text})}\n\n"


STARTED = 'id: t1.1-1\nevent: turn.started\ndata: {"conversation_id":"c1","message_id":"m1"}\n\n'


@dataclass
class Server:
    """Answers attaches in the order of `answers`: a body, a status, or None for silence."""

    answers: list[str | int | None]
    seen: list[str] = field(default_factory=list)

    async def attach(self, route: Route) -> None:
        self.seen.append(route.request.url.removeprefix(_EVENTS))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, int):
            await route.fulfill(status=answer)
        elif answer is not None:
            await route.fulfill(body=answer, content_type="text/event-stream")
        # None: the connection stays open and silent.

    async def seen_at_least(self, count: int) -> None:
        with anyio.fail_after(8):
            while len(self.seen) < count:
                await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def reading(
    browser: Browser, *answers: str | int | None
) -> AsyncIterator[tuple[Page, Server]]:
    server = Server(list(answers))
    async with blank_page(browser, allow="Failed to load resource|EventSource") as page:
        await page.clock.install()
        await page.route(f"{_EVENTS}*", server.attach)
        await page.evaluate(_READ)
        yield page, server
        await page.evaluate("reader.close()")


async def test_a_cut_is_mended_by_the_browser_and_nothing_is_applied_twice(
    browser: Browser,
) -> None:
    first = f"retry: 1\n{STARTED}{frame(2, 'one ')}"
    second = f"retry: 60000\n{frame(2, 'one ')}{frame(3, 'two')}"
    async with reading(browser, first, second) as (page, server):
        await until(page, "state.text === 'one two'")

        assert len(server.seen) == 2


async def test_a_heartbeat_moves_neither_text_nor_cursor(browser: Browser) -> None:
    beat = 'event: heartbeat\ndata: {"turn_id":"t1","last_seq":2,"at":"now"}\n\n'
    body = f"retry: 60000\n{STARTED}{frame(2, 'a')}{beat}{beat}{frame(3, 'b')}"
    async with reading(browser, body) as (page, _):
        await until(page, "state.text === 'ab'")

        assert await page.evaluate("state.cursor") == "t1.1-3"


async def test_silence_for_two_and_a_half_heartbeats_attaches_anew(browser: Browser) -> None:
    async with reading(browser, None, f"retry: 60000\n{STARTED}{frame(2, 'here')}") as (
        page,
        server,
    ):
        await server.seen_at_least(1)
        await page.clock.run_for(24_000)
        assert await page.evaluate("checks") == 0

        await page.clock.run_for(5_000)
        await until(page, "checks === 1")
        await page.clock.run_for(1_000)
        await server.seen_at_least(2)
        await until(page, "state.text === 'here'")


async def test_an_answer_that_ends_an_eventsource_for_good_is_not_the_end(browser: Browser) -> None:
    answers = (500, 503, f"retry: 60000\n{STARTED}{frame(2, 'at last')}")
    async with reading(browser, *answers) as (page, server):
        await until(page, "checks === 1")
        await page.clock.run_for(1_000)
        await until(page, "checks === 2")
        await page.clock.run_for(2_000)
        await until(page, "state.text === 'at last'")

        assert len(server.seen) == 3


async def test_204_asks_for_the_state_and_stays_closed_when_the_turn_has_ended(
    browser: Browser,
) -> None:
    async with reading(browser, 204) as (page, server):
        await page.evaluate("goesOn = false")
        await until(page, "checks === 1")
        await page.clock.run_for(60_000)

        assert len(server.seen) == 1


async def test_coming_back_online_attaches_at_once_from_the_cursor(browser: Browser) -> None:
    body = f"retry: 60000\n{STARTED}{frame(2, 'a')}"
    async with reading(browser, body, f"retry: 60000\n{frame(3, 'b')}") as (page, server):
        await until(page, "state.text === 'a'")
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        await until(page, "state.text === 'ab'")

        assert server.seen == ["", "?last_event_id=t1.1-2"]


async def test_a_closed_reader_opens_nothing_more(browser: Browser) -> None:
    async with reading(browser, f"retry: 60000\n{STARTED}") as (page, server):
        await until(page, "state.seq === 1")
        await page.evaluate("reader.close()")
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        await page.clock.run_for(120_000)

        assert len(server.seen) == 1
