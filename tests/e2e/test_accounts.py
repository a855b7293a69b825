"""Registering, signing in and staying signed in, at a real server."""

import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from history.model import Conversation
from history.sqlite import SqliteHistory
from storage.sqlite import SqliteDatabase
from tests.e2e.people import (
    AUTH,
    BROWSER,
    CONVERSATIONS,
    PASSWORD,
    code_of,
    make_admin,
    operate,
    register,
    registered,
    sign_in,
    signed_in,
)
from tests.support.chat import log_of
from tests.support.front import cookie, unfronted
from tests.support.mongo import running_mongo
from tests.support.server import Server, client_of, running_server

GUEST, ACCESS, REFRESH = cookie("chat_guest"), cookie("chat_access"), cookie("chat_refresh")
pytestmark = pytest.mark.services

NEW_PASSWORD = "battery staple correct"  # noqa: S105 - made up for the tests


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = running_server(
        tmp_path_factory.mktemp("server"), offline_tokens_per_s=120, trusted_proxies="127.0.0.1"
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as server:
        yield server
        assert "Traceback" not in log_of(server)


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Have somebody who is nobody yet."""
    async with client_of(server.port) as client:
        yield client


def cookies_set(answer: httpx.Response) -> dict[str, str]:
    """Return the attributes of each cookie that an answer sets, by name."""
    lines = [line.partition("=") for line in answer.headers.get_list("set-cookie")]
    return {name: rest.partition("; ")[2] for name, _, rest in lines}


async def owned(http: httpx.AsyncClient, **headers: str) -> list[str]:
    answer = await http.get(CONVERSATIONS, headers=headers)
    assert answer.status_code == 200, answer.text
    return [item["conversation_id"] for item in answer.json()["conversations"]]


async def test_a_guest_who_registers_keeps_id_conversations_and_a_running_turn(
    server: Server, http: httpx.AsyncClient
) -> None:
    guest = (await http.get(f"{AUTH}/me")).json()["user"]
    started = (await http.post("/api/v1/turns", json={"message": "What is a turn?"})).json()
    old_cookie = {"Cookie": f"{GUEST}={http.cookies[GUEST]}"}

    ann = await register(http, "keeps@example.com")
    running = (await http.get(f"/api/v1/turns/{started['turn_id']}")).json()
    events = await http.get(f"/api/v1/turns/{started['turn_id']}/events")

    assert guest == {"user_id": ann.user_id, "role": "guest"}
    assert running["status"] == "running"
    assert "event: turn.completed" in events.text
    assert await owned(http) == [started["conversation_id"]]
    async with client_of(server.port) as thief:  # with a copy of the cookie
        assert await owned(thief, **old_cookie) == []
        assert GUEST in thief.cookies


async def test_who_signs_in_to_an_account_is_the_same_guest_again_after_signing_out(
    server: Server, http: httpx.AsyncClient
) -> None:
    async with registered(server, "again@example.com"):
        made = (await http.post(CONVERSATIONS, json={})).json()["conversation_id"]
        await sign_in(http, "again@example.com")
        assert await owned(http) == []
        out = await http.post(f"{AUTH}/logout")

    assert out.status_code == 204
    assert set(http.cookies) == {GUEST}
    assert await owned(http) == [made]


async def test_browsers_get_cookies_that_no_script_can_read_and_no_tokens(
    http: httpx.AsyncClient,
) -> None:
    body = {"email": "browser@example.com", "password": PASSWORD, "name": "Ann"}
    answer = await http.post(f"{AUTH}/register", json=body, headers=BROWSER)

    assert answer.status_code == 201
    assert set(answer.json()) == {"user", "expires_in"}
    assert answer.json()["user"]["name"] == "Ann"
    assert answer.headers["cache-control"] == "no-store"
    told = cookies_set(answer)
    assert set(told) == {ACCESS, REFRESH}
    for name in told:
        assert told[name].startswith("Path=/; Max-Age=12095")
        assert "; HttpOnly; SameSite=Lax" in told[name]
    assert (await http.get(f"{AUTH}/me")).json()["user"] == answer.json()["user"]


@unfronted("its clients always come over https")
async def test_over_https_the_cookies_are_bound_to_host_and_tls_and_only_those_are_read(
    http: httpx.AsyncClient,
) -> None:
    tls = {"X-Forwarded-Proto": "https"}
    body = {"email": "tls@example.com", "password": PASSWORD}
    answer = await http.post(f"{AUTH}/register", json=body, headers=tls)
    told = cookies_set(answer)
    access = answer.json()["access_token"]

    assert set(told) == {"__Host-chat_access", "__Host-chat_refresh"}
    assert all(attributes.endswith("; Secure") for attributes in told.values())
    for name, status in (("__Host-chat_access", 200), ("chat_access", 401)):
        headers = {**tls, "Cookie": f"{name}={access}"}
        sessions = await http.get(f"{AUTH}/sessions", headers=headers)
        assert sessions.status_code == status
    guest = await http.get(f"{AUTH}/me", headers=tls)
    assert set(cookies_set(guest)) == {"__Host-chat_guest"}


async def test_whoever_cannot_sign_in_is_told_the_same(
    server: Server, http: httpx.AsyncClient
) -> None:
    await operate(server, "POST", "/api/v1/users", email="nopassword@example.com")
    disabled = await operate(
        server, "POST", "/api/v1/users", email="disabled@example.com", password=PASSWORD
    )
    await operate(server, "PATCH", f"/api/v1/users/{disabled['user_id']}", is_disabled=True)
    async with registered(server, "known@example.com"):
        tries = [
            ("known@example.com", "a wrong password"),
            ("unknown@example.com", PASSWORD),
            ("nopassword@example.com", PASSWORD),
            ("disabled@example.com", PASSWORD),
        ]
        told = []
        for email, password in tries:
            answer = await http.post(f"{AUTH}/login", json={"email": email, "password": password})
            told.append({**answer.json(), "request_id": ""})

    assert told[0]["code"] == "wrong_credentials"
    assert told == [told[0]] * 4
    assert not http.cookies


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "ann", "password": PASSWORD}, "email"),
        ({"email": "a@b@c", "password": PASSWORD}, "email"),
        ({"email": "ann@example.com", "password": "short"}, "password"),
        ({"email": "ann@example.com", "password": "password123"}, "password"),
        ({"email": "longer@example.com", "password": "longer@example.com"}, "password"),
        ({"email": "ann@example.com", "password": "x" * 200_000}, "password"),
        ({"email": {"$ne": None}, "password": PASSWORD}, "email"),
        ({"email": "ann@example.com", "password": {"$gt": ""}}, "password"),
        ({"email": "ann@example.com", "password": PASSWORD, "role": "admin"}, "role"),
        ({"email": "ann@example.com", "password": PASSWORD, "user_id": "user_1"}, "user_id"),
        ({"email": "ann@example.com", "password": PASSWORD, "name": "a\u202eb"}, "name"),
    ],
)
async def test_what_cannot_be_an_account_is_refused_by_field(
    http: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await http.post(f"{AUTH}/register", json=body)

    assert code_of(answer) == (422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_an_address_has_one_account_however_it_is_written(
    server: Server, http: httpx.AsyncClient
) -> None:
    async with registered(server, "Once@Example.com") as ann:
        again = {"email": " once@example.COM ", "password": PASSWORD}
        answer = await http.post(f"{AUTH}/register", json=again)
        assert code_of(answer) == (409, "email_taken")
        assert (await sign_in(http, "ONCE@example.com")).user_id == ann.user_id


async def test_a_guests_parallel_registrations_are_as_many_accounts(
    server: Server, http: httpx.AsyncClient
) -> None:
    await http.get(f"{AUTH}/me")
    cookie = {"Cookie": f"{GUEST}={http.cookies[GUEST]}"}
    answers: list[httpx.Response] = []

    async def one(number: int) -> None:
        body = {"email": f"parallel{number}@example.com", "password": PASSWORD}
        async with client_of(server.port) as client:
            answers.append(await client.post(f"{AUTH}/register", json=body, headers=cookie))

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one, number)

    ids = [answer.json()["user"]["user_id"] for answer in answers]
    assert len(set(ids)) == 4
    assert sum(user_id.startswith("guest_") for user_id in ids) == 1


async def test_parallel_refreshes_are_one_family(server: Server) -> None:
    async with registered(server, "family@example.com") as ann, client_of(server.port) as http:
        body = {"refresh_token": ann.tokens["refresh_token"]}
        answers: list[httpx.Response] = []

        async def one() -> None:
            answers.append(await http.post(f"{AUTH}/refresh", json=body))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1
        listed = (await http.get(f"{AUTH}/sessions", headers=ann.bearer)).json()["sessions"]
        assert len(listed) == 1
        newest = {"refresh_token": answers[0].json()["refresh_token"]}
        assert (await http.post(f"{AUTH}/refresh", json=newest)).status_code == 200


async def test_a_refresh_token_that_is_used_twice_ends_its_session(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path, refresh_grace_s=0) as server,
        registered(server, "ann@example.com") as ann,
        client_of(server.port) as thief,
    ):
        stolen = {"refresh_token": ann.tokens["refresh_token"]}
        assert (await ann.http.post(f"{AUTH}/refresh")).status_code == 200

        answer = await thief.post(f"{AUTH}/refresh", json=stolen)

        assert code_of(answer) == (401, "refresh_reused")
        assert code_of(await ann.http.get(f"{AUTH}/me")) == (401, "session_ended")
        refused = await ann.http.post(f"{AUTH}/refresh")
        assert code_of(refused) == (401, "session_ended")
        assert not {ACCESS, REFRESH} & set(ann.http.cookies)


@pytest.mark.parametrize("token", ["", "rt_", "rt_AAAA", "rt_" + "A" * 90, "x" * 256, "eyJ.e.e"])
async def test_no_other_text_is_a_refresh_token(http: httpx.AsyncClient, token: str) -> None:
    answer = await http.post(f"{AUTH}/refresh", headers={"Cookie": f"{REFRESH}={token}"})

    assert code_of(answer) == (401, "session_ended")


async def test_a_changed_password_ends_all_other_sign_ins(server: Server) -> None:
    email = "changes@example.com"
    async with (
        registered(server, email) as ann,
        signed_in(server, email) as phone,
        client_of(server.port) as http,
    ):
        wrong = {"current_password": "not this one", "new_password": NEW_PASSWORD}
        assert code_of(await ann.http.post(f"{AUTH}/password", json=wrong)) == (
            403,
            "wrong_password",
        )
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert (await ann.http.post(f"{AUTH}/password", json=body)).status_code == 204

        assert code_of(await phone.http.get(f"{AUTH}/me")) == (401, "session_ended")
        assert code_of(await phone.http.post(f"{AUTH}/refresh")) == (401, "session_ended")
        assert (await ann.http.get(f"{AUTH}/me")).status_code == 200
        old = await http.post(f"{AUTH}/login", json={"email": email, "password": PASSWORD})
        assert old.status_code == 401
        await sign_in(http, email, NEW_PASSWORD)


async def test_one_sees_ones_devices_and_signs_out_of_one_or_all(server: Server) -> None:
    email = "devices@example.com"
    async with (
        registered(server, email) as ann,
        signed_in(server, email) as phone,
        signed_in(server, email) as tablet,
        registered(server, "stranger@example.com") as bob,
    ):
        sessions = (await ann.http.get(f"{AUTH}/sessions")).json()["sessions"]
        assert [session["is_this"] for session in sessions] == [False, False, True]
        assert {session["address"] for session in sessions} == {"127.0.0.1"}
        path = f"{AUTH}/sessions/{sessions[0]['session_id']}"

        assert code_of(await bob.http.delete(path)) == (404, "session_not_found")
        assert (await ann.http.delete(path)).status_code == 204
        assert (await ann.http.delete(path)).status_code == 204
        assert code_of(await tablet.http.get(f"{AUTH}/me")) == (401, "session_ended")
        assert (await phone.http.get(f"{AUTH}/me")).status_code == 200
        out = await ann.http.post(f"{AUTH}/logout", json={"everywhere": True})
        assert out.status_code == 204
        assert code_of(await phone.http.get(f"{AUTH}/me")) == (401, "session_ended")


async def test_who_signs_in_again_leaves_no_sign_in_behind(server: Server) -> None:
    async with registered(server, "twice@example.com") as ann, client_of(server.port) as http:
        first = ann.bearer
        again = await sign_in(ann.http, ann.email)
        listed = (await ann.http.get(f"{AUTH}/sessions")).json()["sessions"]
        refused = await http.get(f"{AUTH}/sessions", headers=first)

        ann.http.cookies.delete(ACCESS)  # as when it has expired
        await register(ann.http, "another@example.com")
        left = await http.get(f"{AUTH}/sessions", headers=again.bearer)

    assert [session["is_this"] for session in listed] == [True]
    assert code_of(refused) == code_of(left) == (401, "session_ended")


async def test_who_signs_out_with_a_copy_of_the_token_left_is_out(server: Server) -> None:
    async with registered(server, "copy@example.com") as ann, client_of(server.port) as thief:
        assert (await thief.get(f"{AUTH}/me", headers=ann.bearer)).status_code == 200
        await ann.http.post(f"{AUTH}/logout")

        assert code_of(await thief.get(f"{AUTH}/me", headers=ann.bearer)) == (401, "session_ended")
        assert (await ann.http.post(f"{AUTH}/logout")).status_code == 204


async def test_an_admin_who_is_demoted_or_disabled_operates_nothing_from_then_on(
    server: Server,
) -> None:
    await make_admin(server, "stays@example.com")
    for change, email in (
        ({"role": "user"}, "demoted@example.com"),
        ({"is_disabled": True}, "disabled-admin@example.com"),
    ):
        await make_admin(server, email)
        async with signed_in(server, email) as admin:
            assert (await admin.http.get("/api/v1/users")).status_code == 200
            await operate(server, "PATCH", f"/api/v1/users/{admin.user_id}", **change)
            assert code_of(await admin.http.get("/api/v1/users")) == (401, "session_ended")
            assert (await admin.http.post(f"{AUTH}/refresh")).status_code == 401


async def test_a_user_operates_nothing(server: Server) -> None:
    async with registered(server, "user@example.com") as ann:
        for path in ("/api/v1/users", "/api/v1/audit"):
            assert code_of(await ann.http.get(path)) == (403, "forbidden")


async def test_a_deleted_account_leaves_nothing_that_names_its_user(server: Server) -> None:
    email = "leaves@example.com"
    async with registered(server, email) as ann, client_of(server.port) as http:
        turn = (await ann.http.post("/api/v1/turns", json={"message": "Hello"})).json()
        key = (
            await ann.http.post("/api/v1/api-keys", json={"name": "k", "scopes": ["chat"]})
        ).json()
        wrong = await ann.http.request("DELETE", f"{AUTH}/me", json={"password": "wrong"})
        assert code_of(wrong) == (403, "wrong_password")

        answer = await ann.http.request("DELETE", f"{AUTH}/me", json={"password": PASSWORD})

        assert answer.status_code == 204
        bearer = {"Authorization": f"Bearer {key['key']}"}
        assert (await http.get(CONVERSATIONS, headers=bearer)).status_code == 401
        assert code_of(await http.get(f"{AUTH}/me", headers=ann.bearer)) == (401, "session_ended")
        left = await operate_get(server, f"/api/v1/users/{ann.user_id}")
        assert (left["email"], left["name"]) == (f"{ann.user_id}@deleted.invalid", "")
        assert left["is_disabled"]
        anew = await register(http, email)
        assert anew.user_id != ann.user_id
        assert (await http.get(f"/api/v1/turns/{turn['turn_id']}")).status_code == 404


@pytest.mark.long
async def test_what_a_leaver_began_on_another_worker_is_deleted_when_all_know(
    tmp_path: Path,
) -> None:
    async with (
        running_server(tmp_path, session_check_s=0) as server,
        registered(server, "leaves@example.com") as ann,
    ):
        left = await ann.http.request("DELETE", f"{AUTH}/me", json={"password": PASSWORD})
        assert left.status_code == 204
        history = SqliteHistory(SqliteDatabase(server.data_dir / "chat.db", timeout_s=5))
        await history.open()
        conversations = history.conversations
        now = datetime.now(UTC)
        await conversations.create(Conversation("conv_late", ann.user_id, "", "default", now, now))
        with anyio.fail_after(30):
            while (await conversations.list(ann.user_id, limit=1, cursor=None)).items:  # noqa: ASYNC110  # of another process
                await anyio.sleep(0.2)
        await history.close()


async def operate_get(server: Server, path: str) -> dict[str, Any]:
    async with client_of(server.port) as http:
        token = (server.data_dir / "admin-token").read_text().strip()
        return dict((await http.get(path, headers={"Authorization": f"Bearer {token}"})).json())


@pytest.mark.long
async def test_where_accounts_are_not_made_by_callers_it_is_said(tmp_path: Path) -> None:
    settings = {"allow_registration": "false", "allow_guests": "false"}
    async with running_server(tmp_path, **settings) as server:
        http, body = server.client, {"email": "ann@example.com", "password": PASSWORD}
        options = (await http.get(f"{AUTH}/options")).json()
        refused = await http.post(f"{AUTH}/register", json=body)
        guest = await http.post(f"{AUTH}/guest")
        stranger = await http.get(f"{AUTH}/me")

        assert (options["guests"], options["registration"]) == (False, False)
        assert code_of(refused) == (403, "registration_closed")
        assert code_of(guest) == (403, "guests_not_allowed")
        assert code_of(stranger) == (401, "unauthenticated")
        await make_admin(server, "boss@example.com")
        await sign_in(http, "boss@example.com")


async def test_signing_in_makes_nobody_a_guest_and_asking_who_one_is_does(
    server: Server,
) -> None:
    async with client_of(server.port) as http:
        await http.get(f"{AUTH}/options")
        await http.post(f"{AUTH}/login", json={"email": "x@example.com", "password": "y"})
        await http.post(f"{AUTH}/logout")
        assert not http.cookies
        made = (await http.post(f"{AUTH}/guest")).json()["user"]
        assert made["role"] == "guest"
        assert (await http.get(f"{AUTH}/me")).json()["user"] == made


@pytest.mark.long
@pytest.mark.parametrize("store", ["sqlite", "mongodb"])
async def test_a_killed_server_forgets_no_sign_in(tmp_path: Path, store: str) -> None:
    with running_mongo(tmp_path) as mongo:
        settings = {} if store == "sqlite" else {"mongodb_uri": f"{mongo.uri}/chatstream"}
        data_dir = tmp_path / "data"
        async with running_server(data_dir, **settings) as server:
            ann = await register(server.client, "ann@example.com")
            async with signed_in(server, "ann@example.com") as ended:
                await ended.http.post(f"{AUTH}/logout")
            cookies = dict(server.client.cookies)
            server.signal(signal.SIGKILL)
            await server.exit_code()
        async with running_server(data_dir, **settings) as server:
            server.client.cookies.update(cookies)
            me = await server.client.get(f"{AUTH}/me")
            body = {"refresh_token": ann.tokens["refresh_token"]}
            refreshed = await server.client.post(f"{AUTH}/refresh", json=body)
            async with server.guest() as copy:
                out = await copy.get(f"{AUTH}/me", headers=ended.bearer)

        assert me.json()["user"]["user_id"] == ann.user_id
        assert refreshed.status_code == 200
        assert code_of(out) == (401, "session_ended")


async def test_a_person_is_told_with_the_time_in_utc(server: Server) -> None:
    async with registered(server, "when@example.com") as ann:
        told = datetime.fromisoformat(ann.tokens["user"]["created_at"])
        assert abs((datetime.now(UTC) - told).total_seconds()) < 60
