"""Signing in with a provider: who comes back is who they were, and nobody else."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from tests.e2e.operators import guest_id, token_of
from tests.support.chat import log_of
from tests.support.front import cookie as cookie_name
from tests.support.front import unfronted
from tests.support.oidc_provider import BROKEN, LIES, OidcProvider, running_provider
from tests.support.server import Server, client_of, running_server

LOGIN = "/api/v1/auth/oidc/login"
CALLBACK = "/api/v1/auth/oidc/callback"
OPTIONS = "/api/v1/auth/options"
USERS = "/api/v1/users"
DISCOVERY = "/.well-known/openid-configuration"


@dataclass
class Scene:
    """A server, the provider it signs in with, and an operator."""

    provider: OidcProvider
    server: Server
    operator: httpx.AsyncClient

    async def user(self, email: str) -> dict[str, Any]:
        """Return the user of an address."""
        answer = await self.operator.get(USERS, params={"search": email})
        (user,) = answer.json()["users"]
        assert isinstance(user, dict)
        return user

    async def make_user(self, email: str, **more: object) -> dict[str, Any]:
        """Have an operator make a user."""
        body = {"email": email, "reason": "a test", **more}
        answer = await self.operator.post(USERS, json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def sign_in(self, browser: httpx.AsyncClient) -> httpx.Response:
        """Sign in as whom the provider takes the browser for; return the last answer."""
        return await browser.get(f"{CALLBACK}?{await self.came_back(browser)}")

    async def came_back(self, browser: httpx.AsyncClient) -> str:
        """Have a browser begin, and return the query it comes back with."""
        away = await browser.get(LOGIN)
        assert away.status_code == 302, away.text
        assert away.headers["location"].startswith(f"{self.provider.issuer}/authorize?tenant=1&")
        return self.provider.authorize(away.headers["location"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OidcProvider, Server]]:
    """Run a provider, and a server that signs in with it."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running_provider()) as provider,
    ):
        settings = {**provider.settings, "rate_limit_enabled": "false"}
        starting = running_server(tmp_path_factory.mktemp("server"), **settings)
        with portal.wrap_async_context_manager(starting) as server:
            yield provider, server
            log = log_of(server)
            assert "Traceback" not in log
            assert not [secret for secret in provider.told if secret in log]


@pytest.fixture
async def scene(running: tuple[OidcProvider, Server]) -> AsyncIterator[Scene]:
    """Have a provider in order, and an operator."""
    provider, server = running
    provider.is_user("nobody", "nobody@example.com")
    async with client_of(server.port) as operator:
        operator.headers["Authorization"] = f"Bearer {token_of(server.data_dir)}"
        yield Scene(provider, server, operator)


@pytest.fixture
async def browser(scene: Scene) -> AsyncIterator[httpx.AsyncClient]:
    """Have a browser without cookies."""
    async with client_of(scene.server.port) as client:
        yield client


def error_of(answer: httpx.Response) -> str:
    """Return the code that the page is led to; nothing of a sign-in is in the answer."""
    assert answer.status_code == 303, answer.text
    assert not [name for name in answer.cookies if "access" in name or "refresh" in name]
    where = urlsplit(answer.headers["location"])
    assert (where.netloc, where.path) == ("", "/")
    return parse_qs(where.query)["sign_in_error"][0]


async def test_a_guest_who_signs_in_keeps_id_and_conversations_and_is_found_again_elsewhere(
    scene: Scene, browser: httpx.AsyncClient
) -> None:
    scene.provider.is_user("ann", "Ann@Example.com", name="Ann \u202eB")
    conversation = (await browser.post("/api/v1/conversations", json={})).json()
    guest = guest_id(browser)

    answer = await scene.sign_in(browser)
    kept = await browser.get(f"/api/v1/conversations/{conversation['conversation_id']}")
    user = await scene.user("ann@example.com")
    async with client_of(scene.server.port) as other:
        again = await scene.sign_in(other)
        elsewhere = await other.get("/api/v1/conversations")

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.headers["cache-control"] == "no-store"
    assert user["user_id"] == guest
    assert (user["role"], user["name"], user["has_password"]) == ("user", "Ann B", False)
    assert user["identities"] == [{"issuer": scene.provider.issuer, "subject": "ann"}]
    assert kept.status_code == 200
    assert again.headers["location"] == "/"
    assert [each["conversation_id"] for each in elsewhere.json()["conversations"]] == [
        conversation["conversation_id"]
    ]


