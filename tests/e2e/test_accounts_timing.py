"""How long a sign-in takes tells nothing of who has an account.

What others notice of 200 at once is measured: `python -m loadtests.bench.sign_ins`.
"""

from pathlib import Path
from statistics import median
from time import perf_counter

import pytest

from tests.e2e.people import AUTH, register
from tests.support.server import Server, running_server

pytestmark = [pytest.mark.services, pytest.mark.long]

TRIES = 200


async def times(server: Server, email: str, password: str) -> list[float]:
    taken = []
    body = {"email": email, "password": password}
    for _ in range(TRIES // 10):
        began = perf_counter()
        assert (await server.client.post(f"{AUTH}/login", json=body)).status_code == 401
        taken.append(perf_counter() - began)
    return taken


async def test_an_unknown_address_takes_as_long_as_a_wrong_password(tmp_path: Path) -> None:
    """Medians of 200 tries of each, taken in turns, are as alike as two halves of one kind are."""
    async with running_server(tmp_path) as server:
        await register(server.client, "ann@example.com")
        known, unknown = list[float](), list[float]()
        for _ in range(10):
            known += await times(server, "ann@example.com", "a wrong password")
            unknown += await times(server, "bob@example.com", "a wrong password")

    assert median(known) == pytest.approx(median(unknown), rel=0.25)
    assert min(known) > 0.01
    assert min(unknown) > 0.01
