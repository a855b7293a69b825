"""Users under operators' hands: made, changed, shut out, let in; each time with a reason."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.e2e.operators import Operator, operated_server, operator_fixtures
from tests.support.mongo import running_mongo
from tests.support.server import client_of

USERS = "/api/v1/users"
AUDIT = "/api/v1/audit"
SESSIONS = "/api/v1/auth/sessions"
LOGIN = "/api/v1/auth/login"
PASSWORD = "correct horse battery"  # noqa: S105 - made up for the tests
WHY = {"reason": "asked in person"}

shared_server, operator = operator_fixtures(rate_limit_enabled="false")


@dataclass
class Person:
    """Somebody with an account, in a browser of their own."""

    user_id: str
    email: str
    browser: httpx.AsyncClient

    async def sign_in(self, password: str = PASSWORD) -> int:
        """Sign in; return the answer's status."""
        body = {"email": self.email, "password": password}
        return (await self.browser.post(LOGIN, json=body)).status_code

    async def is_signed_in(self) -> bool:
        """Say whether this browser is."""
        return (await self.browser.get(SESSIONS)).status_code == 200


@asynccontextmanager
async def person(operator: Operator, email: str, **more: object) -> AsyncIterator[Person]:
    """Make a user, who signs in."""
    body = {"email": email, "password": PASSWORD, **WHY, **more}
    answer = await operator.http.post(USERS, json=body)
    assert answer.status_code == 201, answer.text
    async with client_of(operator.server.port) as browser:
        made = Person(answer.json()["user_id"], email, browser)
        assert await made.sign_in() == 200
        yield made


async def changed(operator: Operator, user_id: str, **change: object) -> dict[str, Any]:
    """Change a user, and return them."""
    answer = await operator.http.patch(f"{USERS}/{user_id}", json={**WHY, **change})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert answer.headers["etag"] == f'"{told["version"]}"'
    return told


async def done_to(operator: Operator, subject: str) -> list[str]:
    """Return what was done to somebody, newest first."""
    entries = (await operator.get(AUDIT, subject=subject))["entries"]
    return [str(entry["action"]) for entry in entries]


async def test_a_user_is_made_found_and_told_without_secrets(operator: Operator) -> None:
    body = {"email": "  Ann@Example.COM", "name": "Ann", "password": PASSWORD, **WHY}
    made = await operator.http.post(USERS, json=body)
    again = await operator.http.post(USERS, json=body)
    await operator.http.post(USERS, json={"email": "ann.2@example.org", **WHY})
    found = await operator.get(USERS, search="ANN@EXAMPLE")
    first = await operator.get(USERS, search="ann", limit=1)
    second = await operator.get(USERS, search="ann", limit=1, cursor=first["next"])
    one = await operator.get(f"{USERS}/{made.json()['user_id']}")

    assert made.status_code == 201
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")
    assert found["users"] == [one] == [made.json()]
    assert [first["users"][0]["email"], second["users"][0]["email"]] == [
        "ann.2@example.org",
        "ann@example.com",
    ]
    assert (one["role"], one["has_password"], one["version"]) == ("user", True, 1)
    assert not [text for text in (PASSWORD, "argon2") if text in made.text]


async def test_who_is_disabled_is_out_at_once_and_comes_in_again_when_let(
    operator: Operator,
) -> None:
    async with person(operator, "bob@example.com") as bob:
        await changed(operator, bob.user_id, is_disabled=True)
        is_in_then, tries = await bob.is_signed_in(), await bob.sign_in()
        sessions = await operator.get(f"{USERS}/{bob.user_id}/sessions")
        await changed(operator, bob.user_id, is_disabled=False)

        assert (is_in_then, tries) == (False, 401)
        assert sessions["sessions"] == []
        assert await bob.sign_in() == 200
        assert await bob.is_signed_in()


async def test_a_role_counts_from_the_next_sign_in_and_the_former_one_never_more(
    operator: Operator,
) -> None:
    async with person(operator, "carol@example.com") as carol:
        before = await carol.browser.get(USERS)
        await changed(operator, carol.user_id, role="admin")
        ended = await carol.is_signed_in()
        await carol.sign_in()
        as_admin = await carol.browser.get(USERS)
        others = await operator.http.post(
            USERS, json={"email": "c2@example.com", "role": "admin", **WHY}
        )
        await changed(operator, carol.user_id, role="user")
        after = await carol.browser.get(USERS)

        assert (before.status_code, before.json()["code"]) == (403, "forbidden")
        assert not ended
        assert as_admin.status_code == 200
        assert others.status_code == 201
        assert after.status_code == 401


