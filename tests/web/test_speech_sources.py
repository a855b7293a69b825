"""Where units come from: along with events, by their address, or of an old answer."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from tests.web.conftest import ORIGIN, blank_page
from tests.web.test_speech_state import SPOKEN, chunk, sentence
from tests.web.test_turn import Event, delta, entry

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="module")]

_SET_UP = """async (log) => {
  const turn = await import('/assets/turn.js');
  const {LiveSource, ReplaySource} = await import('/assets/speech/sources.js');
  window.reduceAll = (events) => {
    for (const event of events) window.state = turn.reduce(window.state, event);
    window.isAnew = window.live?.update(window.state);
  };
  window.state = turn.newTurn({turnId: 't1', keepsAudio: true});
  reduceAll(log);
  window.taken = [];
  window.live = new LiveSource(window.state, 0, (through) => taken.push(through));
  window.replay = new ReplaySource(window.state);
  window.told = (clip) => clip && [clip.index, clip.sentence, clip.bytes?.byteLength ?? null];
}"""

AT_ONCE = "Promise.race([live.next().then(told), new Promise((r) => setTimeout(r, 0, 'waits'))])"


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page whose server keeps units 0 to 4 of turn t1; 3 of them cannot be made any more."""

    async def answer(route: Route) -> None:
        index = int(route.request.url.rpartition(".")[2])
        if index > 4:
            await route.fulfill(status=404, body=json.dumps({"code": "audio_not_found"}))
        elif index == 3:
            await route.fulfill(status=410, body=json.dumps({"code": "audio_gone"}))
        else:
            headers = {
                "X-Speech-Sentence": str(index),
                "X-Speech-Range": f"{index * 10}-{index * 10 + 10}",
                "X-Speech-Duration": "1.250",
            }
            await route.fulfill(body=b"x" * 7, content_type="audio/ogg", headers=headers)

    async with blank_page(browser, allow="Failed to load resource") as page:
        await page.route(f"{ORIGIN}/api/v1/speech/*", answer)
        yield page


async def tell(page: Page, *events: Event) -> None:
    await page.evaluate("(events) => reduceAll(events)", list(events))


async def next_clip(page: Page) -> Any:
    return await page.evaluate("live.next().then(told)")


async def test_audio_that_came_along_is_taken_and_let_go(page: Page) -> None:
    await page.evaluate(_SET_UP, SPOKEN)

    assert [await next_clip(page), await next_clip(page)] == [[0, 0, 3], [1, 1, 3]]
    assert await page.evaluate("taken") == [0, 1]


async def test_what_did_not_come_along_is_fetched(page: Page) -> None:
    await page.evaluate(_SET_UP, [*SPOKEN[:3], chunk(4, 0, 0, data="")])

    assert await next_clip(page) == [0, 0, 7]


async def test_units_of_before_a_reset_that_were_missed_are_fetched(page: Page) -> None:
    lost = entry(20, "turn.reset", text="…", reason="cursor_lost", sentence=2, speech=2)
    await page.evaluate(_SET_UP, [SPOKEN[0], lost, chunk(21, 2, 2)])

    assert [await next_clip(page) for _ in range(3)] == [[0, 0, 7], [1, 1, 7], [2, 2, 3]]


async def test_a_unit_that_nobody_wanted_is_made_now_and_one_that_failed_is_not(page: Page) -> None:
    unwanted = entry(2, "speech.failed", index=0, sentence=0, code="not_requested")
    failed = entry(3, "speech.failed", index=1, sentence=1, code="speech_unavailable")
    await page.evaluate(_SET_UP, [SPOKEN[0], unwanted, failed])

    assert [await next_clip(page), await next_clip(page)] == [[0, 0, 7], [1, 1, None]]


async def test_the_next_unit_is_waited_for_until_the_turn_has_ended(page: Page) -> None:
    await page.evaluate(_SET_UP, SPOKEN[:3])
    assert await page.evaluate(AT_ONCE) == "waits"
    await tell(page, chunk(4, 0, 0), delta(5, "x"))
    await page.evaluate(_SET_UP, SPOKEN)
    end = entry(8, "turn.completed", message_id="m1", stored=True, text="")
    await tell(page, end)

    # What came before the end is still said.
    assert [await next_clip(page) for _ in range(3)] == [[0, 0, 3], [1, 1, 3], None]


async def test_an_answer_begun_anew_is_told_and_spoken_from_where_it_differs(page: Page) -> None:
    await page.evaluate(_SET_UP, SPOKEN)
    await next_clip(page)
    await next_clip(page)
    anew = entry(8, "turn.reset", epoch=2, text="One is said. ", reason="x", sentence=1, speech=1)
    await tell(page, anew)

    assert await page.evaluate("isAnew") is True
    assert await page.evaluate("[0, 1].map((index) => live.holds({index}))") == [True, False]
    await tell(page, sentence(9, 1, 13, 20) | {"id": "t1.2-9"}, chunk(10, 1, 1, epoch=2))
    assert await page.evaluate("isAnew") is False
    assert await next_clip(page) == [1, 1, 3]


async def test_an_old_answer_is_asked_for_unit_by_unit_until_there_is_none(page: Page) -> None:
    await page.evaluate(_SET_UP, SPOKEN)

    clips = [await page.evaluate("replay.next().then(told)") for _ in range(6)]

    assert clips == [[0, 0, 7], [1, 1, 7], [2, 2, 7], [3, -1, None], [4, 4, 7], None]


async def test_a_server_that_is_gone_is_not_asked_for_ever(page: Page) -> None:
    await page.evaluate(_SET_UP, SPOKEN)
    await page.route(f"{ORIGIN}/api/v1/speech/*", lambda route: route.abort())

    clips = [await page.evaluate("replay.next().then(told)") for _ in range(4)]

    assert clips == [[0, -1, None], [1, -1, None], [2, -1, None], None]
