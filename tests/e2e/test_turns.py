"""A turn as its readers get it: one event at a time, in order, and equal to what is stored."""

import re
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from httpx_sse import aconnect_sse

from tests.e2e.told import ask, next_event, told_server
from tests.support.chat import TERMINAL_EVENTS, Chat, chat_fixtures, data_of
from tests.support.server import text_of

shared_chat, chat = chat_fixtures(
    models={
        "fast": "sim:tokens=300,rate=0",
        "short": "sim:tokens=5,rate=0",
        "endless": "sim:tokens=100000,rate=3000",
        "odd": "fault:odd-framing:tokens=60,rate=0",
    },
    max_response_chars=5000,
)


async def test_each_word_is_read_while_the_model_still_thinks_of_the_next(tmp_path: Path) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            assert (await next_event(events)).event == "turn.started"
            for word in ("One", " two", " three"):
                await telling.say(word)

                delta = await next_event(events)

                assert (delta.event, data_of(delta)) == ("text.delta", {"text": word})
                assert (await server.state(turn_id))["status"] == "running"
            await telling.end(".")
            rest = [(await next_event(events)).event for _ in range(3)]

        assert rest == ["text.delta", "text.done", "turn.completed"]
        state = await server.state(turn_id)
        assert (state["status"], state["text"]) == ("completed", "One two three.")


async def test_the_post_itself_streams_the_turn_to_who_asks_for_an_event_stream(
    tmp_path: Path,
) -> None:
    headers = {"Accept": "text/event-stream"}
    async with told_server(tmp_path) as (server, model), anyio.create_task_group() as tasks:
        body = {"message": "Hello"}
        source = aconnect_sse(server.client, "POST", "/api/v1/turns", json=body, headers=headers)
        async with source as stream, aclosing(stream.aiter_sse()) as events:
            telling = await model.asked()
            assert (await next_event(events)).event == "turn.started"
            await telling.say("First")
            assert data_of(await next_event(events)) == {"text": "First"}
            tasks.start_soon(telling.end)
            assert (await next_event(events)).event == "text.done"
            assert (await next_event(events)).event == "turn.completed"


@pytest.mark.parametrize("model", ["fast", "short", "odd"])
async def test_ids_count_from_one_and_the_deltas_are_the_stored_text(
    chat: Chat, model: str
) -> None:
    started = await chat.server.start("Hello", chatbot_id=model)
    turn_id = started["turn_id"]

    events = await chat.server.all_events(turn_id)

    assert [event.id for event in events] == [f"{turn_id}.1-{n + 1}" for n in range(len(events))]
    kinds = [event.event for event in events]
    assert kinds[0] == "turn.started"
    assert kinds[-2:] == ["text.done", "turn.completed"]
    assert set(kinds[1:-2]) == {"text.delta"}
    state = await chat.server.state(turn_id)
    answer = (await chat.messages(started["conversation_id"]))[-1]
    text = text_of(events).encode()
    assert text
    assert text == answer["text"].encode() == state["text"].encode()
    assert data_of(events[-2])["text"] == data_of(events[-1])["text"] == answer["text"]
    assert state["last_seq"] == len(events)


async def test_each_events_data_is_what_the_contract_says(chat: Chat) -> None:
    started = await chat.server.start("Hello", chatbot_id="short")
    events = await chat.server.all_events(started["turn_id"])

    first, done, end = data_of(events[0]), data_of(events[-2]), data_of(events[-1])
    assert set(first) == {
        "turn_id", "conversation_id", "message_id", "chatbot_id", "model", "streaming",
    }  # fmt: skip
    assert (first["chatbot_id"], first["model"]) == ("short", "sim:tokens=5,rate=0")
    assert (first["streaming"], first["turn_id"]) == (True, started["turn_id"])
    assert done == {"text": end["text"], "message_id": first["message_id"], "stored": True}
    assert set(end) == {"message_id", "stored", "text", "finish_reason", "usage", "timings"}
    assert (end["stored"], end["finish_reason"]) == (True, "stop")
    assert end["usage"]["source"] == "exact"
    assert end["usage"]["output_tokens"] == 5
    assert 0 <= end["timings"]["ttft_s"] <= end["timings"]["total_s"]


async def test_an_answer_that_grows_too_long_is_cut_and_its_model_left(chat: Chat) -> None:
    await chat.simulator.reset()
    started = await chat.server.start("Hello", chatbot_id="endless")

    events = await chat.server.all_events(started["turn_id"])

    end = data_of(events[-1])
    assert (events[-1].event, end["finish_reason"]) == ("turn.completed", "length")
    assert 2500 < len(end["text"]) <= 5000
    assert text_of(events) == end["text"]
    assert (await chat.messages(started["conversation_id"]))[-1]["text"] == end["text"]
    stats = await chat.simulator.wait_for(lambda stats: stats["open"] == 0)
    assert [stream["state"] for stream in stats["streams"]] == ["closed_early"], stats


