"""Attacks that take more than a request: each check is named by `tests/vectors/attacks.json`."""

from collections.abc import Awaitable, Callable
from itertools import product

import anyio
import httpx
from starlette.routing import compile_path

from server.app import served_routes
from server.auth.routing import Access, ApiRoute
from server.middleware import SECURITY_HEADERS
from tests.security.attacks import APP, NGINX, Case
from tests.security.scene import AUTH, PASSWORD, Scene, sign_in
from tests.support.chat import log_of
from tests.support.raw_http import exchange, request_bytes
from tests.support.server import client_of

Check = Callable[[Scene], Awaitable[None]]
EVERY = {name.lower(): value for name, value in SECURITY_HEADERS.items()}


async def a_good_token_is_taken(scene: Scene) -> None:
    """Show that the forgeries are refused for what is wrong with them."""
    for via in (APP, NGINX):
        assert (await scene.send(Case("good", [200], by="forged:good"), via)).status == 200


async def signing_out_ends_the_token(scene: Scene) -> None:
    """Also where the token itself has not expired."""
    person = await scene.register("leaves@example.com")
    async with client_of(scene.server.port) as http:
        before = await http.get(f"{AUTH}/me", headers=person.proof)
        await http.post(f"{AUTH}/logout", headers=person.proof)
        after = await http.get("/api/v1/conversations", headers=person.proof)

    assert (before.status_code, after.status_code) == (200, 401)
    assert after.json()["code"] == "session_ended"


async def a_used_refresh_token_ends_the_session(scene: Scene) -> None:
    """Whoever has stolen one, and whoever it was stolen from, have to sign in."""
    person = await scene.register("robbed@example.com")
    async with client_of(scene.server.port) as http:
        first = await _refreshed(http, person.refresh_token)
        again = await _refreshed(http, person.refresh_token)
        newest = await _refreshed(http, first.json()["refresh_token"])
        access = {"Authorization": f"Bearer {first.json()['access_token']}"}
        call = await http.get("/api/v1/conversations", headers=access)

    assert first.status_code == 200
    assert [each.status_code for each in (again, newest, call)] == [401] * 3


async def _refreshed(http: httpx.AsyncClient, token: str) -> httpx.Response:
    answer = await http.post(f"{AUTH}/refresh", json={"refresh_token": token})
    http.cookies.clear()
    return answer


async def tokens_are_not_taken_for_each_other(scene: Scene) -> None:
    """A refresh token opens nothing, and an access token renews nothing."""
    async with client_of(scene.server.port) as http:
        wrong = {"Authorization": f"Bearer {scene.alice.refresh_token}"}
        assert (await http.get("/api/v1/conversations", headers=wrong)).status_code == 401
        renewed = await _refreshed(http, scene.alice.access_token[:256])
        assert renewed.status_code == 401


async def an_open_stream_is_told_of_the_end(scene: Scene) -> None:
    """It ends with `session.ended`, and who comes back with the same token gets 204."""
    person = await scene.register("listens@example.com")
    async with client_of(scene.server.port) as http, client_of(scene.server.port) as other:
        started = await http.post(
            "/api/v1/turns", json={"message": "Tell me a long story."}, headers=person.proof
        )
        events = started.json()["events_url"]
        request = http.build_request("GET", events, headers=person.proof)
        stream = await http.send(request, stream=True)
        await other.post(f"{AUTH}/logout", headers=person.proof)
        with anyio.fail_after(10):
            told = (await stream.aread()).decode()
        after = await http.get(events, headers=person.proof)

    assert "event: session.ended" in told
    assert after.status_code == 204


async def a_token_in_the_address_is_nobody_and_not_logged(scene: Scene) -> None:
    """Neither the server's log nor nginx's keeps a query."""
    token = scene.alice.access_token
    for query in (f"access_token={token}", f"token={token}", f"authorization=Bearer%20{token}"):
        for via in (APP, NGINX):
            case = Case("query", [401], path=f"/api/v1/conversations?{query}")
            assert (await scene.send(case, via)).status == 401
    logs = log_of(scene.server) + scene.nginx.access_log.read_text(
        encoding="utf-8", errors="replace"
    )
    assert '"path":"/api/v1/conversations"' in logs
    assert token not in logs


