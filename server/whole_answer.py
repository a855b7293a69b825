"""The off arm's answer: one JSON document at the end of the turn, kept alive meanwhile.

Source: RFC 8259, white space before a JSON value means nothing; proxies see a body that moves.
"""

from collections.abc import Awaitable, Callable, Mapping

import anyio
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from streaming.turn import LiveTurn

PAD_EVERY_S = 10.0


class WholeAnswerResponse(Response):
    """Waits for a turn that runs here, then sends its state. A disconnect cancels nothing.

    Args:
        turn: What to wait for.
        state: Gives the state once the turn has ended.
        headers: Of the answer.
        on_close: Told once.
    """

    def __init__(
        self,
        turn: LiveTurn,
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
        self._turn = turn
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
        while not self._turn.ended.is_set():
            with anyio.move_on_after(PAD_EVERY_S):
                await self._turn.ended.wait()
                return
            await send({"type": "http.response.body", "body": b" ", "more_body": True})


async def _until_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