async def test_the_subject_counts_not_the_address(scene: Scene, browser: httpx.AsyncClient) -> None:
    scene.provider.is_user("bob", "bob@example.com")
    await scene.sign_in(browser)
    scene.provider.is_user("bob", "robert@example.com", email_verified=False)

    async with client_of(scene.server.port) as other:
        answer = await scene.sign_in(other)

    assert answer.headers["location"] == "/"
    assert (await scene.user("bob@example.com"))["identities"][0]["subject"] == "bob"


async def test_an_account_without_a_password_is_joined_by_its_verified_address(
    scene: Scene, browser: httpx.AsyncClient
) -> None:
    made = await scene.make_user("carol@example.com", role="admin")
    scene.provider.is_user("carol", "carol@example.com")

    answer = await scene.sign_in(browser)
    operates = await browser.get(USERS)

    assert answer.headers["location"] == "/"
    assert (await scene.user("carol@example.com"))["user_id"] == made["user_id"]
    assert operates.status_code == 200


async def test_an_account_with_a_password_is_joined_only_by_who_is_signed_in_to_it(
    scene: Scene, browser: httpx.AsyncClient
) -> None:
    made = await scene.make_user("dora@example.com")
    scene.provider.is_user("dora", "dora@example.com")
    await scene.sign_in(browser)
    body = {"password": "correct horse battery", "reason": "asked for it"}
    await scene.operator.post(f"{USERS}/{made['user_id']}/password", json=body)
    await scene.sign_in(browser)

    scene.provider.is_user("dora-2", "dora@example.com")
    async with client_of(scene.server.port) as stranger:
        refused = await scene.sign_in(stranger)
    joined = await scene.sign_in(browser)

    assert error_of(refused) == "email_in_use"
    assert joined.headers["location"] == "/"
    subjects = [each["subject"] for each in (await scene.user("dora@"))["identities"]]
    assert subjects == ["dora", "dora-2"]


async def test_who_is_given_a_leavers_address_does_not_get_their_account(
    scene: Scene, browser: httpx.AsyncClient
) -> None:
    scene.provider.is_user("flo", "flo@example.com")
    await scene.sign_in(browser)
    scene.provider.is_user("flo-2", "flo@example.com")

    async with client_of(scene.server.port) as newcomer:
        answer = await scene.sign_in(newcomer)

    assert error_of(answer) == "email_in_use"
    subjects = [each["subject"] for each in (await scene.user("flo@"))["identities"]]
    assert subjects == ["flo"]


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({}, "email_missing"),
        ({"email": 7, "email_verified": True}, "email_missing"),
        ({"email": "no address", "email_verified": True}, "email_missing"),
        ({"email": "eve@example.com"}, "email_not_verified"),
        ({"email": "eve@example.com", "email_verified": False}, "email_not_verified"),
        ({"email": "eve@example.com", "email_verified": "yes"}, "email_not_verified"),
    ],
)
async def test_nobody_gets_an_account_for_an_address_that_the_provider_does_not_vouch_for(
    scene: Scene, browser: httpx.AsyncClient, claims: dict[str, Any], code: str
) -> None:
    scene.provider.claims = {"sub": "eve", **claims}
    scene.provider.userinfo = {"sub": "eve"}

    assert error_of(await scene.sign_in(browser)) == code


