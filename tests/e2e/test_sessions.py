"""What a session's end, an expired token or a worthless bearer means for whoever reads on."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import jwt
import pytest
from anyio.from_thread import start_blocking_portal
from httpx_sse import ServerSentEvent, aconnect_sse

from accounts.sqlite import SqliteAccounts
from server.auth.tokens import key_id
from storage.sqlite import SqliteDatabase
from tests.e2e.operators import token_of
from tests.e2e.people import (
    AUTH,
    CONVERSATIONS,
    PASSWORD,
    Person,
    code_of,
    make_admin,
    operate,
    registered,
    sign_in,
    signed_in,
)
from tests.support.chat import data_of, log_of
from tests.support.front import cookie, unfronted
from tests.support.mongo import MongoServer, running_mongo
from tests.support.server import Server, client_of, running_server

pytestmark = pytest.mark.services

JWT_SECRET = "a secret for access tokens, at random"  # noqa: S105 - made up for the tests
API_KEYS = "/api/v1/api-keys"
SOON_S = 10.0
KILL = "/api/v1/flags/streaming/kill"

Events = AsyncGenerator[ServerSentEvent, None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = running_server(
        tmp_path_factory.mktemp("server"), offline_tokens_per_s=100, jwt_secret=JWT_SECRET
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as server:
        yield server
        assert "Traceback" not in log_of(server)


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(server.port) as client:
        yield client


async def reading(person: Person) -> tuple[str, Events]:
    """Start a turn, and return what reads it."""
    started = (await person.http.post("/api/v1/turns", json={"message": "Hello"})).json()

    async def events() -> Events:
        async with aconnect_sse(person.http, "GET", started["events_url"]) as source:
            async for event in source.aiter_sse():
                yield event  # noqa: ASYNC119  # callers read to the end, or in aclosing

    return str(started["turn_id"]), events()


async def read_to_the_end(events: Events) -> list[ServerSentEvent]:
    with anyio.fail_after(SOON_S):
        return [event async for event in events]


async def ended(person: Person, server: Server, how: str) -> None:
    """Have a person's session end."""
    async with client_of(server.port) as other:
        if how == "signed_out":
            await other.post(f"{AUTH}/logout", headers=person.bearer)
        elif how == "password_changed":
            elsewhere = await sign_in(other, person.email)
            body = {"current_password": PASSWORD, "new_password": PASSWORD + "!"}
            await elsewhere.http.post(f"{AUTH}/password", json=body)
        elif how == "disabled":
            await operate(server, "PATCH", f"/api/v1/users/{person.user_id}", is_disabled=True)


@pytest.mark.parametrize("how", ["signed_out", "password_changed", "disabled"])
async def test_an_open_stream_ends_with_its_session_and_is_not_opened_again(
    server: Server, how: str
) -> None:
    async with registered(server, f"{how}@example.com") as ann:
        turn_id, events = await reading(ann)
        async with aclosing(events):
            first = await anext(events)
            await ended(ann, server, how)
            last = (await read_to_the_end(events))[-1]
        again = await ann.http.get(f"/api/v1/turns/{turn_id}/events")

        assert first.event == "turn.started"
        assert (last.event, data_of(last)) == ("session.ended", {"reason": how})
        assert last.id != ""  # the cursor stays where it was
        assert (again.status_code, again.content) == (204, b"")
        state = await ann.http.get(f"/api/v1/turns/{turn_id}")
        assert code_of(state) == (401, "session_ended")


@pytest.mark.long
async def test_the_turn_goes_on_when_its_readers_session_has_ended(server: Server) -> None:
    async with registered(server, "goes-on@example.com") as ann:
        turn_id, events = await reading(ann)
        async with aclosing(events):
            await anext(events)
            await ann.http.post(f"{AUTH}/logout")
            await read_to_the_end(events)
        async with signed_in(server, "goes-on@example.com") as back:
            told = await back.http.get(f"/api/v1/turns/{turn_id}/events")
            state = (await back.http.get(f"/api/v1/turns/{turn_id}")).json()

    assert "event: turn.completed" in told.text
    assert state["status"] == "completed"


