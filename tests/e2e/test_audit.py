"""The audit log: nothing an operator does is without an entry, and none is ever altered."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.operators import Operator, operated_server, operator_fixtures
from tests.support.chat import log_of
from tests.support.server import client_of

USERS = "/api/v1/users"
AUDIT = "/api/v1/audit"
LOGIN = "/api/v1/auth/login"
POET = "/api/v1/chatbots/poet"
PASSWORD = "correct horse battery"  # noqa: S105 - made up for the tests
ANN = {"email": "ann@example.com", "password": PASSWORD, "reason": "a test"}

shared_server, operator = operator_fixtures(rate_limit_enabled="false")


async def test_the_log_is_read_page_by_page_newest_first_and_by_subject(
    operator: Operator,
) -> None:
    ids = []
    for number in range(5):
        body = {"email": f"page-{number}@example.com", "reason": f"number {number}"}
        ids.append((await operator.http.post(USERS, json=body)).json()["user_id"])

    first = await operator.get(AUDIT, limit=2)
    second = await operator.get(AUDIT, limit=2, cursor=first["next"])
    about_one = await operator.get(AUDIT, subject=ids[1])
    by_nobody = await operator.get(AUDIT, who="user_nobody")

    pages = [*first["entries"], *second["entries"]]
    assert [entry["why"] for entry in pages] == [f"number {n}" for n in (4, 3, 2, 1)]
    assert {entry["who"] for entry in pages} == {"admin_token"}
    assert [entry["why"] for entry in about_one["entries"]] == ["number 1"]
    assert by_nobody == {"entries": [], "next": None}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_entries_are_added_by_what_is_done_and_in_no_other_way(
    operator: Operator, method: str
) -> None:
    answer = await operator.http.request(method, AUDIT, json={})

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "cursor=%00", "subject=%00", "who=%0A"])
async def test_the_log_takes_no_nonsense(operator: Operator, query: str) -> None:
    answer = await operator.http.get(f"{AUDIT}?{query}")

    assert answer.status_code in {400, 422}


async def test_a_chatbots_entries_name_its_versions_which_can_be_read_and_put_again(
    operator: Operator,
) -> None:
    one = {"name": "Poet", "instructions": "In verse.", "reason": "wanted"}
    two = {"name": "Poet", "instructions": "In prose."}
    await operator.put(POET, one)
    await operator.put(POET, two)
    refused = await operator.http.put(POET, json=two, headers={"If-Match": '"1"'})
    versions = (await operator.get(f"{POET}/versions"))["versions"]
    former = {key: value for key, value in versions[1].items() if key != "replaced_at"}
    back = await operator.put(POET, former)
    deleted = await operator.http.delete(POET, params={"reason": "no more"})
    gone = await operator.http.get(f"{POET}/versions")
    entries = (await operator.get(AUDIT, subject="poet"))["entries"]

    assert refused.status_code == 412
    assert [(each["version"], each["instructions"]) for each in versions] == [
        (2, "In prose."),
        (1, "In verse."),
    ]
    assert (versions[0]["replaced_at"], versions[1]["replaced_at"] is not None) == (None, True)
    assert (back["version"], back["instructions"]) == (3, "In verse.")
    assert (deleted.status_code, gone.status_code) == (204, 404)
    assert [(entry["action"], entry["why"], entry["details"]) for entry in entries] == [
        ("chatbot.deleted", "no more", {"before": 3, "after": None}),
        ("chatbot.stored", "", {"before": 2, "after": 3}),
        ("chatbot.stored", "", {"before": 1, "after": 2}),
        ("chatbot.stored", "wanted", {"before": None, "after": 1}),
    ]


async def test_without_a_place_for_its_entry_nothing_is_changed_but_people_still_sign_in(
    tmp_path: Path,
) -> None:
    async with operated_server(tmp_path, rate_limit_enabled="false") as operator:
        made = (await operator.http.post(USERS, json=ANN)).json()
        path = f"{USERS}/{made['user_id']}"
        with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
            connection.execute("ALTER TABLE audit_log RENAME TO taken_away")
            connection.commit()

        refused = [
            await operator.http.patch(path, json={"is_disabled": True, "reason": "left"}),
            await operator.http.put(POET, json={"name": "Poet", "instructions": "In verse."}),
            await operator.http.delete(f"{path}/sessions", params={"reason": "left"}),
        ]
        async with client_of(operator.server.port) as browser:
            body = {"email": ANN["email"], "password": PASSWORD}
            signed_in = await browser.post(LOGIN, json=body)
        user = await operator.get(path)
        chatbots = (await operator.get("/api/v1/chatbots"))["chatbots"]
        log = log_of(operator.server)

    assert {(each.status_code, each.json()["code"]) for each in refused} == {
        (503, "accounts_unavailable")
    }
    assert user == made
    assert [each["chatbot_id"] for each in chatbots] == ["default"]
    assert signed_in.status_code == 200
    for event in ("audit.user.changed", "audit.auth.signed_in", "audit.not_stored"):
        assert event in log
    assert PASSWORD not in log