async def test_an_address_that_only_userinfo_tells_is_taken_from_there_for_the_same_subject(
    scene: Scene, browser: httpx.AsyncClient
) -> None:
    scene.provider.is_user("finn")
    scene.provider.userinfo = {
        "sub": "somebody-else",
        "email": "finn@example.com",
        "email_verified": True,
    }
    refused = await scene.sign_in(browser)
    scene.provider.userinfo["sub"] = "finn"
    answer = await scene.sign_in(browser)

    assert error_of(refused) == "provider_untrusted"
    assert answer.headers["location"] == "/"
    assert (await scene.user("finn@example.com"))["identities"][0]["subject"] == "finn"


@pytest.mark.parametrize("lie", LIES)
async def test_a_token_that_proves_nothing_signs_nobody_in(
    scene: Scene, browser: httpx.AsyncClient, lie: str
) -> None:
    scene.provider.is_user("gina", "gina@example.com")
    scene.provider.lie = lie

    assert error_of(await scene.sign_in(browser)) == "provider_untrusted"


@pytest.mark.parametrize("path", ["/token", "/userinfo"])
@pytest.mark.parametrize("fault", [*BROKEN, pytest.param("hang", marks=pytest.mark.long)])
async def test_a_provider_that_fails_leads_back_to_the_page(
    scene: Scene, browser: httpx.AsyncClient, path: str, fault: str
) -> None:
    scene.provider.is_user("ivo")
    scene.provider.broken = {path: fault}
    scene.provider.asked.clear()

    answer = await scene.sign_in(browser)

    assert error_of(answer) == "provider_unavailable"
    assert "/elsewhere" not in scene.provider.asked


async def test_what_comes_back_counts_once_and_only_in_the_browser_that_was_sent_away(
    scene: Scene, browser: httpx.AsyncClient
) -> None:
    scene.provider.is_user("jane", "jane@example.com")
    query = await scene.came_back(browser)

    async with client_of(scene.server.port) as other:
        stranger = await other.get(f"{CALLBACK}?{query}")
        await other.get(LOGIN)
        another_try = await other.get(f"{CALLBACK}?{query}")
    twice = await browser.get(f"{CALLBACK}?{query}&state=x")
    after = await browser.get(f"{CALLBACK}?{query}")

    assert [error_of(each) for each in (stranger, another_try, twice, after)] == ["expired"] * 4
    assert not (await scene.operator.get(USERS, params={"search": "jane@"})).json()["users"]


@pytest.mark.parametrize("change", [-1, 0])
async def test_a_cookie_that_was_touched_is_worth_nothing(
    scene: Scene, browser: httpx.AsyncClient, change: int
) -> None:
    query, name = await scene.came_back(browser), cookie_name("chat_oidc")
    cookie = browser.cookies[name]
    other = "A" if cookie[change] != "A" else "B"
    forged = other + cookie[1:] if change == 0 else cookie[:-2] + other * 2
    browser.cookies.clear()

    answer = await browser.get(f"{CALLBACK}?{query}", headers={"Cookie": f"{name}={forged}"})

    assert error_of(answer) == "expired"


@pytest.mark.long
@unfronted("its clients always come over https")
async def test_the_cookie_of_a_try_can_over_tls_be_set_by_no_other_host(
    scene: Scene, tmp_path: Path
) -> None:
    settings = {**scene.provider.settings, "trusted_proxies": "127.0.0.1"}
    async with running_server(tmp_path, **settings) as server:
        plain = await server.client.get(LOGIN)
        behind_tls = await server.client.get(LOGIN, headers={"X-Forwarded-Proto": "https"})

    cookies = [each for each in plain.headers.get_list("set-cookie") if "oidc" in each]
    safe = [each for each in behind_tls.headers.get_list("set-cookie") if "oidc" in each]
    wanted = "; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"
    assert [each.partition(";")[0].partition("=")[0] for each in cookies] == ["chat_oidc"]
    assert cookies[0].endswith(wanted)
    assert safe[0].startswith("__Host-chat_oidc=")
    assert safe[0].endswith(f"{wanted}; Secure")


async def test_who_did_not_sign_in_is_led_back(scene: Scene, browser: httpx.AsyncClient) -> None:
    query = await scene.came_back(browser)
    state = parse_qs(query)["state"][0]
    denied = await browser.get(
        CALLBACK, params={"error": "access_denied", "error_description": "<b>", "state": state}
    )

    assert error_of(denied) == "refused"
    assert "%3Cb" not in denied.headers["location"]


