"""The page speaks: units in order on one clock, words marked, and silence when that is wished."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Page, Request, Route

from tests.e2e.conftest import World, chat_page
from tests.e2e.spoken import without_espeak
from tests.support.browser import ContextOptions, until
from tests.support.espeak import require_espeak
from tests.support.tts_simulator import running_tts_simulator

pytestmark = pytest.mark.services

ENDED = "document.querySelector('.exchange:last-child .speech').dataset.speech === 'ended'"
PLAYING = "document.querySelector('.exchange:last-child .speech').dataset.speech === 'playing'"
PAUSED = "document.querySelector('.exchange:last-child .speech').dataset.speech === 'paused'"
LISTEN, PAUSE = "Listen to the answer", "Pause speaking"
NO_MORE_UNITS = r"404 \(.*/api/v1/speech/"
"""How a replay finds the end of an answer; the browser notes it."""
LONG = "It goes on and on with many words so that there is time enough to do something else. " * 3


RECORD_SPEECH = """
window.sounds = [];
window.marks = [];
const {start, stop} = AudioBufferSourceNode.prototype;
AudioBufferSourceNode.prototype.start = function (at, offset, duration) {
  const lead = at - this.context.currentTime;
  this.sound = {at, duration, lead, isSilenced: false, isOver: false};
  this.addEventListener('ended', () => { this.sound.isOver = true; });
  window.sounds.push(this.sound);
  return start.call(this, at, offset, duration);
};
AudioBufferSourceNode.prototype.stop = function () {
  this.sound.isSilenced = !this.sound.isOver;
  return stop.call(this);
};
const {set} = HighlightRegistry.prototype;
HighlightRegistry.prototype.set = function (name, highlight) {
  const words = [...highlight].map(String).join(' | ');
  if (words !== window.marks.at(-1)) window.marks.push(words);
  return set.call(this, name, highlight);
};
"""


@asynccontextmanager
async def speaking_page(
    options: ContextOptions | None = None,
    *,
    tts: Mapping[str, float] | None = None,
    **settings: object,
) -> AsyncIterator[World]:
    """Open the page on a server with a simulated engine; «Speak answers» is on.

    The page keeps in `sounds` what it put on its audio clock, and in `marks` the words that it
    marked as spoken, one after the other.
    """
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(running_tts_simulator(**(tts or {})))
        directory = await stack.enter_async_context(anyio.TemporaryDirectory())
        speech = {
            "tts_engine": "google",
            "google_tts_endpoint": engine.endpoint,
            "tts_rate": 2.0,
        }
        if settings.get("tts_engine") != "espeak":
            speech |= without_espeak(Path(directory))
        world = await stack.enter_async_context(chat_page(options, **{**speech, **settings}))
        await world.context.add_init_script(RECORD_SPEECH)
        await world.page.reload()
        await world.page.locator("#speak").click()
        yield world


async def sounds(page: Page) -> list[dict[str, Any]]:
    return list(await page.evaluate("sounds"))


async def starts(world: World) -> list[dict[str, Any]]:
    """Keep the bodies of the starts that the page sends from here on."""
    bodies: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/api/v1/turns"):
            bodies.append(json.loads(request.post_data or "{}"))

    world.page.on("request", note)
    return bodies


async def heard(page: Page, words: str) -> None:
    """Wait until the words are marked as being spoken."""
    await until(page, f"marks.at(-1) === {json.dumps(words)}")


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["ogg_opus", "mp3"])
async def test_an_answer_is_spoken_in_order_and_its_words_are_marked(encoding: str) -> None:
    async with speaking_page(google_tts_encoding=encoding) as world:
        page = world.page
        telling = await world.ask("Speak")
        await telling.say("One is **here**. Two")
        await heard(page, "One is here.")  # while the answer is still being written
        await telling.say(" follows it.\n\n- Three [is](https://x.example/is) next\n\n")
        await telling.say("```py\nnot = 'said'\n```\n\n")
        await telling.end("Four ends.")
        await world.ended()
        await until(page, ENDED)

        played = await sounds(page)
        # A unit that came too late for that begins at once.
        gaps = [
            later["at"] - earlier["at"] - earlier["duration"]
            for earlier, later in pairwise(played)
            if later["lead"] > 0.06
        ]
        assert len(played) >= 4
        assert all(sound["isOver"] and sound["lead"] > 0 for sound in played)
        assert gaps
        assert all(0 <= gap < 0.35 + 0.03 for gap in gaps), gaps
        said = ["One is here.", "Two follows it.", "Three is next", "Four ends."]
        assert [words for words in await page.evaluate("marks") if words] == said
        assert await world.answer.locator(".prose").inner_text() != ""
        assert await page.evaluate("CSS.highlights.size") == 0


@pytest.mark.long
async def test_how_far_it_was_played_is_reported() -> None:
    async with speaking_page() as world:
        reports: list[dict[str, float]] = []
        world.page.on(
            "request",
            lambda request: (
                reports.append(json.loads(request.post_data or "{}"))
                if request.url.endswith("/playback")
                else None
            ),
        )
        await (await world.ask("Speak")).end("One is here. Two is there.")
        await until(world.page, ENDED)

        total = sum(sound["duration"] for sound in await sounds(world.page))
        assert reports[0]["played_s"] < total / 2
        assert reports[0]["buffered_s"] > 0
        assert reports[-1]["played_s"] == pytest.approx(total, abs=0.1)
        assert reports[-1]["buffered_s"] == 0


@pytest.mark.long
async def test_pause_skip_and_go_on() -> None:
    async with speaking_page() as world:
        page, controls = world.page, world.answer.locator(".speech")
        await (await world.ask("Speak")).end(f"{LONG} Then this. And that.")
        await until(page, "marks.length === 1")

        await controls.get_by_role("button", name="Pause speaking").click()
        await controls.get_by_text("Paused").wait_for()
        assert await page.evaluate("marks.length") == 1
        await controls.get_by_role("button", name="Go on speaking").click()
        await until(page, PLAYING)
        for _ in range(3):
            await controls.get_by_role("button", name="Next sentence").click()
        await until(page, ENDED)

        marks = await page.evaluate("marks")
        assert marks[-2:] == ["Then this.", "And that."]


@pytest.mark.long
@pytest.mark.parametrize("how", ["button", "escape"])
async def test_stopping_the_answer_silences_it_at_once(how: str) -> None:
    async with speaking_page() as world:
        page = world.page
        telling = await world.ask("Speak")
        await telling.say(LONG)
        await until(page, PLAYING)
        if how == "button":
            await page.click("#send")
        else:
            await page.keyboard.press("Escape")
        await until(page, ENDED)
        count = len(await sounds(page))
        await world.ended("cancelled")
        await telling.until_closed()

        after = await sounds(page)
        assert all(sound["isSilenced"] or sound["isOver"] for sound in after)
        assert len(after) == count
        assert await page.evaluate("CSS.highlights.size") == 0


@pytest.mark.long
async def test_a_new_message_cuts_the_speech_and_is_spoken_itself() -> None:
    async with speaking_page() as world:
        page = world.page
        await (await world.ask("First")).end(LONG)
        await until(page, PLAYING)
        await page.locator("#send[aria-label='Send the message']").wait_for()
        first = len(await sounds(page))

        await (await world.ask("Second")).end("Short one.")
        await until(page, ENDED)
        await world.ended()

        assert (await page.evaluate("marks"))[-1] == "Short one."
        assert all(sound["isSilenced"] or sound["isOver"] for sound in await sounds(page))
        assert len(await sounds(page)) > first
        assert await page.locator(".answer[data-status='completed']").count() == 2
        assert [m["text"] for m in await world.stored()] == ["First", LONG, "Second", "Short one."]


@pytest.mark.long
async def test_stopping_the_speech_leaves_the_text_alone() -> None:
    async with speaking_page() as world:
        page = world.page
        telling = await world.ask("Speak")
        await telling.say(LONG)
        await until(page, PLAYING)
        await world.answer.locator(".speech").get_by_role("button", name="Stop speaking").click()
        await until(page, ENDED)
        count = len(await sounds(page))
        await telling.end("The end.")
        await world.ended()

        assert len(await sounds(page)) == count
        assert (await world.answer.locator(".prose").inner_text()).endswith("The end.")


@pytest.mark.long
async def test_leaving_the_conversation_silences_it() -> None:
    async with speaking_page() as world:
        await (await world.ask("Speak")).end(LONG)
        await until(world.page, PLAYING)
        await world.page.get_by_role("link", name="New conversation").click()
        await world.page.locator(".welcome").wait_for()

        assert all(sound["isSilenced"] for sound in await sounds(world.page))


@pytest.mark.long
async def test_an_old_answer_can_be_heard_again_and_stopped() -> None:
    async with speaking_page() as world:
        page = world.page
        world.watch.expect(NO_MORE_UNITS)
        await page.click("#speak")  # off: this answer was never spoken
        await (await world.ask("Silent")).end("One is **here**. Two is there.\n\nThree ends.")
        await world.ended()
        assert await sounds(page) == []

        await page.reload()
        await world.answer.get_by_role("button", name="Listen to the answer").click()
        await heard(page, "Three ends.")
        await until(page, ENDED)
        assert [words for words in await page.evaluate("marks") if words] == [
            "One is here.", "Two is there.", "Three ends.",
        ]  # fmt: skip
        assert len(await sounds(page)) == 3

        await world.answer.get_by_role("button", name="Listen to the answer").click()
        await until(page, "sounds.length > 3")
        bar = world.answer.locator(".answer-bar")
        await bar.get_by_role("button", name="Stop speaking").click()
        await until(page, ENDED)
        assert not all(sound["isOver"] for sound in (await sounds(page))[3:])


@pytest.mark.long
async def test_a_reload_does_not_speak_by_itself_and_goes_on_where_it_was() -> None:
    async with speaking_page() as world:
        page = world.page
        telling = await world.ask("Speak")
        await telling.say("One is here. Two is there. Three")
        await heard(page, "Two is there.")
        await until(page, "document.querySelector('.speech').dataset.speech === 'loading'")

        await page.reload()
        listen = world.answer.get_by_role("button", name="Tap to listen")
        await listen.wait_for()
        await telling.say(" comes. Four")
        await world.answer.get_by_text("Three comes.").wait_for()
        assert await sounds(page) == []

        await listen.click()
        await telling.end(" ends.")
        await until(page, ENDED)
        await world.ended()
        assert await page.evaluate("marks") == ["Three comes.", "Four ends."]


@pytest.mark.long
async def test_only_the_tab_that_asked_speaks() -> None:
    async with speaking_page() as world:
        world.watch.expect(NO_MORE_UNITS)
        telling = await world.ask("Speak")
        await telling.say("One is here. Two")
        await heard(world.page, "One is here.")
        other = await world.context.new_page()
        await other.goto(world.page.url)
        await other.locator(".answer:visible").get_by_text("One is here.").wait_for()
        await telling.end(" ends.")
        await other.locator('.answer[data-status="completed"]:visible').wait_for()

        assert await sounds(other) == []
        await heard(world.page, "Two ends.")
        await until(world.page, ENDED)

        # Whoever begins to speak silences the others; this one is far from its end.
        listen, pause = (world.answer.get_by_role("button", name=name) for name in (LISTEN, PAUSE))
        await listen.dispatch_event("click")
        await pause.dispatch_event("click")
        await until(world.page, PAUSED)
        await other.get_by_role("button", name=LISTEN).click()
        await until(world.page, ENDED)
        await until(other, ENDED)
        assert len(await sounds(other)) == 2


@pytest.mark.long
async def test_speech_that_is_off_is_not_asked_for() -> None:
    async with speaking_page() as world:
        page = world.page
        bodies = await starts(world)
        await (await world.ask("On")).end("Said.")
        await until(page, ENDED)
        await page.keyboard.press("Control+Shift+L")
        await page.locator("#speak[aria-pressed=false]").wait_for()
        await (await world.ask("Off")).end("Not said.")
        await world.ended()
        await page.reload()
        await page.locator("#speak[aria-pressed=false]").wait_for()

        assert bodies[0]["speech"] is True
        assert "speech" not in bodies[1]
        assert await sounds(page) == []


@pytest.mark.long
async def test_a_chosen_voice_is_asked_for_and_remembered() -> None:
    async with speaking_page() as world:
        page = world.page
        bodies = await starts(world)
        option = page.locator("#voice option:not([value=''])").first
        await option.wait_for(state="attached")
        name = await option.get_attribute("value")
        await page.select_option("#voice", name)
        await page.reload()
        await until(page, f"document.querySelector('#voice').value === {json.dumps(name)}")
        await (await world.ask("Speak")).end("Said.")
        await world.ended()

        assert bodies[0]["speech"]["voice"] == name
        assert bodies[0]["speech"]["language"]


@pytest.mark.long
async def test_an_answer_that_cannot_be_spoken_says_so_once_and_is_read_out() -> None:
    async with speaking_page(tts={"burst_every": 1, "burst_length": 1}) as world:
        page = world.page
        await (await world.ask("Speak")).end("One is here. Two is there.")
        await world.answer.get_by_text("This answer could not be spoken.").wait_for()
        await world.ended()
        await page.locator("#announcer").get_by_text("One is here.").wait_for(state="attached")

        assert await sounds(page) == []
        assert await world.answer.locator(".prose").inner_text() == "One is here. Two is there."


@pytest.mark.long
async def test_what_is_spoken_aloud_is_not_read_out_as_well() -> None:
    async with speaking_page() as world:
        page = world.page
        await (await world.ask("Speak")).end("One is here.\n\nTwo is there.")
        await world.ended()
        await until(page, ENDED)
        await page.click("#speak")
        await (await world.ask("Silent")).end("Three is here.")
        await page.locator("#announcer").get_by_text("Three is here.").wait_for(state="attached")

        assert "One is here" not in await page.locator("#announcer").inner_text()


@pytest.mark.long
async def test_where_the_browser_refuses_sound_a_tap_lets_it_out() -> None:
    async with speaking_page() as world:
        page = world.page
        await page.reload()  # «Speak answers» is remembered
        await page.evaluate(
            """() => {
              const {resume} = AudioContext.prototype;
              AudioContext.prototype.resume = function () {
                this.suspend();
                return new Promise(() => {});
              };
              window.allow = () => { AudioContext.prototype.resume = resume; };
            }"""
        )
        await (await world.ask("Speak")).end("One is here.")
        tap = world.answer.get_by_role("button", name="Tap to listen")
        await tap.wait_for()
        assert await page.evaluate("sounds.every((sound) => !sound.isOver)")
        await page.evaluate("allow()")
        await tap.click()
        await until(page, ENDED)

        assert all(sound["isOver"] for sound in await sounds(page))


@pytest.mark.long
async def test_a_whole_answer_is_spoken_from_its_record() -> None:
    async with speaking_page(default_streaming_percentage=0) as world:
        world.watch.expect(NO_MORE_UNITS)
        await (await world.ask("Speak")).end("One is here. Two is there.")
        await heard(world.page, "Two is there.")
        await until(world.page, ENDED)


@pytest.mark.long
async def test_without_an_engine_there_is_nothing_to_switch_on() -> None:
    async with speaking_page() as world:

        async def off(route: Route) -> None:
            await route.fulfill(json={"engine": "off", "voices": []})

        await world.page.route("**/api/v1/speech/voices", off)
        bodies = await starts(world)
        await world.page.reload()
        await world.page.locator("#speak").wait_for(state="hidden")
        await (await world.ask("Speak")).end("One.")
        await world.ended()

        assert "speech" not in bodies[0]
        assert not await world.answer.get_by_role("button", name="Listen").is_visible()


@pytest.mark.long
async def test_the_embedded_engine_is_heard_for_as_long_as_it_says() -> None:
    require_espeak()
    async with speaking_page(tts_engine="espeak") as world:
        page = world.page
        await (await world.ask("Speak")).end("One is here. Two is there.\n\nThree.")
        await until(page, "marks.at(-1) === 'Three.'")
        await until(page, ENDED)
        await world.ended()
        turn_id = (await world.stored())[-1]["turn_id"]

        said = 0.0
        for index in range(3):
            path = f"{world.url}/api/v1/speech/{turn_id}.{index}"
            said += float((await world.context.request.get(path)).headers["x-speech-duration"])
        assert sum(sound["duration"] for sound in await sounds(page)) == pytest.approx(
            said, abs=0.01
        )
        assert all(sound["isOver"] for sound in await sounds(page))


@pytest.mark.long
async def test_a_cancel_from_elsewhere_silences_it() -> None:
    async with speaking_page() as world:
        page = world.page
        telling = await world.ask("Speak")
        await telling.say(LONG)
        await until(page, PLAYING)
        turn_id = (await world.stored())[0]["turn_id"]
        await world.context.request.post(f"{world.url}/api/v1/turns/{turn_id}/cancel", data={})
        await until(page, ENDED)
        await telling.until_closed()

        assert all(sound["isSilenced"] or sound["isOver"] for sound in await sounds(page))
