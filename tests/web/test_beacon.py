"""What the page tells of a turn: measured from sending, once, also of a turn that it leaves."""

from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="module")]

_WATCH = """async (steps) => {
  const {Beacon} = await import('/assets/beacon.js');
  const {newTurn, reduce} = await import('/assets/turn.js');
  let now = 1000;
  const told = [];
  const beacon = new Beacon({now: () => now, tell: (seen) => told.push(seen)});
  let turn = newTurn();
  let seq = 0;
  const apply = (type, data) => {
    seq += 1;
    const next = reduce(turn, {type, id: `t1.1-${seq}`, data});
    beacon.follow(turn, next);
    turn = next;
  };
  const steps_ = {
    wait: (ms) => { now += ms; },
    named: () => { turn = {...turn, turnId: 't1', isStreaming: true}; },
    delta: (text) => apply('text.delta', {text}),
    done: () => apply('text.done', {text: turn.text}),
    end: (text) => apply('turn.completed', {text: text ?? turn.text}),
    whole: (text) => {
      const data = {turn_id: 't1', status: 'completed', streaming: false, text};
      const next = reduce(turn, {type: 'turn.state', data});
      beacon.follow(turn, next);
      turn = next;
    },
    link: (link) => beacon.link(link),
    leave: () => beacon.leave(),
    hide: () => window.dispatchEvent(new PageTransitionEvent('pagehide')),
  };
  for (const [name, value] of steps) steps_[name](value);
  return told;
}"""


async def seen(modules: Page, *steps: tuple[str, object]) -> list[dict[str, Any]]:
    """Return what was told after these steps."""
    told: list[dict[str, Any]] = await modules.evaluate(_WATCH, [list(step) for step in steps])
    return told


async def test_the_first_text_counts_from_sending_and_gaps_between_texts(modules: Page) -> None:
    waits = [10, 20, 30, 40, 50, 60, 70, 80, 90, 1000]
    deltas = [each for ms in waits for each in (("wait", ms), ("delta", "x"))]

    told = await seen(
        modules,
        ("wait", 300),
        ("named", None),
        ("wait", 50),
        ("delta", "a"),
        *deltas,
        ("end", None),
    )

    assert told == [
        {
            "turn_id": "t1",
            "ttft_ms": 350,
            "gaps_ms": {"p50": 50, "p95": 1000, "max": 1000},
            "reconnects": 0,
        }
    ]


async def test_a_turn_is_told_of_once_however_it_goes_on(modules: Page) -> None:
    told = await seen(
        modules,
        ("named", None),
        ("delta", "a"),
        ("end", None),
        ("hide", None),
        ("leave", None),
        ("delta", "b"),
    )

    assert len(told) == 1


@pytest.mark.parametrize("leaving", ["leave", "hide"])
async def test_a_turn_that_is_left_is_told_of_as_far_as_it_was_seen(
    modules: Page, leaving: str
) -> None:
    steps = [("named", None), ("wait", 70), ("delta", "a"), ("wait", 5), ("delta", "b")]

    told = await seen(modules, *steps, (leaving, None), ("wait", 900), ("delta", "c"))

    assert [each["ttft_ms"] for each in told] == [70]
    assert told[0]["gaps_ms"] == {"p50": 5, "p95": 5, "max": 5}


async def test_an_answer_that_comes_whole_has_no_first_text(modules: Page) -> None:
    told = await seen(modules, ("named", None), ("wait", 2500), ("whole", "All of it."))

    assert told == [{"turn_id": "t1", "gaps_ms": {}, "reconnects": 0}]


async def test_what_was_never_named_or_never_said_anything_gives_no_figures(modules: Page) -> None:
    assert await seen(modules, ("wait", 9), ("leave", None)) == []

    told = await seen(modules, ("named", None), ("end", ""), ("hide", None))

    assert told == [{"turn_id": "t1", "gaps_ms": {}, "reconnects": 0}]


async def test_the_wait_for_speech_is_no_gap(modules: Page) -> None:
    steps = [("named", None), ("delta", "a"), ("wait", 5), ("delta", "b"), ("done", None)]

    told = await seen(modules, *steps, ("wait", 30_000), ("end", None))

    assert told[0]["gaps_ms"]["max"] == 5


async def test_each_loss_of_the_connection_counts_once(modules: Page) -> None:
    links = ["live", "reconnecting", "offline", "reconnecting", "live", "reconnecting", "live"]

    told = await seen(
        modules, ("named", None), *(("link", link) for link in links), ("delta", "a"), ("end", None)
    )

    assert told[0]["reconnects"] == 2


async def test_figures_stay_within_what_the_server_takes(modules: Page) -> None:
    told = await seen(modules, ("named", None), ("wait", 9_000_000), ("delta", "a"), ("end", None))

    assert told[0]["ttft_ms"] == 3_600_000
