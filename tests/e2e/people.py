"""People who register and sign in at a real server, each with cookies of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.operators import token_of
from tests.support.server import Server, client_of

AUTH = "/api/v1/auth"
USERS = "/api/v1/users"
CONVERSATIONS = "/api/v1/conversations"
PASSWORD = "correct horse battery"  # noqa: S105 - made up for the tests
BROWSER = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Person:
    """Somebody who has signed in: `http` keeps their cookies, `tokens` what they were told."""

    email: str
    http: httpx.AsyncClient
    tokens: dict[str, Any]

    @property
    def user_id(self) -> str:
        """Who they are."""
        return str(self.tokens["user"]["user_id"])

    @property
    def bearer(self) -> dict[str, str]:
        """The header that proves it, for a client without their cookies."""
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}


async def register(http: httpx.AsyncClient, email: str, **body: object) -> Person:
    """Register with the client's cookies."""
    answer = await http.post(f"{AUTH}/register", json={"email": email, "password": PASSWORD} | body)
    assert answer.status_code == 201, answer.text
    return Person(email, http, answer.json())


async def sign_in(http: httpx.AsyncClient, email: str, password: str = PASSWORD) -> Person:
    """Sign in with the client's cookies."""
    answer = await http.post(f"{AUTH}/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    return Person(email, http, answer.json())


@asynccontextmanager
async def registered(server: Server, email: str) -> AsyncIterator[Person]:
    """Have a person with a client of their own."""
    async with client_of(server.port) as http:
        yield await register(http, email)


@asynccontextmanager
async def signed_in(server: Server, email: str, password: str = PASSWORD) -> AsyncIterator[Person]:
    """Have a person on one more device."""
    async with client_of(server.port) as http:
        yield await sign_in(http, email, password)


async def operate(server: Server, method: str, path: str, **body: object) -> dict[str, Any]:
    """Do something as an operator with the token."""
    async with client_of(server.port) as http:
        headers = {"Authorization": f"Bearer {token_of(server.data_dir)}"}
        answer = await http.request(
            method, path, json={"reason": "a test", **body}, headers=headers
        )
        assert answer.status_code < 300, answer.text
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told


async def make_admin(server: Server, email: str) -> None:
    """Create an admin with the usual password."""
    await operate(server, "POST", USERS, email=email, role="admin", password=PASSWORD)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of a problem."""
    return answer.status_code, str(answer.json().get("code", ""))