async def unknown_people_and_wrong_passwords_are_answered_alike(scene: Scene) -> None:
    """Status, words and length tell nothing of who has an account."""
    told = []
    async with client_of(scene.server.port) as http:
        for email in ("bob@example.com", "nob@example.com"):
            body = {"email": email, "password": "not the password at all"}
            answer = await http.post(f"{AUTH}/login", json=body)
            problem = answer.json()
            problem.pop("request_id")
            told.append((answer.status_code, problem, len(answer.content)))

    assert told[0] == told[1]
    assert told[0][0] == 401


async def passwords_are_taken_whole(scene: Scene) -> None:
    """A long one is not cut off, as bcrypt does; one without end is refused unhashed."""
    long = "p " * 40 + "end"
    await scene.register("long@example.com", long)
    async with client_of(scene.server.port) as http:
        await sign_in(http, "long@example.com", long)
        for wrong in (long[:72], long[:-1] + "t"):
            body = {"email": "long@example.com", "password": wrong}
            assert (await http.post(f"{AUTH}/login", json=body)).status_code == 401
        body = {"email": "long@example.com", "password": "p" * 200_000}
        assert (await http.post(f"{AUTH}/login", json=body)).status_code == 422


async def no_answer_shows_what_is_not_the_callers(scene: Scene) -> None:
    """Nor hashes, internal ids, or what a chatbot was told."""
    paths = [f"{AUTH}/me", "/api/v1/conversations", "/api/v1/chatbots", "/api/v1/chatbots/default"]
    paths += [f"/api/v1/conversations/{scene.places['conversation']}/messages"]
    paths += [f"/api/v1/turns/{scene.places['turn']}"]
    async with client_of(scene.server.port) as http:
        for path in paths:
            answer = await http.get(path, headers=scene.alice.proof)
            assert answer.status_code == 200, path
            for hidden in ("argon2", PASSWORD, '"instructions"', "owner_id", '"_id"', "secret"):
                assert hidden not in answer.text, (path, hidden)


async def operators_routes_are_closed_to_everybody_else(scene: Scene) -> None:
    """The list is the application's own: a new route is asked as well."""
    ended = await scene.register("was-here@example.com")
    calls = _calls({Access.ADMIN, Access.READER})
    async with client_of(scene.server.port) as http:
        await http.post(f"{AUTH}/logout", headers=ended.proof)
        callers = [({}, 401), (scene.alice.proof, 403), (ended.proof, 401)]
        callers += [({"Authorization": "Bearer wrong"}, 401), ({"Cookie": "chat_operator=x"}, 401)]
        for (method, path), (proof, status) in product(calls, callers):
            answer = await http.request(method, path, headers=proof)
            assert answer.status_code == status, (method, path, proof)
    assert len(calls) > 20


async def owners_routes_are_closed_to_strangers(scene: Scene) -> None:
    """Production lets no guest in: without a proof nothing of anybody's is there."""
    async with client_of(scene.server.port) as http:
        for method, path in _calls({Access.OWNER, Access.ANYBODY_KNOWN, Access.USER}):
            answer = await http.request(method, path)
            assert answer.status_code == 401, (method, path)


def _calls(rules: set[Access]) -> list[tuple[str, str]]:
    """Return the application's calls of these rules."""
    routes = [each for each in served_routes() if isinstance(each, ApiRoute)]
    return [
        (method, _some(route.path))
        for route in routes
        if route.access in rules
        for method in sorted(route.methods or ())
    ]


def _some(path: str) -> str:
    """Return an address of a route: each of its parts is called `x`."""
    _, form, parts = compile_path(path)
    return form.format(**dict.fromkeys(parts, "x"))


