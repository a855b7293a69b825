"""What is around every route: a crash told to nobody but the log, and other sites kept out."""

from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from metrics.turns import TurnMetrics
from server.event_stream import REST
from server.middleware import AnswerMiddleware, OriginMiddleware

TIMEOUT_S = 0.05
SECRET = "password=hunter2"  # noqa: S105 - made up, to be looked for


class CrashError(Exception):
    """A bug of ours."""


async def crash(_request: Request) -> Response:
    """Fail before the answer has begun."""
    raise CrashError(SECRET)


async def crash_late(_request: Request) -> Response:
    """Fail once it has."""

    async def body() -> AsyncIterator[bytes]:
        yield b"so far"
        raise CrashError(SECRET)

    return StreamingResponse(body())


async def fine(_request: Request) -> Response:
    """Answer."""
    return Response("fine")


async def never(_request: Request) -> Response:
    """Wait for what does not come."""
    await anyio.sleep_forever()
    raise AssertionError


async def slow_body(_request: Request) -> Response:
    """Begin at once, and take one's time."""

    async def body() -> AsyncIterator[bytes]:
        yield b"so"
        await anyio.sleep(3 * TIMEOUT_S)
        yield b" far"

    return StreamingResponse(body())


def a_client(*allowed: str) -> httpx.AsyncClient:
    """Return a client of an application with these routes behind the middleware."""
    app = Starlette(
        routes=[
            Route("/crash", crash),
            Route("/late", crash_late),
            Route("/fine", fine, methods=["GET", "POST"]),
            Route("/never", never),
            Route("/slow", slow_body),
        ],
        middleware=[
            Middleware(AnswerMiddleware, metrics=TurnMetrics(), timeout_s=TIMEOUT_S),
            Middleware(OriginMiddleware, allowed=allowed),
        ],
    )
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://chat.test")


async def test_a_crash_is_a_problem_that_tells_nothing_and_a_line_in_the_log() -> None:
    with structlog.testing.capture_logs() as logged:
        async with a_client() as http:
            answer = await http.get("/crash")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal_error")
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert SECRET not in answer.text
    assert [line["event"] for line in logged] == ["request.failed"]


async def test_a_crash_in_mid_answer_is_left_to_the_server_which_cuts_it() -> None:
    async with a_client() as http:
        with pytest.raises(CrashError):
            await http.get("/late")


async def test_an_answer_that_does_not_begin_is_given_up_and_told_of() -> None:
    with structlog.testing.capture_logs() as logged:
        async with a_client() as http:
            answer = await http.get("/never")

    assert (answer.status_code, answer.json()["code"]) == (503, "timed_out")
    assert answer.headers["retry-after"]
    assert [line["event"] for line in logged] == ["request.timed_out"]


async def test_an_answer_that_has_begun_takes_the_time_that_it_takes() -> None:
    async with a_client() as http:
        answer = await http.get("/slow")

    assert answer.text == "so far"
    assert answer.headers["cache-control"] == "no-store"


async def test_the_rest_of_an_answer_that_lasts_holds_nothing_of_its_request() -> None:
    seen: list[set[str]] = []
    headers = [(b"cookie", b"c" * 1000)]
    state: dict[str, object] = {"caller": "somebody"}
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "state": state}
    metrics = TurnMetrics()

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        async def rest(send: Send) -> None:
            seen.append(set(scope))
            await send({"type": "http.response.body", "body": b"rest", "more_body": False})

        scope["route"] = Route("/lasting", fine)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        scope["state"][REST] = rest

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await AnswerMiddleware(app, metrics=metrics)(scope, _nothing, send)

    assert seen == [{"type", "method", "route"}]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert b'route="/lasting",status="200"' in metrics.exposition()[0]


async def _nothing() -> Message:
    raise AssertionError("nothing is read")


@pytest.mark.parametrize(
    ("origin", "is_taken"),
    [
        ("http://chat.test", True),
        ("https://chat.test", True),  # a proxy in front may speak TLS
        ("https://friend.example", True),
        ("https://friend.example.evil.example", False),
        ("https://evil.example", False),
        ("http://friend.example", False),
        ("https://friend.example:8443", False),
        ("https://FRIEND.example", False),
        ("null", False),
        ("", False),
        ("http://[", False),
    ],
)
async def test_a_write_is_taken_from_our_page_and_from_allowed_ones(
    origin: str, is_taken: bool
) -> None:
    async with a_client("https://friend.example") as http:
        written = await http.post("/fine", headers={"Origin": origin})
        read = await http.get("/fine", headers={"Origin": origin})

    assert written.status_code == (200 if is_taken else 403)
    assert read.status_code == 200