@pytest.mark.long
async def test_other_sessions_streams_of_the_same_turn_stay_open(server: Server) -> None:
    email = "two-tabs@example.com"
    async with registered(server, email) as ann, signed_in(server, email) as phone:
        turn_id, events = await reading(ann)
        async with aclosing(events):
            await anext(events)
            answer, tasks = list[httpx.Response](), anyio.create_task_group()

            async def read() -> None:
                answer.append(await phone.http.get(f"/api/v1/turns/{turn_id}/events"))

            async with tasks:
                tasks.start_soon(read)
                await ann.http.post(f"{AUTH}/logout")
                await read_to_the_end(events)

    assert "event: turn.completed" in answer[0].text
    assert "session.ended" not in answer[0].text


def expired(person: Person) -> str:
    """Return a token of a person's session as it was, had it been made an hour ago."""
    claims = jwt.decode(person.tokens["access_token"], options={"verify_signature": False})
    for name in ("iat", "nbf", "exp"):
        claims[name] -= 3600
    headers = {"typ": "at+jwt", "kid": key_id(JWT_SECRET)}
    return jwt.encode(claims, JWT_SECRET, "HS256", headers)


async def test_who_has_an_expired_token_refreshes_and_is_no_guest_meanwhile(
    server: Server,
) -> None:
    async with registered(server, "expired@example.com") as ann, client_of(server.port) as http:
        started = (await ann.http.post("/api/v1/turns", json={"message": "Hello"})).json()
        for headers in (
            {"Cookie": f"{cookie('chat_access')}={expired(ann)}"},
            {"Authorization": f"Bearer {expired(ann)}"},
        ):
            told = await http.get(f"{AUTH}/me", headers=headers)
            stream = await http.get(started["events_url"], headers=headers)

            assert code_of(told) == (401, "token_expired")
            assert "POST /api/v1/auth/refresh" in told.json()["detail"]
            assert stream.text.startswith("retry: ")
            assert 'event: bye\ndata: {"reason":"token_expired"}' in stream.text
            assert (await http.get("/", headers=headers)).status_code == 200
        assert not http.cookies
        assert (await ann.http.post(f"{AUTH}/refresh")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer wrong")],
        [("Authorization", "Bearer ck_key_1_" + "a" * 43)],
        [("Authorization", "bearer a.b.c")],
        [("Authorization", "Bearer " + "a" * 5000)],
        [("Authorization", "Bearer \xff\xfe")],
        pytest.param(
            [("Authorization", "Bearer wrong"), ("Authorization", "Bearer wrong")],
            marks=unfronted("it refuses such a request itself"),
        ),
        [("Authorization", "Bearer")],
        [("Authorization", "BEARER\twrong")],
    ],
    ids=["text", "key", "jwt", "long", "bytes", "two", "empty", "tab"],
)
async def test_a_bearer_that_proves_nothing_is_refused_also_beside_a_good_cookie(
    server: Server, headers: list[tuple[str, str]]
) -> None:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    async with client_of(server.port) as guest:
        await guest.get(f"{AUTH}/me")
        for path in (CONVERSATIONS, f"{AUTH}/me", API_KEYS, "/api/metrics"):
            answer = await guest.get(path, headers=httpx.Headers(sent))
            assert code_of(answer) == (401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert (await guest.get("/health", headers=httpx.Headers(sent))).status_code == 200
        assert (await guest.get(f"{AUTH}/options", headers=httpx.Headers(sent))).status_code == 200


async def test_another_scheme_is_the_proxys_and_hides_no_cookie(http: httpx.AsyncClient) -> None:
    me = (await http.get(f"{AUTH}/me")).json()

    again = await http.get(f"{AUTH}/me", headers={"Authorization": "Basic dXNlcjpwYXNz"})

    assert again.json() == me


async def test_a_token_in_the_query_is_not_looked_at(server: Server) -> None:
    async with registered(server, "query@example.com") as ann, client_of(server.port) as http:
        token = ann.tokens["access_token"]
        for name in ("access_token", "token", "authorization"):
            answer = await http.get(f"{AUTH}/sessions", params={name: token})
            assert answer.status_code == 401
        log = log_of(server)

    assert token not in log


async def test_an_operators_token_beside_a_sign_in_is_both(server: Server) -> None:
    async with registered(server, "both@example.com") as ann:
        token = {"Authorization": f"Bearer {token_of(server.data_dir)}"}
        me = await ann.http.get(f"{AUTH}/me", headers=token)
        users = await ann.http.get("/api/v1/users", headers=token)

    assert me.json()["user"]["user_id"] == ann.user_id
    assert users.status_code == 200


async def new_key(person: Person, *scopes: str, **body: object) -> dict[str, str]:
    wanted = {"name": "a shop", "scopes": list(scopes), **body}
    answer = await person.http.post(API_KEYS, json=wanted)
    assert answer.status_code == 201, answer.text
    told: dict[str, str] = answer.json()
    return told


async def listed_keys(person: Person) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = (await person.http.get(API_KEYS)).json()["api_keys"]
    return keys


def bearer(key: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {key['key']}"}


async def test_a_key_for_chat_sees_its_users_conversations_and_nothing_else(
    server: Server, http: httpx.AsyncClient
) -> None:
    async with registered(server, "shop@example.com") as ann:
        key = await new_key(ann, "chat")
        made = (await ann.http.post(CONVERSATIONS, json={})).json()["conversation_id"]

        listed = await http.get(CONVERSATIONS, headers=bearer(key))
        refused = [
            await http.get(API_KEYS, headers=bearer(key)),
            await http.get(f"{AUTH}/sessions", headers=bearer(key)),
            await http.get("/api/v1/users", headers=bearer(key)),
            await http.post(f"{AUTH}/password", json={}, headers=bearer(key)),
        ]

        assert [item["conversation_id"] for item in listed.json()["conversations"]] == [made]
        assert {code_of(answer) for answer in refused} == {(403, "forbidden")}
        assert not http.cookies
        told = (await ann.http.get(API_KEYS)).json()["api_keys"]
        assert [item["key_id"] for item in told] == [key["key_id"]]
        assert "key" not in told[0]
        assert "hash" not in str(told)


async def test_a_key_is_worth_nothing_once_it_is_revoked_or_its_user_disabled(
    server: Server, http: httpx.AsyncClient
) -> None:
    async with registered(server, "revoke@example.com") as ann:
        first, second = await new_key(ann, "chat"), await new_key(ann, "chat")
        for key in (first, second):
            assert (await http.get(CONVERSATIONS, headers=bearer(key))).status_code == 200

        path = f"{API_KEYS}/{first['key_id']}"
        async with registered(server, "other@example.com") as bob:
            assert code_of(await bob.http.delete(path)) == (404, "api_key_not_found")
        assert (await ann.http.delete(path)).status_code == 204
        assert (await ann.http.delete(path)).status_code == 204
        assert (await http.get(CONVERSATIONS, headers=bearer(first))).status_code == 401
        await operate(server, "PATCH", f"/api/v1/users/{ann.user_id}", is_disabled=True)
        assert (await http.get(CONVERSATIONS, headers=bearer(second))).status_code == 401


async def test_keys_for_operators_things_are_made_by_admins_and_good_while_they_are(
    tmp_path: Path,
) -> None:
    production = {"allow_guests": "false", "session_check_s": 0}
    async with running_server(tmp_path, **production) as server, client_of(server.port) as http:
        await make_admin(server, "stays@example.com")
        await make_admin(server, "boss@example.com")
        async with (
            signed_in(server, "boss@example.com") as boss,
            registered(server, "ann@example.com") as ann,
        ):
            wanted = {"name": "ours", "scopes": ["flags"]}
            assert code_of(await ann.http.post(API_KEYS, json=wanted)) == (403, "forbidden")
            key = await new_key(boss, "flags", "ofrep")
            asked = {"context": {"targetingKey": "ann"}}
            told = await http.post("/ofrep/v1/evaluate/flags", json=asked, headers=bearer(key))
            assert told.status_code == 200
            change = await http.post("/api/v1/flags/streaming/kill", headers=bearer(key))
            assert change.status_code == 403
            chat = await http.get(CONVERSATIONS, headers=bearer(key))
            assert code_of(chat) == (403, "forbidden")


@pytest.mark.long
async def test_a_keys_last_use_is_told_within_half_a_minute(
    server: Server, http: httpx.AsyncClient
) -> None:
    async with registered(server, "used@example.com") as ann:
        key = await new_key(ann, "chat", expires_in_days=1)
        assert (await http.get(CONVERSATIONS, headers=bearer(key))).status_code == 200
        with anyio.fail_after(30):
            while (told := (await listed_keys(ann))[0])["last_used_at"] is None:  # noqa: ASYNC110  # in another process
                await anyio.sleep(0.1)

    assert datetime.now(UTC) - datetime.fromisoformat(told["last_used_at"]) < timedelta(minutes=1)
    assert datetime.fromisoformat(told["expires_at"]) > datetime.now(UTC)


@pytest.mark.long
async def test_guesses_of_an_address_are_slowed_and_what_was_right_there_is_not(
    tmp_path: Path,
) -> None:
    settings = {"rate_limit_enabled": "true", "rate_limit_auth": "0", "rate_limit_api": "0"}
    async with running_server(tmp_path, **settings) as server, client_of(server.port) as http:
        right = {"Authorization": f"Bearer {token_of(tmp_path)}"}
        assert (await http.get("/api/v1/users", headers=right)).status_code == 200
        answers = [
            await http.get("/api/v1/users", headers={"Authorization": f"Bearer guess {number}"})
            for number in range(15)
        ]
        statuses = [answer.status_code for answer in answers]

        assert statuses[:11] == [401] * 11
        assert set(statuses[11:]) <= {401, 429}
        assert statuses[11:].count(429) >= 2
        slowed = next(answer for answer in answers if answer.status_code == 429)
        assert code_of(slowed) == (429, "too_many_tries")
        assert slowed.headers["retry-after"] == "1"
        assert (await http.get("/api/v1/users", headers=right)).status_code == 200


@pytest.mark.long
async def test_wrong_passwords_from_many_addresses_slow_an_account_and_lock_nobody_out(
    tmp_path: Path,
) -> None:
    settings = {
        "rate_limit_enabled": "true",
        "rate_limit_auth": "0",
        "trusted_proxies": "127.0.0.1",
    }
    async with running_server(tmp_path, **settings) as server, client_of(server.port) as http:
        home = {"X-Forwarded-For": "192.0.2.1"}
        body = {"email": "ann@example.com", "password": PASSWORD}
        assert (await http.post(f"{AUTH}/register", json=body, headers=home)).status_code == 201
        answers = []
        for number in range(20):
            elsewhere = {"X-Forwarded-For": f"198.51.100.{number}"}
            guess = {"email": "ann@example.com", "password": f"a wrong one {number}"}
            answers.append(await http.post(f"{AUTH}/login", json=guess, headers=elsewhere))

        assert [answer.status_code for answer in answers] == [401] * 6 + [429] * 14
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert (await http.post(f"{AUTH}/login", json=body, headers=home)).status_code == 200


@pytest.mark.long
async def test_a_session_that_ends_on_another_worker_ends_its_streams_here(
    tmp_path: Path,
) -> None:
    """The store alone says so: as when another worker, or the command line, ended it."""
    async with (
        running_server(tmp_path, offline_tokens_per_s=20, session_check_s=0) as server,
        registered(server, "ann@example.com") as ann,
    ):
        turn_id, events = await reading(ann)
        async with aclosing(events):
            await anext(events)
            async with store_of(server) as accounts:
                await accounts.sessions.end(
                    user_id=ann.user_id, reason="revoked", now=datetime.now(UTC)
                )
            last = (await read_to_the_end(events))[-1]
        assert (last.event, data_of(last)) == ("session.ended", {"reason": "revoked"})
        assert (await ann.http.get(f"/api/v1/turns/{turn_id}/events")).status_code == 204


@pytest.mark.parametrize("change", [{"role": "user"}, {"is_disabled": True}])
async def test_operators_live_figures_end_when_an_admin_is_one_no_more(
    server: Server, change: dict[str, object]
) -> None:
    await make_admin(server, f"stays-{next(iter(change))}@example.com")
    email = f"watches-{next(iter(change))}@example.com"
    await make_admin(server, email)
    async with (
        signed_in(server, email) as admin,
        aconnect_sse(admin.http, "GET", "/admin/events") as source,
    ):
        events = source.aiter_sse()
        assert (await anext(events)).event == "state"
        await operate(server, "PATCH", f"/api/v1/users/{admin.user_id}", **change)
        with anyio.fail_after(SOON_S):
            told = [event.event async for event in events]

    assert told[-1] == "session.ended"


@pytest.mark.long
async def test_while_the_accounts_are_lost_users_read_on_and_no_admin_operates(
    tmp_path: Path, mongo: MongoServer
) -> None:
    settings: dict[str, object] = {
        "mongodb_uri": f"{mongo.uri}/chatstream",
        "session_check_s": 0,
        "history_timeout_s": 0.5,
        "offline_tokens_per_s": 20,
    }
    async with running_server(tmp_path / "data", **settings) as server:
        await make_admin(server, "boss@example.com")
        async with signed_in(server, "boss@example.com") as boss:
            started = (await boss.http.post("/api/v1/turns", json={"message": "Hello"})).json()
            mongo.pause()
            refused = await boss.http.post(KILL)
            async with aconnect_sse(boss.http, "GET", started["events_url"]) as source:
                first = await anext(source.aiter_sse())
            mongo.resume()
            killed = await until_let(boss)

    assert code_of(refused) == (503, "accounts_unavailable")
    assert "retry-after" in refused.headers
    assert first.event == "turn.started"
    assert killed == 200


async def until_let(boss: Person) -> int:
    """Kill the flag as soon as the server says something else than that it cannot tell who asks."""
    with anyio.fail_after(SOON_S):
        while (status := (await boss.http.post(KILL)).status_code) == 503:  # noqa: ASYNC110  # elsewhere
            await anyio.sleep(0.1)
    return status


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[MongoServer]:
    with running_mongo(tmp_path) as running:
        yield running


async def test_who_was_demoted_by_the_store_alone_operates_nothing_with_a_living_session(
    server: Server,
) -> None:
    """As after a crash between the change of the role and the end of the sessions."""
    await make_admin(server, "stays-on@example.com")
    await make_admin(server, "crashed@example.com")
    async with signed_in(server, "crashed@example.com") as admin, store_of(server) as accounts:
        assert (await admin.http.get("/api/v1/users")).status_code == 200
        user = await accounts.users.get(admin.user_id)
        await accounts.users.put(replace(user, role="user"), if_version=user.version)

        assert code_of(await admin.http.get("/api/v1/users")) == (403, "forbidden")
        assert (await admin.http.get(CONVERSATIONS)).status_code == 200


@asynccontextmanager
async def store_of(server: Server) -> AsyncIterator[SqliteAccounts]:
    """Open a server's accounts beside it."""
    database = SqliteDatabase(server.data_dir / "chat.db", timeout_s=5)
    accounts = SqliteAccounts(database)
    await accounts.open()
    yield accounts
    await database.close()
