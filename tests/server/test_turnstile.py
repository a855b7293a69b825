"""However many requests come at once, the loop looks at everything else between a few of them."""

import asyncio

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from server.turnstile import AT_ONCE, TurnstileMiddleware, arrival

WAIT_S = 10.0
HTTP: Scope = {"type": "http"}


class App:
    """Notes in which turn of the loop each request begins."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.turn = 0

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        self.begun.append((self.turn, scope.get("number", 0)))

    def count_turns(self) -> None:
        self.turn += 1
        asyncio.get_running_loop().call_soon(self.count_turns)


async def nothing() -> Message:
    return {"type": "http.disconnect"}


async def nobody(_message: Message) -> None:
    return


async def test_few_of_a_crowd_begin_in_one_turn_of_the_loop_and_in_their_order() -> None:
    app = App()
    turnstile = TurnstileMiddleware(app)
    crowd = 20 * AT_ONCE + 3
    app.count_turns()
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            for number in range(crowd):
                tasks.start_soon(turnstile, {**HTTP, "number": number}, nothing, nobody)

    turns = [turn for turn, _ in app.begun]
    assert [number for _, number in app.begun] == list(range(crowd))
    assert max(turns.count(turn) for turn in turns) <= AT_ONCE


async def test_a_request_brings_with_it_when_it_came_and_how_long_it_waited() -> None:
    waits: list[float] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        waits.append(arrival(scope).waited_s)
        await asyncio.sleep(0)

    turnstile = TurnstileMiddleware(app)
    async with anyio.create_task_group() as tasks:
        for _ in range(5 * AT_ONCE):
            tasks.start_soon(turnstile, {**HTTP}, nothing, nobody)

    assert len(waits) == 5 * AT_ONCE
    assert max(waits[:AT_ONCE]) < min(waits[4 * AT_ONCE :])
    assert arrival(HTTP).waited_s == 0


async def test_a_lone_request_begins_at_once() -> None:
    app = App()
    turnstile = TurnstileMiddleware(app)
    for _ in range(3):
        app.begun.clear()

        await turnstile(HTTP, nothing, nobody)

        assert len(app.begun) == 1
        await asyncio.sleep(0)


async def test_who_leaves_while_waiting_holds_up_nobody() -> None:
    app = App()
    turnstile = TurnstileMiddleware(app)
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            for number in range(5 * AT_ONCE):
                tasks.start_soon(_come, turnstile, number)

    begun = {number for _, number in app.begun}
    assert begun >= set(range(0, 5 * AT_ONCE, 2))
    assert len(begun) < 5 * AT_ONCE


async def _come(turnstile: TurnstileMiddleware, number: int) -> None:
    """Come with a request; with an odd number, leave as soon as there is anything to wait for."""
    with anyio.CancelScope() as scope:
        if number % 2:
            scope.cancel()
        await turnstile({**HTTP, "number": number}, nothing, nobody)


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_what_is_no_request_passes(kind: str) -> None:
    app = App()
    turnstile = TurnstileMiddleware(app)
    for _ in range(2 * AT_ONCE):
        await turnstile({"type": kind}, nothing, nobody)

    assert len(app.begun) == 2 * AT_ONCE