async def test_what_a_signed_in_admin_does_is_written_down_under_their_name(
    operator: Operator,
) -> None:
    async with (
        person(operator, "dora@example.com", role="admin") as dora,
        person(operator, "emil@example.com") as emil,
    ):
        answer = await dora.browser.patch(
            f"{USERS}/{emil.user_id}", json={"name": "Emil", "reason": "a typo"}
        )
        entries = (await operator.get(AUDIT, subject=emil.user_id, who=dora.user_id))["entries"]

        assert answer.status_code == 200
        assert [(entry["action"], entry["why"], entry["details"]) for entry in entries] == [
            ("user.changed", "a typo", {"name": {"before": "", "after": "Emil"}})
        ]
        assert entries[0]["address"] == "127.0.0.1"
        assert entries[0]["request_id"] == answer.headers["x-request-id"]
        assert await emil.is_signed_in()


async def test_a_new_password_ends_every_session_and_the_old_one_opens_nothing(
    operator: Operator,
) -> None:
    async with person(operator, "finn@example.com") as finn:
        path = f"{USERS}/{finn.user_id}/password"
        weak = await operator.http.post(path, json={"password": "password1", **WHY})
        still = await finn.is_signed_in()
        answer = await operator.http.post(path, json={"password": "new horse battery", **WHY})

        assert (weak.status_code, weak.json()["errors"][0]["field"]) == (422, "password")
        assert still
        assert answer.status_code == 204
        assert not await finn.is_signed_in()
        assert await finn.sign_in() == 401
        assert await finn.sign_in("new horse battery") == 200
        assert (await done_to(operator, finn.user_id))[1] == "user.password_set"


async def test_single_sessions_and_all_of_them_can_be_ended(operator: Operator) -> None:
    async with person(operator, "gina@example.com") as gina:
        path = f"{USERS}/{gina.user_id}/sessions"
        async with client_of(operator.server.port) as phone:
            elsewhere = Person(gina.user_id, gina.email, phone)
            await elsewhere.sign_in()
            newest, oldest = (await operator.get(path))["sessions"]
            one = await operator.http.delete(f"{path}/{newest['session_id']}", params=WHY)
            states = [await gina.is_signed_in(), await elsewhere.is_signed_in()]
            rest = await operator.http.delete(path, params=WHY)

        assert one.status_code == 204
        assert states == [True, False]
        assert (oldest["address"], rest.json()) == ("127.0.0.1", {"ended": 1})
        assert not await gina.is_signed_in()
        other = await operator.http.delete(
            f"{USERS}/user_nobody/sessions/{oldest['session_id']}", params=WHY
        )
        assert other.json()["code"] == "user_not_found"


async def test_an_api_key_can_be_taken_from_its_user(operator: Operator) -> None:
    async with person(operator, "hana@example.com") as hana:
        body = {"name": "script", "scopes": ["chat"]}
        made = await hana.browser.post("/api/v1/api-keys", json=body)
        assert made.status_code == 201, made.text
        bearer = {"Authorization": f"Bearer {made.json()['key']}"}
        async with client_of(operator.server.port) as script:
            before = await script.get("/api/v1/conversations", headers=bearer)
            path = f"{USERS}/{hana.user_id}/api-keys"
            listed = await operator.http.get(path)
            key_id = listed.json()["api_keys"][0]["key_id"]
            revoked = await operator.http.delete(f"{path}/{key_id}", params=WHY)
            after = await script.get("/api/v1/conversations", headers=bearer)

        assert made.json()["key"] not in listed.text
        assert (before.status_code, revoked.status_code, after.status_code) == (200, 204, 401)


async def test_nobody_takes_away_the_last_admin_and_who_tried_stays_signed_in(
    tmp_path: Path,
) -> None:
    async with (
        operated_server(tmp_path, rate_limit_enabled="false") as operator,
        person(operator, "root@example.com", role="admin") as root,
    ):
        path = f"{USERS}/{root.user_id}"
        answers = [
            await root.browser.patch(path, json={**WHY, **change})
            for change in ({"role": "user"}, {"is_disabled": True})
        ]
        actions = await done_to(operator, root.user_id)

        assert [(each.status_code, each.json()["code"]) for each in answers] == [
            (409, "last_admin")
        ] * 2
        assert await root.is_signed_in()
        assert actions[:4] == ["user.changed.undone", "user.changed"] * 2


async def test_a_change_of_what_somebody_else_changed_is_refused_and_ends_nothing(
    operator: Operator,
) -> None:
    async with person(operator, "ivo@example.com") as ivo:
        path = f"{USERS}/{ivo.user_id}"
        await changed(operator, ivo.user_id, name="Ivo")
        late = await operator.http.patch(
            path, json={**WHY, "is_disabled": True}, headers={"If-Match": '"1"'}
        )
        still = await ivo.is_signed_in()
        in_time = await operator.http.patch(
            path, json={**WHY, "is_disabled": True}, headers={"If-Match": '"2"'}
        )

        assert (late.status_code, late.json()["version"]) == (412, 2)
        assert still
        assert in_time.json()["is_disabled"] is True