async def somebody_elses_things_are_not_there(scene: Scene) -> None:
    """As if they were not there at all: the answers are of one length, too."""
    turn, conversation = scene.places["turn"], scene.places["conversation"]
    message = scene.places["message"]
    calls: list[tuple[str, str, str, object]] = [
        ("GET", "/api/v1/turns/{}", turn, None),
        ("GET", "/api/v1/turns/{}/events", turn, None),
        ("POST", "/api/v1/turns/{}/cancel", turn, {}),
        ("POST", "/api/v1/turns/{}/playback", turn, {"played_s": 1, "buffered_s": 1}),
        ("GET", "/api/v1/conversations/{}", conversation, None),
        ("GET", "/api/v1/conversations/{}/messages", conversation, None),
        ("PATCH", "/api/v1/conversations/{}", conversation, {"title": "mine"}),
        ("DELETE", "/api/v1/conversations/{}", conversation, None),
        ("PUT", "/api/v1/messages/{}/feedback", message, {"rating": "up"}),
        ("GET", "/api/v1/speech/{}.0", turn, None),
    ]
    async with client_of(scene.server.port) as http:
        for method, path, known, body in calls:
            unknown = known[:-4] + "0000"
            told = []
            for each in (known, unknown):
                answer = await http.request(
                    method, path.format(each), json=body, headers=scene.bob.proof
                )
                told.append((answer.status_code, len(answer.content)))
            assert told[0] == told[1], (method, path)
            assert told[0][0] == 404, (method, path)


async def every_answer_has_the_headers(scene: Scene) -> None:
    """Errors, refusals by the parser, files, event streams: of the server and of nginx."""
    deep = "[" * 100
    cases = [
        Case("page", [200], path="/"),
        Case("file", [200], path="/assets/app.js"),
        Case("gone", [404], path="/nothing"),
        Case("method", [405], path="/", method="PUT"),
        Case("denied", [401]),
        Case("malformed", [400], path="/api/v1/turns", method="POST", body=deep, by="alice"),
        Case("cross-site", [403], method="POST", headers={"Origin": "null"}, by="alice"),
        Case("stream", [200, 204], path="/api/v1/turns/{turn}/events", by="alice"),
        Case("probe", [200], path="/health/live"),
        Case("not-http", [400], raw="GET / HTTP/9.9\r\n\r\n"),
    ]
    for case in cases:
        for via in (APP, NGINX):
            answer = await scene.send(case, via)
            assert answer.status in {*case.status, 400, 505}, (case.id, via)
            if answer.status == 505:
                continue  # nginx knows no such version, and nothing of the request
            lacking = {name for name in EVERY if name not in answer.headers}
            assert not lacking, (case.id, via)
            assert answer.headers["cache-control"] in {"no-store", "no-cache"}, (case.id, via)
            assert ("strict-transport-security" in answer.headers) == (via == NGINX), case.id


async def cookies_are_for_this_site_and_no_script(scene: Scene) -> None:
    """Over https they are bound to the host and to encryption, too."""
    body = {"email": "bob@example.com", "password": PASSWORD}
    async with scene.nginx.client() as https, client_of(scene.server.port) as http:
        secure = await https.post(f"{AUTH}/login", json=body)
        plain = await http.post(f"{AUTH}/login", json=body)
    for answer, is_secure in ((secure, True), (plain, False)):
        given = answer.headers.get_list("set-cookie")
        assert len(given) >= 2
        for cookie in given:
            assert "httponly" in cookie.lower()
            assert "samesite=lax" in cookie.lower() or "samesite=strict" in cookie.lower()
            assert ("; secure" in cookie.lower()) == is_secure
            assert cookie.startswith("__") == is_secure
            assert "domain=" not in cookie.lower()


async def a_line_of_the_log_is_one_line(scene: Scene) -> None:
    """Whatever the address says."""
    before = len(log_of(scene.server))
    path = "/api/v1/%0a2026-01-01T00:00:00Z%20[error]%20server.forged%1b[31m"
    for via in (APP, NGINX):
        await scene.send(Case("log", [401, 404], path=path), via)
    for written in (
        log_of(scene.server)[before:],
        scene.nginx.access_log.read_text(errors="replace"),
    ):
        assert not any(line.startswith("2026-01-01") for line in written.splitlines())
        assert "\x1b" not in written


async def a_large_body_is_refused_and_not_kept(scene: Scene) -> None:
    """By its length before it comes, in pieces as soon as it is too long; memory stays flat."""
    before = _resident_kb(scene)
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    head = {**scene.alice.proof, "Content-Type": "application/json"}
    announced = request_bytes(
        "POST",
        "/api/v1/turns",
        port=scene.server.port,
        headers={**head, "Content-Length": str(300_000_000)},
    )
    chunked = request_bytes(
        "POST",
        "/api/v1/turns",
        port=scene.server.port,
        headers={**head, "Transfer-Encoding": "chunked"},
    )
    for request in (announced + b"x" * 2_000_000, chunked + chunk * 64 + b"0\r\n\r\n"):
        assert (await exchange(scene.server.port, request)).status == 413
    assert _resident_kb(scene) - before < 20_000


