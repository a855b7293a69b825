"""Stopping a turn: at once, at what was seen, once, and at any time."""

from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from tests.e2e.told import ask, next_event, told_server
from tests.support.chat import TERMINAL_EVENTS, Chat, chat_fixtures, data_of
from tests.support.server import Server, text_of

shared_chat, chat = chat_fixtures(
    models={
        "slow": "sim:tokens=400,rate=40",
        "quick": "sim:tokens=60,rate=300",
        "silent": "fault:stall-first",
    }
)


async def cancel(server: Server, turn_id: str, seen: str | None = None) -> dict[str, object]:
    """Stop a turn and return its state."""
    path, body = f"/api/v1/turns/{turn_id}/cancel", {} if seen is None else {"seen": seen}
    answer = await server.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    state: dict[str, object] = answer.json()
    return state


async def test_a_cancel_hangs_up_on_the_model_and_keeps_what_was_written(tmp_path: Path) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            await telling.say("Enough")
            await next_event(events)

            state = await cancel(server, turn_id)
            end = await next_event(events)

        await telling.until_closed()
        assert (state["status"], state["text"], state["stored"]) == ("cancelled", "Enough", True)
        assert end.event == "turn.cancelled"
        assert (data_of(end)["by"], data_of(end)["text"]) == ("user", "Enough")
        assert end.id == f"{turn_id}.1-3"


async def test_the_model_is_left_in_a_moment(chat: Chat) -> None:
    await chat.simulator.reset()
    started = await chat.server.start(chatbot_id="slow")
    async with aclosing(chat.server.events(started["turn_id"])) as events:
        await next_event(events)
        await next_event(events)

    await chat.cancel(started["turn_id"])
    stats = await chat.simulator.wait_for(lambda stats: stats["open"] == 0)

    assert [stream["state"] for stream in stats["streams"]] == ["closed_early"]
    assert stats["streams"][0]["tokens"] < 400


@pytest.mark.long
@pytest.mark.parametrize("seen", [1, 2, 3])
async def test_the_text_ends_where_the_page_had_come_to(tmp_path: Path, seen: int) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            for word in ("One", " two", " three"):
                await telling.say(word)
                await next_event(events)

            state = await cancel(server, turn_id, f"{turn_id}.1-{seen}")
            end = await next_event(events)

        text = ["", "One", "One two", "One two three"][seen - 1]
        assert state["text"] == data_of(end)["text"] == text
        conversation_id = state["conversation_id"]
        messages = await server.client.get(f"/api/v1/conversations/{conversation_id}/messages")
        stored = messages.json()["messages"][-1]
        assert (stored["text"], stored["status"]) == (text, "cancelled")


@pytest.mark.parametrize("seen", ["1-99", "2-2"])
async def test_a_place_that_was_never_shown_clamps_nothing(tmp_path: Path, seen: str) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            await telling.say("One")
            await next_event(events)

            state = await cancel(server, turn_id, f"{turn_id}.{seen}")

        assert (state["status"], state["text"]) == ("cancelled", "One")


async def test_a_cancel_before_the_first_word_leaves_an_empty_answer(chat: Chat) -> None:
    await chat.simulator.reset()
    started = await chat.server.start(chatbot_id="silent")
    await chat.simulator.wait_for(lambda stats: stats["open"] == 1)

    state = await chat.cancel(started["turn_id"])

    assert (state["status"], state["text"], state["last_seq"]) == ("cancelled", "", 2)
    kinds = [event.event for event in await chat.server.all_events(started["turn_id"])]
    assert kinds == ["turn.started", "turn.cancelled"]
    await chat.simulator.wait_for(lambda stats: stats["open"] == 0)
    statuses = [message["status"] for message in await chat.messages(started["conversation_id"])]
    assert statuses == ["completed", "cancelled"]


