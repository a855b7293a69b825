"""Who may see and change flags: in production the operators' token alone, and no guest."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from anyio import to_thread
from anyio.from_thread import start_blocking_portal
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.exception import OpenFeatureError
from starlette.routing import Route

from server.auth.guests import Guests
from server.routes import flags, ofrep, rollout, segments
from tests.e2e.operators import FLAGS, ROLLOUT, STATE, STREAMING, operated_server
from tests.support.production import PRODUCTION
from tests.support.raw_http import exchange, request_bytes
from tests.support.server import Server, client_of, running_server

TOKEN = "operators-token-operators-token-0001"  # noqa: S105 - made up for the tests
SESSION_SECRET = "session-secret-session-secret-01"  # noqa: S105 - made up for the tests
ORIGIN = "https://console.example"
ROUTES = [*flags.routes, *segments.routes, *rollout.routes, *ofrep.routes]
CALLS = [(method, route.path) for route in ROUTES for method in sorted(route.methods or ())]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server in production that lets no guests in."""
    running = running_server(
        tmp_path_factory.mktemp("server"),
        **{**PRODUCTION, "session_secret": SESSION_SECRET, "admin_token": TOKEN},
        allowed_origins=ORIGIN,
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as server:
        yield server


@pytest.fixture
async def caller(production: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Have a caller without anything."""
    async with client_of(production.port) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_in_production_every_call_about_flags_asks_for_the_token(
    caller: httpx.AsyncClient, method: str, path: str
) -> None:
    _, cookie = Guests(SESSION_SECRET).make()
    address = path.format(key="streaming", name="staff")
    shown: list[dict[str, str]] = [
        {},
        bearer("wrong"),
        bearer(TOKEN[:-1]),
        {"Authorization": f"Basic {TOKEN}"},
        {"Cookie": f"chat_guest={cookie}"},
        {"X-API-Key": TOKEN},
    ]

    answers = [await caller.request(method, address, headers=headers) for headers in shown]

    assert [answer.status_code for answer in answers] == [401] * len(shown)
    for answer in answers:
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "set-cookie" not in answer.headers
        if method != "HEAD":
            told = answer.json()
            assert told.get("code", told.get("errorCode")) in {"unauthenticated", "GENERAL"}


async def test_in_production_the_token_opens_flags_and_sets_no_cookie(
    caller: httpx.AsyncClient,
) -> None:
    caller.headers.update(bearer(TOKEN))

    answers = [
        await caller.get(STATE),
        await caller.get(FLAGS),
        await caller.get(f"{STREAMING}/explain", params={"user_id": "ann"}),
        await caller.post(ROLLOUT, json={"feature": "streaming", "percentage": 2}),
        await caller.post("/ofrep/v1/evaluate/flags", json={"context": {"targetingKey": "ann"}}),
    ]

    assert [answer.status_code for answer in answers] == [200] * 5
    assert not caller.cookies


async def test_openfeatures_client_is_told_that_it_may_not_ask(production: Server) -> None:
    provider = OFREPProvider(production.url, headers_factory=lambda: bearer("wrong"))

    with pytest.raises(OpenFeatureError, match="unauthorized"):
        await to_thread.run_sync(provider.resolve_boolean_details, "streaming", False)

    provider.session.close()


async def test_the_token_makes_nobody_a_guest(caller: httpx.AsyncClient) -> None:
    answer = await caller.get("/api/v1/conversations", headers=bearer(TOKEN))

    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/api/v1/flagsy", "/api/v1/flag", "/api/v1/FLAGS", "/api/v1/"])
async def test_addresses_that_only_look_like_the_operators_are_not(
    caller: httpx.AsyncClient, path: str
) -> None:
    assert (await caller.get(path)).json()["detail"] == "Sign in first; guests are not let in."


@pytest.mark.parametrize("shown", [b"Bearer \xff\xfe", b"Bearer", b"", b"Bearer  ", b"\xa0"])
async def test_a_damaged_authorization_is_no_authorization(
    production: Server, shown: bytes
) -> None:
    headers = {"Authorization": shown.decode("latin-1")}
    answer = await exchange(
        production.port, request_bytes("DELETE", STREAMING, port=production.port, headers=headers)
    )

    assert answer.status == 401


async def test_a_console_on_an_allowed_origin_may_change_flags_and_read_their_versions(
    caller: httpx.AsyncClient,
) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,content-type,if-match,if-none-match",
    }
    allowed = await caller.options(STREAMING, headers=asked)
    told = await caller.get(STREAMING, headers={**bearer(TOKEN), "Origin": ORIGIN})
    headers = {**bearer(TOKEN), "Origin": ORIGIN, "If-Match": told.headers["etag"]}
    changed = await caller.put(STREAMING, json={}, headers=headers)
    foreign = await caller.put(
        STREAMING, json={}, headers={**bearer(TOKEN), "Origin": "https://evil.example"}
    )

    assert allowed.status_code == 200
    assert {"if-match", "if-none-match", "authorization"} <= {
        name.strip().lower() for name in allowed.headers["access-control-allow-headers"].split(",")
    }
    assert "ETag" in told.headers["access-control-expose-headers"]
    assert changed.status_code == 200
    assert foreign.status_code == 403


async def test_in_development_changing_takes_the_token_that_was_made_at_the_first_start(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data_dir = tmp_path_factory.mktemp("development")
    async with operated_server(data_dir) as operator, operator.server.guest() as guest:
        calls = [(method, path) for method, path in CALLS if _changes(path, method)]
        assert len(calls) == 7
        for method, path in calls:
            address = path.format(key="streaming", name="staff")
            assert (await guest.request(method, address)).status_code == 401
        await operator.roll_out(5)

    assert (data_dir / "admin-token").stat().st_mode & 0o777 == 0o600


def _changes(path: str, method: str) -> bool:
    return method not in {"GET", "HEAD"} and not path.startswith("/ofrep/")


def test_all_routes_of_flags_are_looked_at() -> None:
    assert all(isinstance(route, Route) for route in ROUTES)
    assert len(CALLS) > 20
