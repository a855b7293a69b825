"""Signing in at /admin: the token for a cookie, that no other site's page can use."""

import json
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from httpx_sse import ServerSentEvent, aconnect_sse

from server.auth.operator_sessions import COOKIE
from server.routes import admin
from tests.e2e.operators import STATE, STREAMING, token_of
from tests.support.front import unfronted
from tests.support.production import PRODUCTION
from tests.support.raw_http import request_bytes
from tests.support.server import Server, client_of, running_server

TOKEN = "operators-token-operators-token-0001"  # noqa: S105 - made up for the tests
SETTINGS = {
    **PRODUCTION,
    "admin_token": TOKEN,
    "trusted_proxies": "127.0.0.1",
}
SESSION = "/admin/session"
EVENTS = "/admin/events"
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://other.chat.example"},
]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server in production behind a proxy that tells the callers' addresses."""
    running = running_server(tmp_path_factory.mktemp("server"), **SETTINGS)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as server:
        yield server


@pytest.fixture
async def browser(production: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Have a caller that keeps cookies, and has none."""
    async with client_of(production.port) as client:
        yield client


@pytest.fixture
async def operator(browser: httpx.AsyncClient) -> httpx.AsyncClient:
    """Have a caller that has signed in."""
    answer = await browser.post(SESSION, json={"token": TOKEN})
    assert answer.status_code == 200, answer.text
    return browser


@unfronted("its clients always come over https")
async def test_the_token_is_exchanged_for_a_cookie_that_scripts_and_other_sites_never_see(
    browser: httpx.AsyncClient,
) -> None:
    answer = await browser.post(SESSION, json={"token": f" {TOKEN}\n"})
    behind_tls = await browser.post(
        SESSION, json={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"}
    )

    attributes = set(answer.headers["set-cookie"].lower().split("; ")[1:])
    assert attributes == {"httponly", "samesite=strict", "path=/", "max-age=28800"}
    assert "secure" in behind_tls.headers["set-cookie"].lower().split("; ")
    assert TOKEN not in answer.headers["set-cookie"]
    assert answer.json()["signed_in"] is True


async def test_the_cookie_opens_what_the_token_opens_and_the_history_tells_them_apart(
    operator: httpx.AsyncClient,
) -> None:
    session = (await operator.get(SESSION)).json()
    state = await operator.get(STATE)
    killed = await operator.post(f"{STREAMING}/kill", json={"reason": "a try"})
    ended = await operator.delete(f"{STREAMING}/kill", params={"reason": "over"})
    history = (await operator.get(f"{STREAMING}/history")).json()["history"]

    assert session["signed_in"] is True
    assert session["ends_at"] is not None
    assert [each.status_code for each in (state, killed, ended)] == [200] * 3
    assert [(each["action"], each["who"], each["why"]) for each in history[:2]] == [
        ("end_kill", "admin_cookie", "over"),
        ("kill", "admin_cookie", "a try"),
    ]


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_another_sites_page_can_do_nothing_with_the_cookie(
    operator: httpx.AsyncClient, foreign: dict[str, str]
) -> None:
    before = (await operator.get(f"{STREAMING}")).json()["version"]

    answers = [
        await operator.post(f"{STREAMING}/kill", headers=foreign),
        await operator.delete(f"{STREAMING}/kill", headers=foreign),
        await operator.post(SESSION, json={"token": TOKEN}, headers=foreign),
        await operator.delete(SESSION, headers=foreign),
    ]

    assert [answer.json()["code"] for answer in answers] == ["cross_site"] * 4
    assert all("set-cookie" not in answer.headers for answer in answers)
    assert (await operator.get(f"{STREAMING}")).json()["version"] == before


async def test_signing_out_takes_the_cookie_away(operator: httpx.AsyncClient) -> None:
    answer = await operator.delete(SESSION)

    assert answer.status_code == 204
    assert COOKIE not in operator.cookies
    assert (await operator.get(SESSION)).json() == {
        "signed_in": False,
        "ends_at": None,
        "user": None,
        "is_expired": False,
    }
    assert (await operator.get(STATE)).status_code == 401


async def test_a_forged_cookie_opens_nothing(browser: httpx.AsyncClient) -> None:
    for cookie in ("operator", "operator.aaaaaa.bbbb", ""):
        headers = {"Cookie": f"{COOKIE}={cookie}"}
        paths = (STATE, EVENTS, STREAMING)

        with anyio.fail_after(10):  # live figures would never end
            answers = [await browser.get(path, headers=headers) for path in paths]

        assert [answer.status_code for answer in answers] == [401] * len(paths)


@unfronted("it tells another address than a caller claims")
async def test_a_wrong_token_is_refused_and_the_eleventh_in_a_minute_has_to_wait(
    browser: httpx.AsyncClient,
) -> None:
    guesser, other = {"X-Forwarded-For": "192.0.2.7"}, {"X-Forwarded-For": "192.0.2.8"}

    guesses = [
        await browser.post(SESSION, json={"token": f"guess {number}"}, headers=guesser)
        for number in range(11)
    ]
    even_right = await browser.post(SESSION, json={"token": TOKEN}, headers=guesser)
    elsewhere = await browser.post(SESSION, json={"token": TOKEN}, headers=other)

    assert [answer.status_code for answer in guesses] == [401] * 10 + [429]
    assert guesses[0].json()["code"] == "wrong_token"
    assert guesses[-1].json()["code"] == "too_many_tries"
    assert 0 < int(guesses[-1].headers["retry-after"]) <= 60
    assert even_right.status_code == 429
    assert elsewhere.status_code == 200
    assert all("set-cookie" not in answer.headers for answer in [*guesses, even_right])


async def test_who_sends_many_guesses_at_once_has_no_more_of_them_than_one_by_one(
    production: Server, browser: httpx.AsyncClient
) -> None:
    body = b'{"token": "guess"}'
    headers = {"Content-Type": "application/json", "X-Forwarded-For": "192.0.2.9"}
    request = request_bytes("POST", SESSION, port=production.port, headers=headers, body=body)
    answers: list[bytes] = []

    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", production.port))
            for _ in range(15)
        ]
        for stream in streams:
            await stream.send(request.removesuffix(body))
        assert (await browser.get("/health/live")).status_code == 200  # after those that wait
        for stream in streams:
            await stream.send(body)
            with anyio.fail_after(10):
                answers.append((await stream.receive())[9:12])

    assert answers == [b"401"] * 10 + [b"429"] * 5


@pytest.mark.parametrize(
    "body", ["{}", '{"token": 7}', '{"token": ""}', "[]", '{"token": "a", "b": 1}']
)
async def test_what_is_no_token_at_all_is_told_and_counts_as_no_guess(
    browser: httpx.AsyncClient, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answers = [await browser.post(SESSION, content=body, headers=headers) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [422] * 3


async def test_the_page_itself_tells_nothing_and_is_open(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/admin")

    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-cache"
    assert "set-cookie" not in answer.headers
    assert not answer.url.query


async def watched(client: httpx.AsyncClient) -> AsyncGenerator[ServerSentEvent, None]:
    """Yield the events of the live figures."""
    async with aconnect_sse(client, "GET", EVENTS) as source:
        async for event in source.aiter_sse():
            yield event  # noqa: ASYNC119  # read to the end, or in aclosing


async def test_live_figures_are_what_their_own_addresses_answer(
    operator: httpx.AsyncClient,
) -> None:
    with anyio.fail_after(10):
        async with aclosing(watched(operator)) as events:
            first, second = [await anext(events) for _ in range(2)]
    states = [json.loads(event.data) for event in (first, second)]
    flags = (await operator.get(STATE)).json()

    assert (first.event, second.event) == ("state", "state")
    assert list(states[0]) == list(admin.PARTS)
    assert all(part is not None for part in states[0].values())
    assert (
        states[0]["flags"]["flags"]["streaming"]["version"]
        == (flags["flags"]["streaming"]["version"])
    )
    assert states[1]["service"]["uptime_s"] > states[0]["service"]["uptime_s"]


async def test_who_watches_is_asked_to_leave_when_the_server_does(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        server.client.headers["Authorization"] = f"Bearer {token_of(tmp_path)}"
        with anyio.fail_after(15):
            async with aclosing(watched(server.client)) as events:
                names = [(await anext(events)).event]
                server.signal(signal.SIGTERM)
                names += [event.event async for event in events]
            code = await server.exit_code()

    assert names[-1] == "bye"
    assert set(names[:-1]) == {"state"}
    assert code == 0
