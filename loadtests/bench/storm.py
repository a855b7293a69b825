"""`python -m loadtests.bench.storm`: all readers are cut at once, and are back at once.

Turns run on two workers, with readers on either; then every connection is dropped in one go and
each reader attaches to the next worker with its cursor. Nothing is asked of the model again.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import anyio

from loadtests.bench import command
from loadtests.bench.cluster import Wanted, lags, running_cluster, upstream_calls, worst_lag
from loadtests.bench.figures import Row, quantile, spread
from loadtests.bench.measure import BenchError
from loadtests.bench.readers import Guest, Reader, new_guest, turn_of
from loadtests.llm_simulator.prose import answer_text

TARGET_S = 1.0
LAG_TARGET_S = 0.05

_CREATED = 201
_ASKING = 8  # at once
_STARTED_S = 120.0
_BACK_S = 60.0
_SHOWN_DELTAS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """So many turns with so many readers each, cut so often."""

    turns: int = 100
    readers_each: int = 5
    storms: int = 3
    rate: float = 10.0
    tokens: int = 400
    between_s: float = 3.0

    @property
    def readers(self) -> int:
        """How many there are."""
        return self.turns * self.readers_each

    @property
    def model(self) -> str:
        """The simulator's model; its answers outlast the start of all of them."""
        return f"sim:ttft=0.05,rate={self.rate:g},tokens={self.tokens}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run came to: seconds to be back, one list a storm, and what must be nothing."""

    back_s: list[list[float]]
    calls: tuple[int, int]
    lag_s: float
    calm_lag_s: float
    resets: int
    faults: list[str]

    def rows(self, plan: Plan) -> list[Row]:
        """Return the figures."""
        worst = max(quantile(each, 99) for each in self.back_s)
        return [
            *(
                Row(f"storm {number}: connect to first new event", spread(each))
                for number, each in enumerate(self.back_s, 1)
            ),
            Row("p99 of the worst", f"{worst:.3f} s", f"< {TARGET_S:g} s", worst < TARGET_S),
            Row(
                "model asked before, after",
                f"{self.calls[0]}, {self.calls[1]}",
                "equal",
                self.calls[0] == self.calls[1] == plan.turns,
            ),
            Row(
                "texts not whole, resets",
                f"{len(self.faults)}, {self.resets}",
                "0, 0",
                not (self.faults or self.resets),
            ),
            Row(
                "loop lag at most: calm, storms",
                f"{1e3 * self.calm_lag_s:g}, {1e3 * self.lag_s:g} ms",
                f"< {1e3 * LAG_TARGET_S:g} ms",
                self.lag_s <= LAG_TARGET_S,
            ),
        ]


async def weather(plan: Plan, ports: Sequence[int], model_port: int) -> Seen:
    """Start turns on workers, read them, let the storms pass, read on to the end.

    Raises:
        BenchError: A turn does not start.
        TimeoutError: The readers do not come in time, or do not come back.
    """
    storm = _Storm(plan, ports, await new_guest(ports[0]))
    async with anyio.create_task_group() as tasks:
        await storm.gather(tasks)
        calls, calm_lag = await upstream_calls(model_port), await lags(ports)
        await anyio.sleep(plan.between_s)
        lag = await lags(ports)
        back_s = [await storm.strike() for _ in range(plan.storms)]
        stormy_lag = await lags(ports)
    after = await upstream_calls(model_port)
    return Seen(
        back_s,
        (calls, after),
        worst_lag(lag, stormy_lag),
        worst_lag(calm_lag, lag),
        sum(reader.resets for reader in storm.readers),
        storm.faults(),
    )


