"""The reducer: the one place where events become what the page shows."""

import random
from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="module")]

Event = dict[str, Any]

_REDUCE = """async ({events, known}) => {
  const turn = await import('/assets/turn.js');
  let state = turn.newTurn({turnId: 't1', ...known});
  for (const event of events) state = turn.reduce(state, event);
  return {...state, shown: turn.shownText(state), isFinal: turn.isFinal(state)};
}"""


async def reduced(page: Page, *events: Event) -> dict[str, Any]:
    state = await page.evaluate(_REDUCE, {"events": list(events), "known": {}})
    return dict(state)


def entry(seq: int, name: str, *, epoch: int = 1, turn: str = "t1", **data: object) -> Event:
    return {"type": name, "id": f"{turn}.{epoch}-{seq}", "data": data}


def started(**data: object) -> Event:
    data = {"conversation_id": "c1", "message_id": "m1", "streaming": True, **data}
    return {"type": "turn.started", "id": "t1.1-1", "data": {"turn_id": "t1", **data}}


def delta(seq: int, text: str, *, epoch: int = 1) -> Event:
    return entry(seq, "text.delta", epoch=epoch, text=text)


def usage() -> dict[str, object]:
    return {"input_tokens": 3, "output_tokens": 2, "source": "exact"}


async def test_deltas_join_in_the_order_of_their_seq(modules: Page) -> None:
    state = await reduced(modules, started(), delta(2, "Hel"), delta(3, "lo"))

    assert state["text"] == "Hello"
    assert state["status"] == "running"
    assert state["cursor"] == "t1.1-3"


async def test_an_entry_that_was_applied_is_never_applied_again(modules: Page) -> None:
    log = [started(), delta(2, "one "), delta(3, "two ")]

    state = await reduced(modules, *log, *log, delta(3, "two "), delta(4, "three"))

    assert state["text"] == "one two three"


async def test_an_entry_of_another_turn_changes_nothing(modules: Page) -> None:
    state = await reduced(
        modules, started(), entry(2, "text.delta", turn="t2", text="not ours"), delta(2, "ours")
    )

    assert state["text"] == "ours"


async def test_an_entry_of_an_overtaken_epoch_changes_nothing(modules: Page) -> None:
    state = await reduced(
        modules,
        started(),
        delta(2, "from the first worker"),
        entry(3, "turn.reset", epoch=2, text="again: ", reason="takeover", sentence=0, speech=0),
        delta(4, "late word of the first worker"),
        delta(4, "from the second", epoch=2),
    )

    assert state["text"] == "again: from the second"


async def test_a_reset_replaces_the_text_even_when_it_steps_back(modules: Page) -> None:
    state = await reduced(
        modules,
        started(),
        *(delta(seq, "x") for seq in range(2, 9)),
        entry(4, "turn.reset", epoch=2, text="kept", reason="cursor_lost", sentence=0, speech=0),
        delta(5, " and on", epoch=2),
    )

    assert state["text"] == "kept and on"
    assert state["cursor"] == "t1.2-5"


async def test_an_entry_that_skips_ahead_is_refused_until_the_missing_one_came(
    modules: Page,
) -> None:
    torn = [started(), delta(2, "a"), delta(4, "c"), delta(5, "d")]

    state = await reduced(modules, *torn)
    assert state["text"] == "a"
    assert state["gap"] == {"after": 2, "seq": 4}

    state = await reduced(modules, *torn, delta(3, "b"), delta(4, "c"), delta(5, "d"))
    assert state["text"] == "abcd"
    assert state["gap"] is None


async def test_a_gap_met_again_after_attaching_anew_is_believed(modules: Page) -> None:
    # A later version of the server may write entries that this page does not listen to.
    torn = [delta(4, "c"), delta(5, "d")]

    state = await reduced(modules, started(), delta(2, "a"), *torn, *torn)

    assert state["text"] == "acd"


