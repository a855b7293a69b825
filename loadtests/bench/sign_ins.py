"""`python -m loadtests.bench.sign_ins`: what others notice while 200 people sign in at once.

One embedded server on a core of its own, as a black box: passwords are right, each is hashed.
Meanwhile somebody else calls every 20 ms, and the server's own figures tell how late its event
loop was.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import anyio
import msgspec

from loadtests.bench import command
from loadtests.bench.cluster import chatstream, lags, running_model, worst_lag
from loadtests.bench.exchange import fetch, get, post
from loadtests.bench.figures import Row, quantile, spread
from loadtests.bench.measure import BenchError, ready
from loadtests.bench.processes import Child, Cores, free_port, pin, running
from loadtests.bench.targets import Setup

MAX_LAG_S = 0.05
MAX_GROWTH_BYTES = 64 * 2**20
_LOOK_EVERY_S = 0.02
_ACCOUNT = {"email": "ann@example.com", "password": "correct horse battery"}


@dataclass(slots=True)
class Seen:
    """What a run came to; times in seconds."""

    statuses: list[int] = field(default_factory=list)
    took_s: float = 0.0
    others_s: list[float] = field(default_factory=list)
    alone_s: list[float] = field(default_factory=list)
    lag_s: float = 0.0
    grown_bytes: int = 0

    def rows(self) -> list[Row]:
        """Return the figures."""
        many, signed_in = len(self.statuses), self.statuses.count(200)
        others_p99 = quantile(self.others_s, 99)
        return [
            Row("signed in", f"{signed_in} of {many}", "all", signed_in == many),
            Row("all of them took", f"{self.took_s:.1f} s"),
            Row("other calls, nobody signing in", spread(self.alone_s)),
            Row(
                "other calls meanwhile",
                spread(self.others_s),
                "p99 < 50 ms",
                others_p99 < MAX_LAG_S,
            ),
            Row(
                "event loop late at most",
                f"{1e3 * self.lag_s:.0f} ms",
                f"<= {1e3 * MAX_LAG_S:.0f} ms",
                self.lag_s <= MAX_LAG_S,
            ),
            Row(
                "memory grown by",
                f"{self.grown_bytes / 2**20:.0f} MiB",
                f"< {MAX_GROWTH_BYTES / 2**20:.0f} MiB",
                self.grown_bytes < MAX_GROWTH_BYTES,
            ),
        ]


async def measure(people: int) -> Seen:
    """Have so many people sign in at once, and look on.

    Raises:
        BenchError: The server does not start, or knows nobody.
    """
    cores, seen = Cores.split(), Seen()
    pin(cores.load)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        async with running_model(folder, cores.load) as (_, model_port):
            port = free_port()
            own = chatstream(Setup(port, model_port, "sim", folder), RATE_LIMIT_ENABLED="false")
            async with running(own, cores.server, folder / "server.log") as server:
                await ready(server, f"http://127.0.0.1:{port}/health/ready")
                await _sign_in(port, "register", 201)
                await _crowd(server, port, people, seen)
    return seen


async def _crowd(server: Child, port: int, people: int, seen: Seen) -> None:
    await _sign_in(port, "login", 200)
    with anyio.move_on_after(2):
        await _look_on(port, seen.alone_s)
    before, held, began = await lags([port]), server.resident_bytes(), perf_counter()

    async def one() -> None:
        answer = await fetch(port, _request("login"))
        seen.statuses.append(0 if answer is None else answer.status)

    async with anyio.create_task_group() as looking:
        looking.start_soon(_look_on, port, seen.others_s)
        async with anyio.create_task_group() as tasks:
            for _ in range(people):
                tasks.start_soon(one)
        looking.cancel_scope.cancel()
    seen.took_s = perf_counter() - began
    seen.lag_s = worst_lag(before, await lags([port]))
    seen.grown_bytes = server.resident_bytes() - held


async def _look_on(port: int, took_s: list[float]) -> None:
    while True:
        began = perf_counter()
        await fetch(port, get("/api/v1/auth/options", {}))
        took_s.append(perf_counter() - began)
        await anyio.sleep(_LOOK_EVERY_S)


async def _sign_in(port: int, how: str, status: int) -> None:
    answer = await fetch(port, _request(how))
    if answer is None or answer.status != status:
        raise BenchError(f"{how} is answered with {answer and answer.status}, not {status}")


def _request(how: str) -> bytes:
    return post(f"/api/v1/auth/{how}", {}, msgspec.json.encode(_ACCOUNT))


async def _rows(told: argparse.Namespace) -> list[Row]:
    return (await measure(told.people)).rows()


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("loadtests.bench.sign_ins", __doc__)
    parser.add_argument("--people", type=int, default=200)
    return parser


if __name__ == "__main__":
    sys.exit(command.run("Sign-ins at once, one worker", _parser(), _rows))
