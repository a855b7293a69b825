"""`python -m loadtests.bench.rolling`: workers are restarted one by one under steady load.

Each gets SIGTERM, is waited for, started again on its port, and waited for until it is ready; then
the next. Callers behave as nginx with `proxy_next_upstream error http_503 non_idempotent` would: a
start that is refused by one worker (connection refused, or 503) goes to the next one, once round.
Anything else than a started turn is a failed request; so is an attach that is not answered 200.
"""

import argparse
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import anyio
import anyio.abc

from loadtests.bench import command
from loadtests.bench.cluster import Wanted, running_cluster, upstream_calls
from loadtests.bench.figures import Row, spread
from loadtests.bench.readers import Guest, Reader, new_guest, turn_of
from loadtests.llm_simulator.prose import answer_text

Restart = Callable[[], Awaitable[tuple[float, float]]]
"""Restarts a worker; returns the seconds until it had stopped, and until it was ready again."""

_CREATED, _UNAVAILABLE = 201, 503
_SETTLE_S = 1.0
_END_S = 120.0
_COME_BACK_S = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """The load, and how often all workers are restarted under it.

    `tokens` at `rate` a second outlast a drain of `drain_s` if need be: such a turn is handed over.
    """

    starts_per_s: float = 8.0
    readers_each: int = 2
    rate: float = 20.0
    tokens: int = 120
    rounds: int = 3
    drain_s: float = 3.0
    seed: int = 1

    @property
    def model(self) -> str:
        """The simulator's model."""
        return f"sim:ttft=0.2,rate={self.rate:g},tokens={self.tokens}"


@dataclass(slots=True)
class Seen:
    """What a run came to."""

    starts: int = 0
    sent_on: int = 0  # starts that a worker refused and the next one took
    failed: list[str] = field(default_factory=list)
    restarts_s: list[tuple[float, float]] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    attaches: int = 0
    byes: int = 0
    lost: list[str] = field(default_factory=list)
    handed_over: int = 0

    def rows(self) -> list[Row]:
        """Return the figures."""
        stops, ups = zip(*self.restarts_s, strict=True)
        whole = len(self.readers) - len(self.lost)
        return [
            Row(
                f"{len(stops)} restarts: until stopped, until ready, at most",
                f"{max(stops):.1f}, {max(ups):.1f} s",
            ),
            Row("turns started; sent on to the next worker", f"{self.starts}; {self.sent_on}"),
            Row("failed requests", str(len(self.failed)), "0", not self.failed),
            Row(
                "texts equal to the model's and to what is stored",
                f"{whole} of {len(self.readers)} readers",
                "all",
                not self.lost,
            ),
            Row("connections of readers; told to come back", f"{self.attaches}; {self.byes}"),
            Row("resets", str(sum(reader.resets for reader in self.readers))),
            Row("turns that another worker went on with", str(self.handed_over)),
            Row(
                "longest pause of each reader",
                spread([reader.longest_pause_s for reader in self.readers]),
            ),
        ]


async def roll(
    plan: Plan, ports: Sequence[int], model_port: int, restarts: Sequence[Restart]
) -> Seen:
    """Ask and read while the workers are restarted one by one, then read to the end and compare.

    Raises:
        TimeoutError: Answers do not end.
    """
    seen, calls = Seen(), await upstream_calls(model_port)
    load = _Load(plan, list(ports), await new_guest(ports[0]), seen)
    with anyio.fail_after(_END_S * (1 + plan.rounds * len(ports))):
        async with anyio.create_task_group() as readers, anyio.create_task_group() as asking:
            asking.start_soon(load.ask_steadily, readers)
            await anyio.sleep(_SETTLE_S)
            for restart in [*restarts] * plan.rounds:
                seen.restarts_s.append(await restart())
                await anyio.sleep(_SETTLE_S)
            asking.cancel_scope.cancel()
        await load.compare()
    seen.handed_over = await upstream_calls(model_port) - calls - seen.starts
    return seen