async def test_the_terminal_events_text_is_authoritative(modules: Page) -> None:
    end = entry(
        9, "turn.completed", message_id="m1", stored=True, text="All of it.", finish_reason="stop",
        usage=usage(), timings={"ttft_s": 0.1, "total_s": 1.0},
    )  # fmt: skip

    state = await reduced(modules, started(), delta(2, "All of"), end, delta(10, " more"))

    assert state["text"] == "All of it."
    assert state["status"] == "completed"
    assert state["isFinal"] is True
    assert state["usage"] == usage()


@pytest.mark.parametrize("status", ["failed", "cancelled", "interrupted"])
async def test_every_way_to_end_keeps_the_partial_text(modules: Page, status: str) -> None:
    end = entry(
        3, f"turn.{status}", message_id="m1", stored=True, text="Half", usage=usage(),
        code="llm_unavailable", detail="", retryable=True, by="operator", reason="lost",
    )  # fmt: skip

    state = await reduced(modules, started(), delta(2, "Half"), end)

    assert (state["status"], state["text"]) == (status, "Half")


async def test_after_a_stop_nothing_more_is_shown_and_the_cursor_stays_true(modules: Page) -> None:
    stop: Event = {"type": "stop.asked", "data": {}}

    state = await reduced(modules, started(), delta(2, "seen"), stop, delta(3, " unseen"))

    assert state["shown"] == "seen"
    assert state["cursor"] == "t1.1-3"


async def test_a_refused_stop_shows_all_that_came_meanwhile(modules: Page) -> None:
    stop: Event = {"type": "stop.asked", "data": {}}
    refused: Event = {"type": "stop.refused", "data": {}}

    state = await reduced(modules, started(), delta(2, "a"), stop, delta(3, "b"), refused)

    assert state["shown"] == "ab"


async def test_a_running_turns_state_does_not_touch_the_text(modules: Page) -> None:
    answer: Event = {
        "type": "turn.state",
        "data": {"turn_id": "t1", "status": "running", "text": "checkpoint", "last_seq": 40},
    }

    state = await reduced(modules, answer, started(), delta(2, "from the log"))

    assert state["text"] == "from the log"


async def test_an_ended_turns_state_stands_for_its_terminal_event(modules: Page) -> None:
    answer: Event = {
        "type": "turn.state",
        "data": {
            "turn_id": "t1", "conversation_id": "c1", "message_id": "m1", "status": "failed",
            "streaming": False, "text": "Half", "error": {"code": "llm_unavailable"},
        },
    }  # fmt: skip

    state = await reduced(modules, answer)

    assert (state["status"], state["text"]) == ("failed", "Half")
    assert state["error"]["code"] == "llm_unavailable"


async def test_heartbeats_and_bye_change_nothing(modules: Page) -> None:
    heartbeat: Event = {"type": "heartbeat", "data": {"turn_id": "t1", "last_seq": 7, "at": "now"}}
    bye: Event = {"type": "bye", "data": {"reason": "draining"}}

    state = await reduced(modules, started(), delta(2, "a"), heartbeat, bye, delta(3, "b"))

    assert state["text"] == "ab"


def read_in_pieces(log: list[Event], choice: random.Random) -> list[Event]:
    """Read a log in connections that each begin anywhere up to the cursor and are cut anywhere."""
    read: list[Event] = []
    reached = 0
    while reached < len(log):
        end = choice.randint(reached + 1, len(log))
        read += log[choice.randint(0, reached) : end]
        reached = end
    return read


async def test_any_cuts_and_repeats_of_the_log_give_the_same_text(modules: Page) -> None:
    choice = random.Random(20)  # noqa: S311 - seeded, so that a failure can be repeated
    pieces = ["Grüße, ", "👩‍👩‍👧", " and\n\n", "", "```py\n", "x = 1\u2028", "\r\n", "```"]
    log = [started(), *(delta(seq, text) for seq, text in enumerate(pieces, start=2))]
    cases = [read_in_pieces(log, choice) for _ in range(100)]

    texts = await modules.evaluate(
        f"(cases) => Promise.all(cases.map(async (events) => "
        f"(await ({_REDUCE})({{events, known: {{}}}})).text))",
        cases,
    )

    assert texts == ["".join(pieces)] * len(cases)
