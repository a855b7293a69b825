"""What must not be refused: odd but right requests, and how callers are told apart."""

import json

import anyio
import pytest

from tests.support.chat import Chat, cookie_of, log_of, open_sockets, until
from tests.support.raw_http import RawAnswer, exchange, request_bytes

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


async def ask(
    chat: Chat, method: str, path: str, headers: dict[str, str] | None = None, *, body: bytes = b""
) -> RawAnswer:
    """Send a request by hand, with no cookie unless given."""
    port = chat.server.port
    request = request_bytes(method, path, port=port, headers=headers or {}, body=body)
    return await exchange(port, request)


@pytest.mark.parametrize(
    "cookie",
    [
        "chat_guest=guest_admin.AAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "chat_guest=guest_admin",
        "chat_guest=",
        "chat_guest=.",
        "chat_guest=" + "a" * 4000,
        'chat_guest="\xff\xfe\\"; a=b',
        "chat_guest=\xff.\xff",
        ";;;===,,,",
        "a[b]=c; chat_guest",
    ],
)
async def test_a_forged_or_damaged_cookie_makes_a_new_guest(chat: Chat, cookie: str) -> None:
    await chat.server.run_turn()

    answer = await ask(chat, "GET", "/api/v1/conversations", {"Cookie": cookie})

    assert answer.status == 200
    assert json.loads(answer.body) == {"conversations": [], "next": None}
    assert answer.headers["set-cookie"].startswith("chat_guest=guest_")


async def test_a_cookie_that_is_changed_in_one_place_is_another_guests(chat: Chat) -> None:
    state = await chat.server.run_turn()
    cookie = cookie_of(chat.server)
    path = f"/api/v1/turns/{state['turn_id']}"
    assert (await ask(chat, "GET", path, {"Cookie": cookie})).status == 200

    for place in (15, len(cookie) // 2, len(cookie) - 2):
        other = "b" if cookie[place] == "a" else "a"
        changed = cookie[:place] + other + cookie[place + 1 :]
        assert (await ask(chat, "GET", path, {"Cookie": changed})).status == 404


async def test_a_new_guests_cookie_is_for_this_site_and_not_for_scripts(chat: Chat) -> None:
    answer = await ask(chat, "GET", "/api/v1/conversations")

    attributes = answer.headers["set-cookie"].split("; ")[1:]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)


@pytest.mark.parametrize("own", ["abc", "A-b_c.1", "0", "x" * 64])
async def test_a_clean_request_id_is_kept(chat: Chat, own: str) -> None:
    answer = await ask(chat, "GET", "/api/v1/turns/none", {"X-Request-ID": own})

    assert answer.headers["x-request-id"] == own
    assert json.loads(answer.body)["request_id"] == own


@pytest.mark.parametrize(
    "own", ["", "x" * 65, "a b", 'a"b', "a;b", "<script>", "\xe9", "a,b", "%0d%0a"]
)
async def test_an_unclean_request_id_is_replaced(chat: Chat, own: str) -> None:
    answer = await ask(chat, "GET", "/api/v1/turns/none", {"X-Request-ID": own})

    assert answer.status == 404
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "path",
    ["/", "/assets/app.js", "/health", "/api/v1/conversations", "/api/v1/turns/none", "/nothing"],
)
async def test_every_answer_has_the_security_headers_and_a_request_id(
    chat: Chat, path: str
) -> None:
    answer = await ask(chat, "GET", path)

    assert SECURITY_HEADERS.items() <= answer.headers.items()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-request-id"].startswith("req_")
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:{port}"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "APPLICATION/JSON"},
        {"Idempotency-Key": "k" * 255},
        {"Expect": "100-continue"},
        {"Transfer-Encoding": "chunked"},
    ],
    ids=str,
)
async def test_a_write_from_our_own_page_or_from_no_page_is_taken(
    chat: Chat, headers: dict[str, str]
) -> None:
    given = {
        name: value.replace("{port}", str(chat.server.port)) for name, value in headers.items()
    }
    body = b'{"message":"hi"}'
    if "Transfer-Encoding" in headers:
        body = b"10\r\n" + body + b"\r\n0\r\n\r\n"

    answer = await ask(
        chat, "POST", "/api/v1/turns", {"Content-Type": "application/json", **given}, body=body
    )

    assert answer.status == 201
    assert json.loads(answer.body)["streaming"] is True


HARD_TEXTS = [
    "a\r\nevent: turn.failed\ndata: {}\n\n",
    "\r",
    "line\u2028separator\u2029paragraph\x85next",
    "a\x1b[31mred\x07\x08",
    "\U0001f469\u200d\U0001f680 \u202eabc\u202c \ufeff \ufffe \uffff",
    "e\u0301 \u00e9 \u1112\u1161\u11ab",
    "'; DROP TABLE messages; --",
    '</script><img src=x onerror=alert(1)>"&amp;',
    "\x01\x02\x7f",
    "{{7*7}} ${7*7} %s %n",
    "m" * 8000,
    "\U0001f600" * 8000,
]


@pytest.mark.parametrize("text", HARD_TEXTS, ids=range(len(HARD_TEXTS)))
async def test_any_other_text_is_kept_as_it_is(chat: Chat, text: str) -> None:
    if not text.strip():
        text += "."

    state = await chat.server.run_turn(text)

    question, answer = await chat.messages(state["conversation_id"])
    assert question["text"] == text
    assert answer["status"] == "completed"
    renamed = await chat.server.client.patch(
        f"/api/v1/conversations/{state['conversation_id']}", json={"title": text[:200]}
    )
    assert renamed.json()["title"] == text[:200]
    assert "Traceback" not in log_of(chat.server)


@pytest.mark.fault(31)
async def test_a_body_of_exactly_the_limit_is_read(chat: Chat) -> None:
    limit = 262_144
    for size, status in ((limit, 422), (limit + 1, 413)):
        body = b'{"message":"' + b"m" * (size - 14) + b'"}'
        assert len(body) == size

        answer = await ask(
            chat, "POST", "/api/v1/turns", {"Content-Type": "application/json"}, body=body
        )

        assert answer.status == status


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_no_trace(chat: Chat) -> None:
    request = request_bytes(
        "POST",
        "/api/v1/turns",
        port=chat.server.port,
        headers={"Content-Type": "application/json", "Content-Length": "1000"},
        body=b'{"message":',
    )
    logged, sockets = len(log_of(chat.server)), open_sockets(chat.server)

    async with await anyio.connect_tcp("127.0.0.1", chat.server.port) as stream:
        await stream.send(request)
        await until(lambda: open_sockets(chat.server) > sockets)
    await until(lambda: open_sockets(chat.server) == sockets)
    assert (await chat.server.client.get("/health")).status_code == 200

    assert "Traceback" not in log_of(chat.server)[logged:]
    assert "request.failed" not in log_of(chat.server)[logged:]


async def test_two_requests_in_one_write_get_two_answers(chat: Chat) -> None:
    port = chat.server.port
    first = request_bytes("GET", "/health/live", port=port, headers={"Connection": "keep-alive"})
    second = request_bytes("GET", "/api/v1/turns/none", port=port, headers={})

    answer = await exchange(port, first + second)

    assert answer.body.startswith(b'{"status":"ok"}{"type"')