class _Storm:
    def __init__(self, plan: Plan, ports: Sequence[int], guest: Guest) -> None:
        self.readers: list[Reader] = []
        self._plan = plan
        self._ports = list(ports)
        self._guest = guest
        self._messages: dict[str, str] = {}

    async def gather(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start all turns, a share on each worker, and wait until all readers read."""
        numbers = iter(range(self._plan.turns))

        async def some() -> None:
            for number in numbers:
                await self._begin(tasks, number)

        with anyio.fail_after(_STARTED_S):
            async with anyio.create_task_group() as asking:
                for _ in range(_ASKING):
                    asking.start_soon(some)
            await self._until_all(_SHOWN_DELTAS)

    async def _begin(self, tasks: anyio.abc.TaskGroup, number: int) -> None:
        message, workers = f"Tell me about streaming, the {number}. time.", len(self._ports)
        answer = await self._guest.ask(self._ports[number % workers], message, f"storm-{number}")
        if answer is None or answer.status != _CREATED:
            raise BenchError(f"turn {number} was not started: {answer}")
        turn_id = turn_of(answer)
        self._messages[turn_id] = message
        for place in range(self._plan.readers_each):
            reader = Reader(self._guest, turn_id)
            self.readers.append(reader)
            # Half of them begin where the turn runs, half elsewhere; all change with each storm.
            at = (number + number // workers + place) % workers
            tasks.start_soon(partial(reader.read_all, self._ports, place=at, pause_s=0.0))

    async def strike(self) -> list[float]:
        """Cut all connections at once; return the seconds until each reader had something new."""
        await self._until_all(_SHOWN_DELTAS)
        before = [len(reader.first_after_s) for reader in self.readers]
        if any(reader.end for reader in self.readers):
            raise BenchError("answers have ended before the storm: more --tokens are needed")
        for reader in self.readers:
            reader.cut()
        with anyio.fail_after(_BACK_S):
            while any(  # noqa: ASYNC110  # a count of many
                len(reader.first_after_s) == had and not reader.end
                for reader, had in zip(self.readers, before, strict=True)
            ):
                await anyio.sleep(0.02)
        await anyio.sleep(self._plan.between_s)
        return [
            reader.first_after_s[had]
            for reader, had in zip(self.readers, before, strict=True)
            if len(reader.first_after_s) > had
        ]

    async def _until_all(self, deltas: int) -> None:
        while any(reader.deltas < deltas for reader in self.readers):  # noqa: ASYNC110  # many
            await anyio.sleep(0.02)

    def faults(self) -> list[str]:
        """Return what was wrong with what each reader shows, one line for each."""
        found: list[str] = []
        for reader in self.readers:
            whole = answer_text(self._messages[reader.turn_id], tokens=self._plan.tokens)
            if reader.faults:
                found.append(reader.faults[0])
            elif (reader.end, reader.text) != ("turn.completed", whole):
                found.append(f"{reader.turn_id}: {reader.end}, the text is not the model's")
        return found


async def measure(plan: Plan, workers: int = 2) -> Seen:
    """Run workers of our own, and the storm."""
    async with running_cluster(Wanted(workers, plan.model)) as cluster:
        return await weather(plan, cluster.ports, cluster.model_port)


async def _rows(told: argparse.Namespace) -> list[Row]:
    plan = Plan(
        turns=max(1, told.readers // told.readers_each),
        readers_each=told.readers_each,
        storms=told.storms,
        rate=told.rate,
        tokens=told.tokens,
    )
    seen = await measure(plan, told.workers)
    for fault in seen.faults[:10]:
        print(fault, file=sys.stderr)
    return seen.rows(plan)


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("loadtests.bench.storm", __doc__)
    parser.add_argument("--readers", type=int, default=500, help="all together (%(default)s)")
    parser.add_argument("--readers-each", type=int, default=5, help="of a turn (%(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--storms", type=int, default=3)
    parser.add_argument("--rate", type=float, default=10.0, help="tokens/s of a turn (%(default)s)")
    parser.add_argument("--tokens", type=int, default=400, help="of an answer (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(command.run("Reconnect storm", _parser(), _rows))