def _resident_kb(scene: Scene) -> int:
    """Return the memory that the server has."""
    with open(f"/proc/{scene.server.process.pid}/status", encoding="ascii") as file:  # noqa: PTH123
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


async def strange_json_is_refused_at_once(scene: Scene) -> None:
    """A number of a megabyte would take seconds to read; keys twice are ambiguous."""
    bodies = [
        b'{"message":"a","message":"b"}',
        b'{"message":' + b"9" * 200_000 + b"}",
        b'{"message":1' + b"0" * 200_000 + b".5e5}",
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"message":1e400}',
        b'{"message":NaN}',
    ]
    for body in bodies:
        request = request_bytes(
            "POST",
            "/api/v1/turns",
            port=scene.server.port,
            headers={**scene.alice.proof, "Content-Type": "application/json"},
            body=body,
        )
        began = anyio.current_time()
        answer = await exchange(scene.server.port, request)
        # A twentieth of a second alone, far more where the machine is busy: some read for minutes.
        assert anyio.current_time() - began < 2
        assert answer.status in {400, 422}, body[:40]


async def an_event_stream_without_a_worker_asks_to_come_back(scene: Scene) -> None:
    """Any answer but 200 would end an EventSource for good."""
    from tests.support.nginx import free_ports, running_nginx  # noqa: PLC0415  # of this alone

    folder = scene.nginx.folder.parent / "alone"
    async with running_nginx(folder, upstream=free_ports(1)[0]) as nginx, nginx.client() as http:
        stream = await http.get("/api/v1/turns/turn_x/events")
        other = await http.get("/api/v1/conversations")

    assert stream.status_code == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "retry: 3000\nevent: bye\n" in stream.text
    assert (other.status_code, other.headers["retry-after"]) == (503, "2")
    assert other.json()["code"] == "unavailable"


async def the_redirect_goes_nowhere_else(scene: Scene) -> None:
    """Plain HTTP answers with our own name, and with the path as it came."""
    for path in ("/", "//evil.example/", "/a?b=c", "/%0d%0aX-Evil:%201"):
        request = request_bytes("GET", path, port=0, headers={"Host": "localhost"})
        answer = await exchange(scene.nginx.http_port, request)
        assert answer.status == 308
        assert answer.headers["location"].startswith(f"{scene.nginx.url}/")
        assert "x-evil" not in answer.headers


async def claimed_addresses_are_dropped(scene: Scene) -> None:
    """Whom nginx talks to, it says itself; what a caller says of itself does not come through."""
    before = len(log_of(scene.server))
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host"):
        case = Case(
            "claimed",
            [401],
            method="POST",
            path=f"{AUTH}/login",
            headers={name: "198.51.100.7"},
            body='{"email":"nobody@example.com","password":"not the password at all"}',
        )
        assert (await scene.send(case, NGINX)).status == 401
    assert "198.51.100.7" not in log_of(scene.server)[before:]


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        a_good_token_is_taken,
        signing_out_ends_the_token,
        a_used_refresh_token_ends_the_session,
        tokens_are_not_taken_for_each_other,
        an_open_stream_is_told_of_the_end,
        a_token_in_the_address_is_nobody_and_not_logged,
        unknown_people_and_wrong_passwords_are_answered_alike,
        passwords_are_taken_whole,
        no_answer_shows_what_is_not_the_callers,
        operators_routes_are_closed_to_everybody_else,
        owners_routes_are_closed_to_strangers,
        somebody_elses_things_are_not_there,
        every_answer_has_the_headers,
        cookies_are_for_this_site_and_no_script,
        a_line_of_the_log_is_one_line,
        a_large_body_is_refused_and_not_kept,
        strange_json_is_refused_at_once,
        an_event_stream_without_a_worker_asks_to_come_back,
        the_redirect_goes_nowhere_else,
        claimed_addresses_are_dropped,
    )
}
"""By name; kept by hand, so that a check that nobody names is found."""
