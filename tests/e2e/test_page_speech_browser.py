"""A server without an engine, and a browser with a voice of its own."""

import pytest

from tests.e2e.conftest import chat_page
from tests.e2e.test_page_speech import ENDED, PLAYING, RECORD_SPEECH, starts
from tests.support.browser import until

pytestmark = pytest.mark.services

_BROWSER_VOICE = """
const spoken = window.spoken = [];
const queue = [];
let isPaused = false;
const turn = () => {
  if (!queue.length || isPaused) return;
  const utterance = queue.shift();
  spoken.push(utterance.text);
  utterance.onstart();
  if (!window.isHeld) setTimeout(() => { utterance.onend(); turn(); }, 20);
};
window.SpeechSynthesisUtterance = function (text) { this.text = text; };
Object.defineProperty(window, 'speechSynthesis', {value: Object.assign(new EventTarget(), {
  getVoices: () => [{name: 'Own'}],
  speak: (utterance) => { queue.push(utterance); setTimeout(turn, 0); },
  cancel: () => { queue.length = 0; },
  pause: () => { isPaused = true; },
  resume: () => { isPaused = false; turn(); },
})});
"""


@pytest.mark.long
async def test_without_an_engine_the_browsers_own_voice_reads_the_whole_answer() -> None:
    async with chat_page(tts_engine="off") as world:
        page = world.page
        await world.context.add_init_script(RECORD_SPEECH)
        await world.context.add_init_script(_BROWSER_VOICE)
        bodies = await starts(world)
        await page.reload()
        await page.locator("#speak").click()
        telling = await world.ask("Speak")
        await telling.end("One is **here**. Two.\n\n- Three\n  - Four\n\n```\nnot this\n```")
        await world.ended()
        await until(page, "spoken.length === 4")
        await until(page, ENDED)

        said = ["One is here.", "Two.", "Three", "Four"]
        assert [words.strip() for words in await page.evaluate("spoken")] == said
        assert await page.evaluate("marks") == said
        assert "speech" not in bodies[0]

        await page.evaluate("window.isHeld = true")  # the first sentence does not end
        await world.answer.get_by_role("button", name="Listen to the answer").click()
        await until(page, PLAYING)
        await page.keyboard.press("Escape")
        await until(page, ENDED)
        assert await page.evaluate("spoken.length") == 5