async def test_a_cancel_right_behind_the_start_is_not_lost(chat: Chat) -> None:
    for _ in range(10):
        started = await chat.server.start(chatbot_id="slow")

        state = await chat.cancel(started["turn_id"])

        assert state["status"] == "cancelled"


async def test_cancelling_again_changes_nothing(chat: Chat) -> None:
    started = await chat.server.start(chatbot_id="slow")
    first = await chat.cancel(started["turn_id"])

    again = await chat.cancel(started["turn_id"], f"{started['turn_id']}.1-1")

    assert again == first


async def test_cancelling_after_the_end_changes_nothing(chat: Chat) -> None:
    state = await chat.server.run_turn(chatbot_id="quick")

    assert await chat.cancel(state["turn_id"]) == state


async def test_many_cancels_at_once_agree(chat: Chat) -> None:
    started = await chat.server.start(chatbot_id="slow")
    states: list[dict[str, object]] = []

    async def stop() -> None:
        states.append(await chat.cancel(started["turn_id"]))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(stop)

    assert all(state == states[0] for state in states)
    assert states[0]["status"] == "cancelled"


@pytest.mark.fault(16)
@pytest.mark.long
async def test_a_cancel_that_races_with_the_end_leaves_one_end_that_all_agree_on(
    chat: Chat,
) -> None:
    outcomes = set()
    for stop_at in (*range(1, 50, 7), *range(50, 63)):  # of 63 events; the last two come together
        started = await chat.server.start(chatbot_id="quick")
        turn_id = started["turn_id"]
        async with aclosing(chat.server.events(turn_id)) as events:
            for _ in range(stop_at):
                await next_event(events)
            state = await chat.cancel(turn_id)

        whole = await chat.server.all_events(turn_id)

        ends = [event for event in whole if event.event in TERMINAL_EVENTS]
        assert ends == [whole[-1]]
        assert whole[-1].event == f"turn.{state['status']}"
        assert [event.id for event in whole] == [f"{turn_id}.1-{n + 1}" for n in range(len(whole))]
        stored = (await chat.messages(started["conversation_id"]))[-1]
        assert stored["text"] == state["text"] == data_of(whole[-1])["text"] == text_of(whole)
        outcomes.add(state["status"])

    assert "completed" in outcomes
    assert outcomes <= {"cancelled", "completed"}


async def test_a_cancel_before_a_retry_frees_the_conversation(chat: Chat) -> None:
    started = await chat.server.start("Again", chatbot_id="slow")
    await chat.cancel(started["turn_id"])

    answer = await chat.server.client.post(
        "/api/v1/turns", json={"retry_of": started["turn_id"], "chatbot_id": "quick"}
    )

    assert answer.status_code == 201
    assert (await chat.server.all_events(answer.json()["turn_id"]))[-1].event == "turn.completed"


async def test_a_turn_that_nobody_reads_is_abandoned_where_that_is_wanted(tmp_path: Path) -> None:
    async with told_server(tmp_path, abandon_after_s=0.3) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            await telling.say("Who reads")
            await next_event(events)

        await telling.until_closed()
        whole = await server.all_events(turn_id)

        assert (whole[-1].event, data_of(whole[-1])["by"]) == ("turn.cancelled", "abandoned")
        assert data_of(whole[-1])["text"] == "Who reads"


async def test_deleting_a_conversation_stops_its_turn_and_leaves_nothing(tmp_path: Path) -> None:
    async with told_server(tmp_path) as (server, model):
        started = await server.start()
        telling = await model.asked()
        path = f"/api/v1/conversations/{started['conversation_id']}"
        async with aclosing(server.events(started["turn_id"])) as events:
            await next_event(events)

            assert (await server.client.delete(path)).status_code == 204

            assert (await next_event(events)).event == "turn.cancelled"
        await telling.until_closed()
        for gone in (path, f"{path}/messages", f"/api/v1/turns/{started['turn_id']}"):
            assert (await server.client.get(gone)).status_code == 404
        assert (await server.client.get("/api/v1/conversations")).json()["conversations"] == []
