"""Coming back to a turn: whatever was read before, what follows is exactly the rest."""

import re
import subprocess
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from tests.e2e.told import ask, next_event, told_server
from tests.support.chat import Chat, chat_fixtures, cookie_of, data_of
from tests.support.front import unfronted
from tests.support.raw_http import exchange, request_bytes
from tests.support.server import Server, text_of

shared_chat, chat = chat_fixtures(
    models={"fast": "sim:tokens=40,rate=0", "slow": "sim:tokens=60,rate=60"}
)


@pytest.mark.fault(11)
async def test_from_every_place_in_an_answer_a_reader_gets_exactly_the_rest(chat: Chat) -> None:
    started = await chat.server.start("Hello", chatbot_id="fast")
    whole = await chat.server.all_events(started["turn_id"])

    for read in range(1, len(whole)):
        rest = await chat.server.all_events(started["turn_id"], whole[read - 1].id)

        assert [(e.id, e.event, e.data) for e in rest] == [
            (e.id, e.event, e.data) for e in whole[read:]
        ]


async def test_a_reader_cut_off_after_every_event_of_a_running_turn_misses_nothing(
    chat: Chat,
) -> None:
    started = await chat.server.start("Hello", chatbot_id="slow")
    turn_id = started["turn_id"]
    ids: list[str] = []
    text = ""

    with anyio.fail_after(30):
        while True:
            async with aclosing(chat.server.events(turn_id, ids[-1] if ids else None)) as events:
                event = await next_event(events)
            ids.append(event.id)
            text += text_of([event])
            if event.event == "turn.completed":
                break

    assert ids == [f"{turn_id}.1-{seq + 1}" for seq in range(len(ids))]
    assert text == data_of(event)["text"] == (await chat.server.state(turn_id))["text"]


async def test_after_the_end_there_is_nothing_and_an_event_source_stops(chat: Chat) -> None:
    started = await chat.server.start("Hello", chatbot_id="fast")
    whole = await chat.server.all_events(started["turn_id"])
    path = f"/api/v1/turns/{started['turn_id']}/events"

    answer = await chat.server.client.get(path, headers={"Last-Event-ID": whole[-1].id})

    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_cursor_may_come_by_query_and_the_header_goes_before_it(chat: Chat) -> None:
    started = await chat.server.start("Hello", chatbot_id="fast")
    whole = await chat.server.all_events(started["turn_id"])
    path = f"/api/v1/turns/{started['turn_id']}/events?last_event_id={whole[4].id}"

    by_query = await chat.server.client.get(path)
    by_both = await chat.server.client.get(path, headers={"Last-Event-ID": whole[-3].id})

    assert _ids(by_query.text) == [event.id for event in whole[5:]]
    assert _ids(by_both.text) == [event.id for event in whole[-2:]]


@pytest.mark.fault(11)
@pytest.mark.parametrize("seen", ["1-99999999", "2-1", "2-5", "999999999-1"])
async def test_a_cursor_that_was_never_written_gets_one_reset_and_then_the_rest(
    tmp_path: Path, seen: str
) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            await telling.say("One")
            await next_event(events)
            await telling.say(" two")
            covered = await next_event(events)
        async with aclosing(server.events(turn_id, f"{turn_id}.{seen}")) as events:
            reset = await next_event(events)
            await telling.end(" three")
            rest = [event async for event in events]

        assert (reset.event, reset.id) == ("turn.reset", covered.id)
        assert data_of(reset)["text"] == "One two"
        assert text_of([reset, *rest]) == "One two three" == (await server.state(turn_id))["text"]
        assert [event.id for event in rest] == [f"{turn_id}.1-{seq}" for seq in (4, 5, 6)]


async def test_a_lost_cursor_of_an_ended_turn_gets_the_text_and_the_end(chat: Chat) -> None:
    started = await chat.server.start("Hello", chatbot_id="fast")
    turn_id = started["turn_id"]
    whole = await chat.server.all_events(turn_id)

    rest = await chat.server.all_events(turn_id, f"{turn_id}.7-3")

    assert [(event.event, event.id) for event in rest] == [
        ("turn.reset", whole[-2].id),
        ("turn.completed", whole[-1].id),
    ]
    assert text_of(rest) == data_of(whole[-1])["text"]