async def test_an_answer_of_another_provider_is_not_taken_to_this_one(
    scene: Scene, browser: httpx.AsyncClient
) -> None:
    query = await scene.came_back(browser)
    scene.provider.asked.clear()

    answer = await browser.get(f"{CALLBACK}?{query}&iss=https%3A%2F%2Fother.example")

    assert error_of(answer) == "provider_untrusted"
    assert "/token" not in scene.provider.asked


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\r\nSet-Cookie: a=b",
        "/api/v1/auth/oidc/login",
        "",
        "/" + "a" * 500,
        "/ä",
    ],
)
async def test_nobody_is_led_to_another_site(browser: httpx.AsyncClient, target: str) -> None:
    answer = await browser.get(LOGIN, params={"next": target})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "next"


async def test_one_comes_back_to_where_one_was(scene: Scene, browser: httpx.AsyncClient) -> None:
    scene.provider.is_user("kim", "kim@example.com")
    away = await browser.get(LOGIN, params={"next": "/c/conv_1?a=b#c"})

    answer = await browser.get(f"{CALLBACK}?{scene.provider.authorize(away.headers['location'])}")

    assert answer.headers["location"] == "/c/conv_1?a=b#c"


async def test_who_is_disabled_is_not_let_in(scene: Scene, browser: httpx.AsyncClient) -> None:
    scene.provider.is_user("lea", "lea@example.com")
    await scene.sign_in(browser)
    user_id = (await scene.user("lea@example.com"))["user_id"]
    body = {"is_disabled": True, "reason": "left"}
    await scene.operator.patch(f"{USERS}/{user_id}", json=body)

    by_subject = await scene.sign_in(browser)
    scene.provider.is_user("lea-2", "lea@example.com")
    by_address = await scene.sign_in(browser)

    assert [error_of(by_subject), error_of(by_address)] == ["account_disabled"] * 2


async def test_where_nobody_may_register_only_who_has_an_account_comes_in(
    scene: Scene, tmp_path: Path
) -> None:
    scene.provider.is_user("max", "max@example.com")
    settings = {**scene.provider.settings, "allow_registration": "false", "allow_guests": "false"}

    async with running_server(tmp_path, **settings) as server:
        refused = await scene.sign_in(server.client)
        server.client.headers["Authorization"] = f"Bearer {token_of(tmp_path)}"
        body = {"email": "max@example.com", "reason": "asked"}
        made = await server.client.post(USERS, json=body)
        del server.client.headers["Authorization"]
        answer = await scene.sign_in(server.client)

    assert error_of(refused) == "registration_closed"
    assert made.status_code == 201
    assert answer.headers["location"] == "/"


@pytest.mark.long
@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
async def test_a_provider_that_is_away_holds_up_nobody_and_is_found_again(
    scene: Scene, tmp_path: Path, path: str
) -> None:
    scene.provider.is_user("nora", "nora@example.com")
    scene.provider.broken = {path: "html"}

    async with running_server(tmp_path, **scene.provider.settings) as server:
        if path == DISCOVERY:
            away = await server.client.get(LOGIN)
            scene.provider.asked.clear()
            at_once = await server.client.get(LOGIN)
        else:
            away = at_once = await scene.sign_in(server.client)
        told = (await server.client.get(OPTIONS)).json()

    assert [error_of(away), error_of(at_once)] == ["provider_unavailable"] * 2
    assert path != DISCOVERY or scene.provider.asked == []
    assert told["oidc"] == {"name": "single sign-on", "url": LOGIN}


@pytest.mark.long
async def test_without_a_provider_nothing_is_there(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        told = await server.client.get(OPTIONS)
        answers = [await server.client.get(path) for path in (LOGIN, CALLBACK)]

    assert told.json()["oidc"] is None
    assert [answer.status_code for answer in answers] == [404, 404]
