"""What the attacks are aimed at: a server in production, nginx before it, and people's things."""

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.security.attacks import NGINX, Case
from tests.security.forgeries import Forger
from tests.support.certificates import trusting
from tests.support.nginx import DOMAIN, Nginx, running_nginx
from tests.support.production import PRODUCTION
from tests.support.raw_http import RawAnswer, exchange
from tests.support.server import Server, client_of, running_server

PASSWORD = "correct horse battery staple 47"  # noqa: S105 - made up for the tests
SETTINGS: Mapping[str, object] = {
    **PRODUCTION,
    "allowed_hosts": DOMAIN,
    "allowed_origins": "https://friend.example",
    "trusted_proxies": "127.0.0.1",
    "refresh_grace_s": 0,
    "rate_limit_enabled": "false",
    "default_streaming_percentage": 100,
    "offline_tokens_per_s": 200,
    "log_requests": "true",
}
AUTH = "/api/v1/auth"


@dataclass
class Person:
    """Somebody with an account, and their tokens."""

    email: str
    access_token: str
    refresh_token: str

    @property
    def proof(self) -> dict[str, str]:
        """The header that proves who it is."""
        return {"Authorization": f"Bearer {self.access_token}"}


@dataclass
class Scene:
    """The server, nginx, and two people of whom one has something."""

    server: Server
    nginx: Nginx
    tls: ssl.SSLContext
    alice: Person
    bob: Person
    forger: Forger
    places: Mapping[str, str]

    @property
    def operator(self) -> dict[str, str]:
        """The header of operators' scripts."""
        return {"Authorization": f"Bearer {PRODUCTION['admin_token']}"}

    async def send(self, case: Case, via: str) -> RawAnswer:
        """Send a case's request to the server, or to nginx."""
        if via == NGINX:
            authority = f"{DOMAIN}:{self.nginx.https_port}"
            request = case.to_bytes(authority, self.places, self._proof(case.by))
            return await exchange(self.nginx.https_port, request, tls=self.tls)
        authority = f"127.0.0.1:{self.server.port}"
        request = case.to_bytes(authority, self.places, self._proof(case.by))
        return await exchange(self.server.port, request)

    def _proof(self, by: str) -> dict[str, str]:
        kind, _, how = by.partition(":")
        match kind:
            case "alice":
                return self.alice.proof
            case "bob":
                return self.bob.proof
            case "operator":
                return self.operator
            case "forged":
                return {"Authorization": f"Bearer {self.forger.make(how)}"}
            case _:
                return {}

    async def register(self, email: str, password: str = PASSWORD) -> Person:
        """Give somebody an account."""
        async with client_of(self.server.port) as http:
            return await register(http, email, password)


async def register(http: httpx.AsyncClient, email: str, password: str = PASSWORD) -> Person:
    """Give somebody an account, and tokens to bear."""
    body = {"email": email, "password": password}
    made = await http.post(f"{AUTH}/register", json=body)
    assert made.status_code == 201, made.text
    http.cookies.clear()
    return await sign_in(http, email, password)


async def sign_in(http: httpx.AsyncClient, email: str, password: str = PASSWORD) -> Person:
    """Sign somebody in."""
    answer = await http.post(f"{AUTH}/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    given: dict[str, Any] = answer.json()
    http.cookies.clear()
    return Person(email, given["access_token"], given["refresh_token"])


@asynccontextmanager
async def set_scene(
    folder: Path, *, operators: str = "203.0.113.0/24"
) -> AsyncGenerator[Scene, None]:
    """Have the scene until the block ends. By default nobody is an operator by their network."""
    options = ["--operators", operators, "--max-body-bytes", "262144"]
    async with (
        running_server(folder / "server", **SETTINGS) as server,
        running_nginx(folder / "nginx", upstream=server.port, options=options) as nginx,
        client_of(server.port) as http,
    ):
        alice, bob = (
            await register(http, "alice@example.com"),
            await register(http, "bob@example.com"),
        )
        hers = await http.post(
            "/api/v1/turns", json={"message": "What is mine?"}, headers=alice.proof
        )
        assert hers.status_code == 201, hers.text
        turn = hers.json()
        messages = await http.get(
            f"/api/v1/conversations/{turn['conversation_id']}/messages", headers=alice.proof
        )
        places = {
            "turn": turn["turn_id"],
            "conversation": turn["conversation_id"],
            "message": messages.json()["messages"][-1]["message_id"],
            "refresh_token": alice.refresh_token,
            "access_token": alice.access_token,
        }
        forger = Forger(alice.access_token, PRODUCTION["jwt_secret"])
        yield Scene(server, nginx, trusting(nginx.folder), alice, bob, forger, places)