class _Load:
    def __init__(self, plan: Plan, ports: list[int], guest: Guest, seen: Seen) -> None:
        self._plan = plan
        self._ports = ports
        self._guest = guest
        self._seen = seen
        self._messages: dict[str, str] = {}
        self._rng = random.Random(plan.seed)

    async def ask_steadily(self, readers: anyio.abc.TaskGroup) -> None:
        """Start a turn every now and then, until cancelled; none is cut off in the middle."""
        due, number = perf_counter(), 0
        while True:
            readers.start_soon(self._have_turn, readers, number)
            number += 1
            due += self._rng.expovariate(self._plan.starts_per_s)
            await anyio.sleep(max(0.0, due - perf_counter()))

    async def _have_turn(self, readers: anyio.abc.TaskGroup, number: int) -> None:
        message = f"Tell me about streaming, the {number}. time."
        turn_id = await self._started(message, f"rolling-{number}")
        if turn_id is None:
            return
        self._messages[turn_id] = message
        for _ in range(self._plan.readers_each):
            reader = Reader(self._guest, turn_id)
            self._seen.readers.append(reader)
            readers.start_soon(self._follow, reader)

    async def _started(self, message: str, key: str) -> str | None:
        """Ask the workers in turn, from any of them on; return the turn that one has started."""
        place, told = self._rng.randrange(len(self._ports)), ""
        for sent_on in range(len(self._ports)):
            port = self._ports[(place + sent_on) % len(self._ports)]
            answer = await self._guest.ask(port, message, key)
            if answer is not None and answer.status == _CREATED:
                self._seen.starts += 1
                self._seen.sent_on += sent_on > 0
                return turn_of(answer)
            told = "refused" if answer is None else f"{answer.status} {answer.body[:200]!r}"
            if answer is not None and answer.status != _UNAVAILABLE:
                break
        self._seen.failed.append(f"start: {told}")
        return None

    async def _follow(self, reader: Reader) -> None:
        place = self._rng.randrange(len(self._ports))
        closes = await reader.read_all(self._ports, place=place, pause_s=_COME_BACK_S)
        self._seen.attaches += sum(each != "refused" for each in closes)
        self._seen.byes += closes.count("bye")
        self._seen.failed += ["attach: another status than 200"] * closes.count("error")

    async def compare(self) -> None:
        """Compare what readers show with what the model said, and with what is stored."""
        stored: dict[str, tuple[str, str]] = {}
        for turn_id in self._messages:
            stored[turn_id] = await self._guest.state(self._rng.choice(self._ports), turn_id)
        for reader in self._seen.readers:
            whole = answer_text(self._messages[reader.turn_id], tokens=self._plan.tokens)
            if reader.faults:
                self._seen.lost.append(reader.faults[0])
            elif (reader.end, reader.text) != ("turn.completed", whole):
                self._seen.lost.append(f"{reader.turn_id}: {reader.end}, not the model's text")
            elif stored[reader.turn_id] != ("completed", whole):
                self._seen.lost.append(f"{reader.turn_id}: stored {stored[reader.turn_id][0]}")


async def measure(plan: Plan, workers: int = 2) -> Seen:
    """Run workers of our own, and restart them."""
    settings = {"DRAIN_TIMEOUT_S": str(plan.drain_s)}
    async with running_cluster(Wanted(workers, plan.model, settings)) as cluster:
        restarts = [worker.restart for worker in cluster.workers]
        return await roll(plan, cluster.ports, cluster.model_port, restarts)


async def _rows(told: argparse.Namespace) -> list[Row]:
    plan = Plan(
        starts_per_s=told.starts_per_s, tokens=told.tokens, rounds=told.rounds, drain_s=told.drain
    )
    seen = await measure(plan, told.workers)
    for fault in [*seen.failed, *seen.lost][:10]:
        print(fault, file=sys.stderr)
    return seen.rows()


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("loadtests.bench.rolling", __doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="restarts of each (%(default)s)")
    parser.add_argument("--starts-per-s", type=float, default=8.0, help="(%(default)s)")
    parser.add_argument("--tokens", type=int, default=120, help="of an answer, 20/s (%(default)s)")
    parser.add_argument("--drain", type=float, default=3.0, help="DRAIN_TIMEOUT_S (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(command.run("Rolling restart", _parser(), _rows))
