"""Operators' live figures: made once a second for all who look, and ended in good order."""

from collections.abc import Awaitable, Callable

import anyio
from anyio.lowlevel import checkpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Scope

from server.event_stream import CONNECTION_EXTENSION, REST
from server.operator_streams import MAX_OPEN, OperatorStreams
from server.routes.admin import state_of
from tests.support.virtual_time import run_in_virtual_time

WAIT_S = 60.0


class Figures:
    """Makes states that are numbered, and counts them."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.made = 0
        self._takes_s = takes_s

    async def make(self) -> bytes:
        await anyio.sleep(self._takes_s)
        self.made += 1
        return b'{"number":%d}' % self.made


class Browser:
    """Reads one stream, as fast as it may; leaves after so many events. Its own connection."""

    def __init__(self, leaves_after: int = 1000) -> None:
        self.events: list[tuple[float, bytes]] = []
        self.has_ended = False
        self._leaves_after = leaves_after
        self._told: Callable[[], None] | None = None

    async def read(self, answer: Response) -> None:
        extensions = {CONNECTION_EXTENSION: self}
        scope: Scope = {"type": "http", "state": {}, "extensions": extensions}
        await answer(scope, self._receive, self._send)
        await scope["state"][REST](self._send)

    def on_disconnect(self, call: Callable[[], None] | None) -> None:
        self._told = call

    async def _receive(self) -> Message:
        raise AssertionError("nothing is read for an answer")

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.has_ended = not message["more_body"]
            if message["body"]:
                self.events.append((anyio.current_time(), message["body"]))
        if len(self.events) >= self._leaves_after and self._told is not None:
            self._told()

    @property
    def bodies(self) -> list[bytes]:
        """What came, without when."""
        return [body for _, body in self.events]


def state(number: int) -> bytes:
    """Return a state as it is on the wire."""
    return b'event: state\ndata: {"number":%d}\n\n' % number


def in_virtual_time(main: Callable[[], Awaitable[None]]) -> None:
    """Run it with a deadline."""

    async def bounded() -> None:
        with anyio.fail_after(WAIT_S):
            await main()

    run_in_virtual_time(bounded)


def test_all_who_look_see_the_same_states_each_made_once() -> None:
    async def main() -> None:
        streams, figures = OperatorStreams(send_timeout_s=5), Figures()
        browsers = [Browser(leaves_after=5) for _ in range(3)]
        async with anyio.create_task_group() as tasks:
            for browser in browsers:
                tasks.start_soon(browser.read, streams.follow(figures.make, is_welcome=yes))

        assert figures.made == 5
        for browser in browsers:
            assert browser.bodies == [state(number) for number in range(1, 6)]
            assert [round(at) for at, _ in browser.events] == [0, 1, 2, 3, 4]

    in_virtual_time(main)


def test_who_leaves_holds_up_nobody_and_while_nobody_looks_nothing_is_made() -> None:
    async def main() -> None:
        streams, figures = OperatorStreams(send_timeout_s=5), Figures()
        first, other = Browser(leaves_after=1), Browser(leaves_after=3)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.read, streams.follow(figures.make, is_welcome=yes))
            tasks.start_soon(other.read, streams.follow(figures.make, is_welcome=yes))
        await anyio.sleep(20)

        late = Browser(leaves_after=1)
        await late.read(streams.follow(figures.make, is_welcome=yes))

        assert other.bodies == [state(1), state(2), state(3)]
        assert late.bodies == [state(4)]
        assert late.events[0][0] > 20

    in_virtual_time(main)


def test_a_server_that_leaves_says_so_at_once() -> None:
    async def main() -> None:
        streams, figures, browser = OperatorStreams(send_timeout_s=5), Figures(), Browser()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(browser.read, streams.follow(figures.make, is_welcome=yes))
            await anyio.sleep(1.5)
            streams.leave_all()

        assert browser.bodies[:2] == [state(1), state(2)]
        assert b'event: bye\ndata: {"reason":"restarting"}' in browser.bodies[2]
        assert browser.has_ended
        assert browser.events[2][0] < 1.6

    in_virtual_time(main)


def test_a_stream_ends_when_the_sign_in_does() -> None:
    async def main() -> None:
        streams, figures, browser = OperatorStreams(send_timeout_s=5), Figures(), Browser()

        await browser.read(streams.follow(figures.make, is_welcome=early))

        assert browser.bodies[:2] == [state(1), state(2)]
        assert browser.bodies[-1].startswith(b"event: session.ended\n")
        assert browser.has_ended

    in_virtual_time(main)


def test_where_making_a_state_takes_too_long_a_heartbeat_comes_instead() -> None:
    async def main() -> None:
        streams, browser = OperatorStreams(send_timeout_s=5), Browser(leaves_after=2)

        await browser.read(streams.follow(Figures(takes_s=30).make, is_welcome=yes))

        assert all(b"event: heartbeat\n" in body for body in browser.bodies)
        assert [round(at) for at, _ in browser.events] == [5, 10]

    in_virtual_time(main)


def test_one_more_than_the_bound_is_told_to_come_back_and_finds_a_place_later() -> None:
    async def main() -> None:
        streams, figures = OperatorStreams(send_timeout_s=5), Figures()
        async with anyio.create_task_group() as tasks:
            for _ in range(MAX_OPEN):
                browser = Browser(leaves_after=3)
                tasks.start_soon(browser.read, streams.follow(figures.make, is_welcome=yes))
            await anyio.sleep(0.5)
            refused = Browser()
            await refused.read(streams.follow(figures.make, is_welcome=yes))

        welcome = Browser(leaves_after=1)
        await welcome.read(streams.follow(figures.make, is_welcome=yes))

        assert b'data: {"reason":"full"}' in refused.bodies[0]
        assert refused.has_ended
        assert b"event: state" in welcome.bodies[0]

    in_virtual_time(main)


def test_what_is_due_goes_between_two_parts_of_a_state() -> None:
    order: list[str] = []

    async def part(_: Request) -> Response:
        order.append("part")
        return Response(b"7")

    async def token() -> None:
        for _ in range(2):
            order.append("token")
            await checkpoint()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(token)
            told = await state_of({"one": part, "other": part}, Request({"type": "http"}))
        assert told == b'{"one":7,"other":7}'

    in_virtual_time(main)

    assert order == ["part", "token", "part", "token"]


async def yes() -> bool:
    """Everybody is welcome."""
    return True


async def early() -> bool:
    """Say who is welcome for a second and a half."""
    return anyio.current_time() < 1.5