async def test_a_log_that_was_dropped_is_made_up_for_from_the_record(tmp_path: Path) -> None:
    async with told_server(tmp_path, replay_max_bytes=0) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await telling.end("Short.")
            whole = [event async for event in events]

        fresh = await server.all_events(turn_id)
        again = await server.all_events(turn_id, whole[1].id)

        assert [event.event for event in fresh] == ["turn.reset", "turn.completed"]
        assert text_of(fresh) == text_of(again) == "Short."
        assert (fresh[-1].id, fresh[-1].data) == (whole[-1].id, whole[-1].data)
        path = f"/api/v1/turns/{turn_id}/events"
        at_end = await server.client.get(path, headers={"Last-Event-ID": fresh[-1].id})
        assert at_end.status_code == 204


@unfronted("the bare socket speaks plain HTTP")
@pytest.mark.parametrize("read", [1, 2, 20, 41, 42])
async def test_curl_and_a_bare_socket_get_the_same_rest(chat: Chat, read: int) -> None:
    started = await chat.server.start("Hello", chatbot_id="fast")
    whole = await chat.server.all_events(started["turn_id"])
    path = f"/api/v1/turns/{started['turn_id']}/events"
    headers = {"Cookie": cookie_of(chat.server), "Last-Event-ID": whole[read - 1].id}

    by_curl = await _curl(chat.server, path, headers)
    port = chat.server.port
    by_hand = await exchange(port, request_bytes("GET", path, port=port, headers=headers))

    assert by_hand.is_complete
    assert by_hand.body == by_curl
    assert _ids(by_curl.decode()) == [event.id for event in whole[read:]]


@pytest.mark.fault(10)
async def test_all_who_come_back_at_once_are_served_and_the_model_is_asked_once(
    chat: Chat,
) -> None:
    await chat.simulator.reset()
    started = await chat.server.start("Hello", chatbot_id="slow")
    turn_id, answers = started["turn_id"], []

    async def read() -> None:
        answers.append(await chat.server.all_events(turn_id))

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(read)

    first = [event.data for event in answers[0]]
    assert first
    assert all([event.data for event in answer] == first for answer in answers)
    assert (await chat.simulator.stats())["requests"] == 1


@pytest.mark.fault(12)
async def test_nobody_else_can_read_or_touch_a_turn(chat: Chat) -> None:
    state = await chat.server.run_turn("Mine", chatbot_id="fast")
    turn = f"/api/v1/turns/{state['turn_id']}"
    conversation = f"/api/v1/conversations/{state['conversation_id']}"
    before = await chat.messages(state["conversation_id"])
    tries = [
        ("GET", turn, None),
        ("GET", f"{turn}/events", None),
        ("POST", f"{turn}/cancel", {}),
        ("GET", conversation, None),
        ("PATCH", conversation, {"title": "Stolen"}),
        ("DELETE", conversation, None),
        ("GET", f"{conversation}/messages", None),
        ("PUT", f"/api/v1/messages/{state['message_id']}/feedback", {"rating": "down"}),
        ("POST", "/api/v1/turns", {"retry_of": state["turn_id"]}),
        ("POST", "/api/v1/turns", {"message": "x", "conversation_id": state["conversation_id"]}),
    ]

    async with chat.server.guest() as stranger:
        for method, path, body in tries:
            cursor = {"Last-Event-ID": f"{state['turn_id']}.1-1"}
            answer = await stranger.request(method, path, json=body, headers=cursor)
            assert answer.status_code == 404, (method, path)
            nothing = re.sub(r"(turn|conv|msg)_[0-9a-v]{23}", r"\1_none", path)
            same = await stranger.request(method, nothing, json=body)
            assert _shape(answer.json()) == _shape(same.json())
        assert (await stranger.get("/api/v1/conversations")).json()["conversations"] == []

    assert await chat.messages(state["conversation_id"]) == before


def _shape(problem: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in problem.items() if name != "request_id"}


def _ids(body: str) -> list[str]:
    return re.findall(r"^id: (\S+)$", body, re.MULTILINE)


async def _curl(server: Server, path: str, headers: dict[str, str]) -> bytes:
    fields = [f"-H{name}: {value}" for name, value in headers.items()]
    command = ["curl", "-sN", "--max-time", "10", *fields, f"{server.url}{path}"]
    done = await anyio.run_process(command, stderr=subprocess.DEVNULL)
    return done.stdout