async def test_an_event_stream_has_the_headers_of_the_contract(chat: Chat) -> None:
    started = await chat.server.start("Hello", chatbot_id="short")
    path = f"/api/v1/turns/{started['turn_id']}/events"

    answer = await chat.server.client.get(path, headers={"Accept-Encoding": "gzip, br, zstd"})

    headers = answer.headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-turn-id"] == started["turn_id"]
    assert not {"content-length", "content-encoding"} & set(headers)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (None, 201),
        ("*/*", 201),
        ("application/json", 201),
        ("text/event-stream", 200),
        ("Text/Event-Stream", 200),
        ("application/json, text/event-stream;q=0.5", 200),
        ("text/html", 201),
        ("rubbish", 201),
    ],
)
async def test_the_post_answers_as_asked(chat: Chat, accept: str | None, status: int) -> None:
    headers = {} if accept is None else {"Accept": accept}
    body = {"message": "Hello", "chatbot_id": "short"}

    answer = await chat.server.client.post("/api/v1/turns", json=body, headers=headers)

    assert answer.status_code == status
    assert answer.headers["x-streaming"] == "on"
    turn_id, conversation_id = answer.headers["x-turn-id"], answer.headers["x-conversation-id"]
    if status == 200:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert f"id: {turn_id}.1-1\n" in answer.text
    else:
        assert answer.json() == {
            "turn_id": turn_id,
            "conversation_id": conversation_id,
            "streaming": True,
            "events_url": f"/api/v1/turns/{turn_id}/events",
        }


async def test_the_state_of_a_running_turn_shows_text_and_seq_that_agree(tmp_path: Path) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            await telling.say("Half an")
            await next_event(events)

            state = await server.state(turn_id)

            assert (state["status"], state["text"]) == ("running", "Half an")
            assert (state["epoch"], state["last_seq"], state["streaming"]) == (1, 2, True)
            assert "ended_at" not in state
            await telling.end(" answer")
            await next_event(events)
        await server.all_events(turn_id)
        state = await server.state(turn_id)
        assert (state["text"], state["finish_reason"]) == ("Half an answer", "stop")
        assert state["stored"] is True
        assert state["started_at"] <= state["ended_at"]


@pytest.mark.fault(13)
async def test_two_tabs_read_the_same_turn_at_their_own_pace(tmp_path: Path) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as one, aclosing(server.events(turn_id)) as two:
            await next_event(one)
            await telling.say("a")
            assert data_of(await next_event(one)) == {"text": "a"}
            await telling.end("b")
            first = [event async for event in one]
            second = [event async for event in two]

        assert [event.id for event in first] == [event.id for event in second[2:]]
        assert text_of(second) == "ab"


@pytest.mark.fault(7)
async def test_a_reader_who_leaves_stops_nothing(tmp_path: Path) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
        await telling.say("Nobody reads ")
        await telling.end("this.")

        events_after = await server.all_events(turn_id)

        assert text_of(events_after) == "Nobody reads this."
        assert events_after[-1].event == "turn.completed"


async def test_nobody_needs_to_read_a_turn_for_it_to_be_stored(tmp_path: Path) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        await telling.end("Unread.")

        await _ended(server.client, turn_id)

        assert (await server.state(turn_id))["text"] == "Unread."


async def test_silence_is_filled_with_heartbeats_that_move_no_cursor(tmp_path: Path) -> None:
    async with told_server(tmp_path, heartbeat_s=0.2) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id, heartbeats=True)) as events:
            started = await next_event(events)
            for _ in range(3):
                beat = await next_event(events)
                assert beat.event == "heartbeat"
                assert beat.id == started.id
                assert set(data_of(beat)) == {"turn_id", "last_seq", "at"}
                assert data_of(beat)["last_seq"] == 1
            await telling.end("At last.")
            kinds = [event.event async for event in events]

        assert [kind for kind in kinds if kind != "heartbeat"][-1] == "turn.completed"


async def test_exactly_one_terminal_event_ends_a_turn(chat: Chat) -> None:
    started = await chat.server.start("Hello", chatbot_id="fast")

    kinds = [event.event for event in await chat.server.all_events(started["turn_id"])]

    assert [kind for kind in kinds if kind in TERMINAL_EVENTS] == [kinds[-1]]
    assert "error" not in kinds


async def _ended(client: httpx.AsyncClient, turn_id: str) -> None:
    with anyio.fail_after(10):
        while (await _state(client, turn_id))["status"] == "running":  # noqa: ASYNC110  unread
            await anyio.sleep(0.01)


async def _state(client: httpx.AsyncClient, turn_id: str) -> dict[str, Any]:
    state: dict[str, Any] = (await client.get(f"/api/v1/turns/{turn_id}")).json()
    return state


async def test_every_frame_is_id_event_data_and_a_blank_line(chat: Chat) -> None:
    started = await chat.server.start("Hello", chatbot_id="fast")
    path = f"/api/v1/turns/{started['turn_id']}/events"

    body = (await chat.server.client.get(path)).content

    frames = body.split(b"\n\n")
    assert frames.pop() == b""
    form = re.compile(rb"id: [\x21-\x7e]{1,127}\nevent: [a-z.]+\ndata: \{[^\r\n]*\}")
    assert all(form.fullmatch(frame) for frame in frames)
    assert len(frames) == 303
