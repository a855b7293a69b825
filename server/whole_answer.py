"""The off arm's answer: one JSON document at the end of the turn, kept alive meanwhile.

Source: RFC 8259, white space before a JSON value means nothing; proxies see a body that moves.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import anyio
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from history.errors import HistoryUnavailableError, TurnNotFoundError
from history.model import TurnRecord, TurnStatus
from server import holders
from server.attaching import is_awaited_elsewhere
from server.services import Services
from server.wire import Json, ended_turn_json, state_json, turn_json

PAD_EVERY_S = 10.0


class WholeAnswerResponse(Response):
    """Waits for a turn, here or elsewhere, then sends its state. A disconnect cancels nothing.

    Args:
        until_ended: Returns when the turn has ended.
        state: Gives the state once the turn has ended.
        headers: Of the answer.
        on_close: Told once.
    """

    def __init__(
        self,
        until_ended: Callable[[], Awaitable[object]],
        *,
        state: Callable[[], Awaitable[Mapping[str, object]]],
        headers: Mapping[str, str],
        on_close: Callable[[], None],
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(
            {**headers, "Content-Type": "application/json", "Cache-Control": "no-store"}
        )
        self._until_ended = until_ended
        self._state = state
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_disconnect, receive, tasks.cancel_scope)
                await self._wait(send)
                body = JSONResponse(await self._state()).body
                await send({"type": "http.response.body", "body": body, "more_body": False})
                tasks.cancel_scope.cancel()
        finally:
            self._on_close()

    async def _wait(self, send: Send) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_pad, send)
            await self._until_ended()
            tasks.cancel_scope.cancel()


async def _pad(send: Send) -> None:
    # At once, too: to HTTP/2 nginx hands the headers on with a body's first byte, not before.
    while True:
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
        await anyio.sleep(PAD_EVERY_S)


async def _until_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def whole_answer(
    services: Services, record: TurnRecord, headers: Mapping[str, str]
) -> Response:
    """Answer with a turn's end: at once, where it has ended, else when it does."""
    turn_id, owner_id = record.turn_id, record.owner_id
    live = services.runner.find(turn_id)

    async def state() -> Json:
        try:
            return state_json(services, await services.history.turns.get(owner_id, turn_id))
        except HistoryUnavailableError:  # the answer has begun: the end is told from memory
            if live is None or live.end is None:
                return state_json(services, record)
            return ended_turn_json(live, live.end)
        except TurnNotFoundError:  # deleted with its conversation, which stopped it
            return turn_json(record) | {"status": TurnStatus.CANCELLED, "stored": False}

    if live is None and record.status is not TurnStatus.RUNNING:
        return JSONResponse(await state(), headers={**headers, "Cache-Control": "no-store"})
    readership = services.runner.readership
    if live is None:  # on another worker
        readership.joined(turn_id, elsewhere=is_awaited_elsewhere(services, record))
        wait_s = services.settings.turn_timeout_s
        until_ended: Callable[[], Awaitable[object]] = partial(
            holders.until_ended, services, turn_id, wait_s=wait_s
        )
    else:
        readership.joined(turn_id)
        until_ended = live.ended.wait
    return WholeAnswerResponse(
        until_ended, state=state, headers=headers, on_close=lambda: readership.left(turn_id)
    )
