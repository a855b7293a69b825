"""The player on a real AudioContext: order, gaps, pause, skip, stop, failures, padding."""

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.support.browser import until
from tests.web.conftest import blank_page

pytestmark = [
    pytest.mark.services,
    pytest.mark.long,
    pytest.mark.asyncio(loop_scope="module"),
]

_SET_UP = """async () => {
  const {Sound} = await import('/assets/speech/sound.js');
  const {Player} = await import('/assets/speech/player.js');
  window.started = [];
  const {start, stop} = AudioBufferSourceNode.prototype;
  AudioBufferSourceNode.prototype.start = function (when, offset, duration) {
    const made = {when, offset, duration, early: when - this.context.currentTime, silenced: false};
    this.made = made;
    started.push(made);
    return start.call(this, when, offset, duration);
  };
  AudioBufferSourceNode.prototype.stop = function () {
    if (this.made) this.made.silenced = true;
    return stop.call(this);
  };
  window.tone = (seconds, lead = 0) => {
    const rate = 8000, count = Math.round((seconds + 2 * lead) * rate);
    const view = new DataView(new ArrayBuffer(44 + count * 2));
    const word = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
    word(0, 'RIFF'); word(8, 'WAVE'); word(12, 'fmt '); word(36, 'data');
    view.setUint32(4, view.byteLength - 8, true); view.setUint32(16, 16, true);
    view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, rate, true);
    view.setUint32(28, rate * 2, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
    view.setUint32(40, count * 2, true);
    for (let n = 0; n < count; n += 1) {
      const isLoud = n >= lead * rate && n < count - lead * rate;
      view.setInt16(44 + n * 2, isLoud ? (n % 2 ? 9000 : -9000) : 0, true);
    }
    return view.buffer;
  };
  window.sound = new Sound();
  window.play = (clips) => {
    sound.unlock();
    window.states = []; window.heard = []; window.positions = []; window.asked = 0;
    const waiting = clips.map((clip, index) => ({
      index, sentence: index, range: null, durationS: clip.seconds ?? 0, mediaType: 'audio/wav',
      bytes: clip.seconds ? tone(clip.seconds, clip.lead) : null, ...clip,
      ...(clip.isGarbage && {bytes: new Uint8Array(99).buffer})}));
    window.more = [];
    window.push = (clip) => {
      const give = more.shift();
      if (give) give(clip); else waiting.push(clip);
    };
    window.player = new Player(sound, {
      next: () => {
        asked += 1;
        if (waiting.length) return Promise.resolve(waiting.shift());
        if (window.isOpenEnded) return new Promise((give) => more.push(give));
        return Promise.resolve(null);
      },
      pause: (clip, before) => (!before || clip.sentence === before.sentence ? 0 : 0.05),
    }, {
      onState: (state) => states.push(state),
      onHeard: (clip) => heard.push(clip.index),
      onPosition: ({clip: {index}}) => { if (positions.at(-1) !== index) positions.push(index); },
    });
  };
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def stage(browser: Browser) -> AsyncIterator[Page]:
    async with blank_page(browser) as page:
        await page.evaluate(_SET_UP)
        yield page


async def play(page: Page, *clips: dict[str, Any], open_ended: bool = False) -> None:
    await page.evaluate(
        "({clips, isOpenEnded}) => { window.isOpenEnded = isOpenEnded; play(clips); }",
        {"clips": list(clips), "isOpenEnded": open_ended},
    )


async def started(page: Page) -> list[dict[str, Any]]:
    return list(await page.evaluate("started"))


def gaps(made: Sequence[dict[str, Any]]) -> list[float]:
    """Return the silence between each unit and the next, in seconds."""
    return [
        round(later["when"] - (earlier["when"] + earlier["duration"]), 4)
        for earlier, later in pairwise(made)
    ]


async def test_units_are_heard_in_order_with_no_other_gap_than_the_pauses(stage: Page) -> None:
    short = {"seconds": 0.6}  # far longer than a busy machine keeps a page waiting
    await play(stage, {"seconds": 0.7}, {**short, "sentence": 0}, short, short, short, short)
    await until(stage, "player.state === 'ended'")

    made = await started(stage)
    assert gaps(made) == [0, 0.05, 0.05, 0.05, 0.05]
    assert all(unit["early"] > 0 for unit in made), "none was late"
    assert await stage.evaluate("heard") == [0, 1, 2, 3, 4, 5]
    assert await stage.evaluate("positions") == [0, 1, 2, 3, 4, 5]
    assert await stage.evaluate("player.playedS") == pytest.approx(3.7)
    assert await stage.evaluate("states") == ["playing", "ended"]


async def test_little_is_decoded_ahead(stage: Page) -> None:
    await play(stage, *({"seconds": 30} for _ in range(8)))
    await until(stage, "player.state === 'playing' && started.length === 3")

    assert await stage.evaluate("asked") == 3


async def test_a_unit_that_comes_late_is_waited_for(stage: Page) -> None:
    await play(stage, {"seconds": 0.1}, open_ended=True)
    await until(stage, "heard.length === 1 && player.state === 'loading'")
    await stage.evaluate(
        "push({index: 1, sentence: 1, durationS: 0.1, bytes: tone(0.1), mediaType: ''})"
    )
    await until(stage, "heard.length === 2")
    await stage.evaluate("push(null)")
    await until(stage, "player.state === 'ended'")

    assert await stage.evaluate("states") == ["playing", "loading", "playing", "loading", "ended"]


async def test_a_pause_holds_the_clock_and_loses_nothing(stage: Page) -> None:
    await play(stage, {"seconds": 1.2}, {"seconds": 0.2})
    await until(stage, "player.playedS > 0.1")
    await stage.evaluate("player.pause()")
    await until(stage, "!sound.isRunning")
    held = await stage.evaluate("[sound.now, player.playedS, player.state]")
    await stage.evaluate("new Promise(requestAnimationFrame)")
    assert await stage.evaluate("[sound.now, player.playedS, player.state]") == held
    assert held[2] == "paused"

    await stage.evaluate("player.resume()")
    await until(stage, "player.state === 'ended'")

    assert gaps(await started(stage)) == [0.05]
    assert await stage.evaluate("heard") == [0, 1]
    assert await stage.evaluate("states") == ["playing", "paused", "playing", "ended"]


async def test_skipping_goes_to_the_next_sentence_at_once(stage: Page) -> None:
    await play(
        stage, {"seconds": 9, "sentence": 0}, {"seconds": 9, "sentence": 0},
        {"seconds": 0.2, "sentence": 1}, {"seconds": 0.2, "sentence": 2},
    )  # fmt: skip
    await until(stage, "started.length >= 3 && player.state === 'playing'")
    await stage.evaluate("player.skip()")
    await until(stage, "player.state === 'ended'")

    made = await started(stage)
    sounded = [unit for unit in made if not unit["silenced"]]
    assert [unit["duration"] for unit in sounded] == pytest.approx([0.2, 0.2])
    assert gaps(sounded) == [0.05]
    assert await stage.evaluate("player.playedS") == pytest.approx(18.4)


async def test_a_skip_also_leaves_out_what_of_the_sentence_is_still_to_come(stage: Page) -> None:
    await play(stage, {"seconds": 9}, open_ended=True)
    await until(stage, "player.state === 'playing'")
    await stage.evaluate("player.skip()")
    await until(stage, "player.state === 'loading'")
    await stage.evaluate(
        """[[1, 0, 9], [2, 1, 0.1]].forEach(([index, sentence, s]) =>
          push({index, sentence, range: null, durationS: s, bytes: tone(s), mediaType: ''}))"""
    )
    await stage.evaluate("push(null)")
    await until(stage, "player.state === 'ended'")

    assert [unit["duration"] for unit in await started(stage)] == pytest.approx([9, 0.1])


async def test_after_a_stop_nothing_sounds_and_nothing_is_asked_for(stage: Page) -> None:
    await play(stage, *({"seconds": 5} for _ in range(6)))
    await until(stage, "player.state === 'playing' && started.length === 3")
    await stage.evaluate("player.stop()")
    await until(stage, "!sound.isRunning")

    assert all(unit["silenced"] for unit in await started(stage))
    assert await stage.evaluate("[asked, heard.length, player.state]") == [3, 0, "ended"]
    # What comes late is not heard either.
    await play(stage, open_ended=True)
    await stage.evaluate("player.stop()")
    await stage.evaluate(
        "push({index: 0, sentence: 0, durationS: 1, bytes: tone(1), mediaType: ''})"
    )
    await stage.evaluate("new Promise(requestAnimationFrame)")
    assert len(await started(stage)) == 3


async def test_a_stopped_player_leaves_the_clock_to_the_next(stage: Page) -> None:
    await play(stage, {"seconds": 5})
    await until(stage, "player.state === 'playing'")
    await stage.evaluate("player.stop()")
    await play(stage, {"seconds": 0.1})
    await until(stage, "player.state === 'ended'")

    assert await stage.evaluate("[states, heard]") == [["playing", "ended"], [0]]


async def test_units_that_fail_or_are_no_audio_are_left_out(stage: Page) -> None:
    await play(stage, {"seconds": 0.1}, {"sentence": -1}, {"seconds": 0.1}, {"isGarbage": True})
    await until(stage, "player.state === 'ended'")

    assert await stage.evaluate("heard") == [0, 2]
    assert await stage.evaluate("[player.successes, player.failures]") == [2, 2]
    assert gaps(await started(stage)) == [0.05]


async def test_a_withdrawn_unit_is_not_heard_and_the_rest_moves_up(stage: Page) -> None:
    await play(stage, {"seconds": 9}, {"seconds": 9}, {"seconds": 0.1})
    await until(stage, "started.length === 3 && player.state === 'playing'")
    await stage.evaluate("player.withdraw((clip) => clip.index < 2)")
    await until(stage, "player.state === 'ended'")

    assert await stage.evaluate("heard") == [2]


async def test_the_padding_of_mp3_is_cut_and_that_of_others_is_not(stage: Page) -> None:
    padded = {"seconds": 0.2, "lead": 0.06}
    await play(stage, {**padded, "mediaType": "audio/mpeg"}, padded)
    await until(stage, "player.state === 'ended'")

    cut, whole = await started(stage)
    assert cut["offset"] == pytest.approx(0.055, abs=0.003)
    assert cut["duration"] == pytest.approx(0.21, abs=0.006)
    assert (whole["offset"], whole["duration"]) == pytest.approx((0, 0.32))


async def test_where_sound_is_refused_everything_waits_for_a_gesture(stage: Page) -> None:
    # As a browser does on a page that its user has not touched.
    await stage.evaluate(
        """() => {
          const {resume} = AudioContext.prototype;
          window.allow = () => { AudioContext.prototype.resume = resume; };
          AudioContext.prototype.resume = function () { return new Promise(() => {}); };
          sound.unlock();
          sound.halt();
        }"""
    )
    await until(stage, "!sound.isRunning")
    await play(stage, {"seconds": 0.1}, {"seconds": 0.1})
    await until(stage, "player.state === 'blocked'")
    assert await stage.evaluate("heard") == []

    await stage.evaluate("() => { allow(); sound.unlock(); player.resume(); }")
    await until(stage, "player.state === 'ended'")

    assert await stage.evaluate("states") == ["blocked", "playing", "ended"]
    assert await stage.evaluate("heard") == [0, 1]


async def test_a_clock_that_the_system_stops_is_noticed_and_can_go_on(stage: Page) -> None:
    await play(stage, {"seconds": 1})
    await until(stage, "player.state === 'playing'")
    await stage.evaluate("sound.halt()")  # a call, another app, a lost device
    await until(stage, "player.state === 'blocked'")
    await stage.evaluate("player.resume()")
    await until(stage, "player.state === 'ended'")

    assert await stage.evaluate("heard") == [0]
