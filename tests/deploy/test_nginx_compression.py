"""What nginx compresses, what it never does, and what becomes of tags and parts then."""

from collections.abc import Iterator

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from tests.security.scene import PASSWORD, Scene, set_scene

pytestmark = pytest.mark.services
GZIP = {"Accept-Encoding": "gzip"}
BOT = {"name": "Long", "model": "offline", "instructions": "Answer at length. " * 200}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Run nginx before a server; callers from here are operators."""
    setting = set_scene(tmp_path_factory.mktemp("nginx"), operators="127.0.0.1/32")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(setting) as scene:
        yield scene


async def _history(http: httpx.AsyncClient, scene: Scene) -> httpx.Response:
    """Have a long exchange, and return its page of messages."""
    body = {"message": "What do you know? " * 200}
    started = await http.post("/api/v1/turns", json=body, headers=scene.alice.proof)
    assert started.status_code == 201, started.text
    path = f"/api/v1/conversations/{started.json()['conversation_id']}/messages"
    return await http.get(path, headers={**scene.alice.proof, **GZIP})


async def test_a_page_of_messages_is_compressed_and_says_that_it_depends(scene: Scene) -> None:
    async with scene.nginx.client() as http:
        page = await _history(http, scene)
        plain = await http.get(
            page.url, headers={**scene.alice.proof, "Accept-Encoding": "identity"}
        )

    assert page.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in page.headers["vary"].lower()
    assert page.headers["cache-control"] == "no-store"
    assert page.num_bytes_downloaded < len(plain.content) / 3
    assert "content-encoding" not in plain.headers
    assert page.json()["messages"][0] == plain.json()["messages"][0]


@pytest.mark.parametrize(
    "path", ["/", "/assets/vendor/markdown-it.js", "/assets/style.css", "/openapi.json"]
)
async def test_files_and_descriptions_are_compressed(scene: Scene, path: str) -> None:
    async with scene.nginx.client() as http:
        answer = await http.get(path, headers={**scene.operator, **GZIP})

    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.num_bytes_downloaded < len(answer.content) / 2


async def test_an_answer_with_a_secret_is_never_compressed(scene: Scene) -> None:
    """However long: the length of a compressed one would tell what is in it."""
    name = "n" * 60
    body = {"email": "alice@example.com", "password": PASSWORD}
    async with scene.nginx.client() as http:
        signed_in = await http.post("/api/v1/auth/login", json=body, headers=GZIP)
        http.cookies.clear()
        keys = [
            await http.post(
                "/api/v1/api-keys",
                json={"name": f"{name} {number}", "scopes": ["chat"]},
                headers={**scene.alice.proof, **GZIP},
            )
            for number in range(8)
        ]
        listed = await http.get("/api/v1/api-keys", headers={**scene.alice.proof, **GZIP})

    assert {each.status_code for each in (signed_in, listed)} == {200}
    assert {each.status_code for each in keys} == {201}
    assert len(listed.content) > 1024  # it would be, for its length
    for answer in (signed_in, *keys, listed):
        assert "content-encoding" not in answer.headers


async def test_an_event_stream_is_never_compressed_however_it_is_asked_for(scene: Scene) -> None:
    headers = {**scene.alice.proof, **GZIP}
    body = {"message": "Hello " * 400}
    async with scene.nginx.client() as http:
        begun = await http.post(
            "/api/v1/turns", json=body, headers={**headers, "Accept": "text/event-stream"}
        )
        path = f"/api/v1/turns/{begun.headers['x-turn-id']}/events"
        attached = await http.get(path, headers=headers)

    for answer in (begun, attached):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert len(answer.content) > 1024
        assert "content-encoding" not in answer.headers
        assert answer.headers["x-accel-buffering"] == "no"


async def test_a_tag_that_compression_weakened_still_names_the_version(scene: Scene) -> None:
    path, to = "/api/v1/chatbots/long", scene.operator
    async with scene.nginx.client() as http:
        made = await http.put(path, json=BOT, headers=to)
        assert made.status_code == 201, made.text
        read = await http.get(path, headers={**to, **GZIP})
        weak = {"If-Match": read.headers["etag"]}
        changed = await http.put(path, json={**BOT, "name": "Changed"}, headers={**to, **weak})
        late = await http.put(path, json={**BOT, "name": "Late"}, headers={**to, **weak})

    assert read.headers["content-encoding"] == "gzip"
    assert read.headers["etag"] == 'W/"1"'
    assert changed.status_code == 200, changed.text
    assert late.status_code == 412


@pytest.mark.parametrize("path", ["/openapi.json", "/assets/style.css"])
async def test_what_a_caller_has_is_not_sent_again(scene: Scene, path: str) -> None:
    async with scene.nginx.client() as http:
        first = await http.get(path, headers=GZIP)
        again = await http.get(path, headers={**GZIP, "If-None-Match": first.headers["etag"]})
        other = await http.get(path, headers={**GZIP, "If-None-Match": '"another"'})

    assert first.headers["etag"].startswith('W/"')
    assert first.headers["cache-control"] == "no-cache"  # kept, and asked for each time
    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200


async def test_heads_and_parts_are_what_they_are_without_nginx(scene: Scene) -> None:
    path = "/assets/vendor/purify.js"
    async with scene.nginx.client() as http:
        head = await http.head(path, headers={"Accept-Encoding": "identity"})
        part = await http.get(path, headers={"Accept-Encoding": "identity", "Range": "bytes=0-9"})
        live = await http.head("/health/live")
        beyond = await http.get(
            path, headers={"Accept-Encoding": "identity", "Range": "bytes=9999999-"}
        )

    assert (head.status_code, head.content) == (200, b"")
    assert (part.status_code, len(part.content)) == (206, 10)
    assert part.headers["content-range"] == f"bytes 0-9/{head.headers['content-length']}"
    assert live.status_code == 200
    assert beyond.status_code == 416