async def test_parallel_changes_are_each_whole(operator: Operator) -> None:
    async with person(operator, "jane@example.com") as jane:
        statuses: list[int] = []

        async def change(number: int) -> None:
            body = {**WHY, "name": f"Jane {number}"}
            answer = await operator.http.patch(f"{USERS}/{jane.user_id}", json=body)
            statuses.append(answer.status_code)

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(change, number)
        user = await operator.get(f"{USERS}/{jane.user_id}")

        assert set(statuses) <= {200, 412}
        assert user["version"] == 1 + statuses.count(200)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", {"email": "x@example.com"}),
        ("POST", "", {"email": "x@example.com", "reason": "  "}),
        ("POST", "", {"email": "x", **WHY}),
        ("POST", "", {"email": "x@example.com", "role": "guest", **WHY}),
        ("POST", "", {"email": "x@example.com", "name": "a\u202eb", **WHY}),
        ("PATCH", "/{id}", {"role": "user"}),
        ("PATCH", "/{id}", {"role": "root", **WHY}),
        ("PATCH", "/{id}", {"password_hash": "x", **WHY}),
        ("PATCH", "/{id}", {"email": "y@example.com", **WHY}),
        ("POST", "/{id}/password", {"password": PASSWORD}),
        ("DELETE", "/{id}/sessions", None),
        ("DELETE", "/{id}/api-keys/key_1", None),
    ],
)
async def test_what_is_not_valid_or_has_no_reason_is_told_and_changes_nothing(
    operator: Operator, method: str, path: str, body: dict[str, object] | None
) -> None:
    kim = (await operator.get(USERS, search="kim@"))["users"]
    if not kim:
        made = await operator.http.post(USERS, json={"email": "kim@example.com", **WHY})
        kim = [made.json()]
    user_id = kim[0]["user_id"]
    before = await done_to(operator, user_id)

    address = f"{USERS}{path.format(id=user_id)}"
    answer = await operator.http.request(method, address, json=body)

    assert (answer.status_code, bool(answer.json()["errors"])) == (422, True)
    assert await done_to(operator, user_id) == before
    assert (await operator.get(f"{USERS}/{user_id}"))["version"] == 1


ADDRESSES = [
    ("GET", USERS),
    ("POST", USERS),
    ("GET", f"{USERS}/user_1"),
    ("PATCH", f"{USERS}/user_1"),
    ("POST", f"{USERS}/user_1/password"),
    ("GET", f"{USERS}/user_1/sessions"),
    ("DELETE", f"{USERS}/user_1/sessions"),
    ("DELETE", f"{USERS}/user_1/sessions/session_1"),
    ("GET", f"{USERS}/user_1/api-keys"),
    ("DELETE", f"{USERS}/user_1/api-keys/key_1"),
    ("GET", AUDIT),
    ("GET", "/api/v1/chatbots/default/versions"),
]


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_only_operators_come_here(operator: Operator, method: str, path: str) -> None:
    async with client_of(operator.server.port) as stranger, operator.server.guest() as guest:
        await guest.get("/")
        answers = [await each.request(method, path) for each in (stranger, guest)]
        wrong = await stranger.request(method, path, headers={"Authorization": "Bearer x"})

    assert [answer.status_code for answer in [*answers, wrong]] == [401] * 3


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "cursor=%00", "cursor=x", "search=" + "a" * 300]
)
async def test_lists_take_no_nonsense(operator: Operator, query: str) -> None:
    answer = await operator.http.get(f"{USERS}?{query}")

    assert answer.status_code in {400, 422}


@pytest.mark.services
@pytest.mark.long
async def test_on_mongodb_it_is_the_same(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as mongo:
        settings = {"mongodb_uri": f"{mongo.uri}/chatstream", "rate_limit_enabled": "false"}
        async with (
            operated_server(tmp_path / "data", **settings) as operator,
            person(operator, "root@example.com", role="admin") as root,
            person(operator, "liv@example.com") as liv,
        ):
            disabled = await root.browser.patch(
                f"{USERS}/{liv.user_id}", json={**WHY, "is_disabled": True}
            )
            last = await root.browser.patch(f"{USERS}/{root.user_id}", json={**WHY, "role": "user"})
            first = await operator.get(AUDIT, limit=3)
            second = await operator.get(AUDIT, limit=200, cursor=first["next"])
            found = await operator.get(USERS, search="LIV@")

            assert disabled.status_code == 200
            assert not await liv.is_signed_in()
            assert (last.status_code, last.json()["code"]) == (409, "last_admin")
            assert await root.is_signed_in()
            assert [user["user_id"] for user in found["users"]] == [liv.user_id]
            actions = [entry["action"] for entry in [*first["entries"], *second["entries"]]]
            assert actions[:3] == ["user.changed.undone", "user.changed", "user.changed"]
            assert sorted(actions[3:]) == ["auth.signed_in"] * 2 + ["user.created"] * 2
