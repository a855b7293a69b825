"""Each server that is always there is driven once, and what fails does not end a run."""

import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from loadtests.bench import correctness, measure, run, targets
from loadtests.bench.client import Load, StreamClient
from loadtests.bench.cluster import ANYWHERE, running_model
from loadtests.bench.processes import Command, running
from loadtests.bench.targets import Setup, Target

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="CPU is read from /proc")

_STARTS_ANOTHER = """
import subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(other.pid, flush=True)
time.sleep(600)
"""


@asynccontextmanager
async def a_bench() -> AsyncGenerator[measure.Bench, None]:
    """Run the simulator, on no core of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_model(Path(folder), None) as (model, port):
            yield measure.Bench(model, port, ANYWHERE)


@pytest.mark.parametrize(
    "target",
    [targets.DIRECT, targets.NGINX, targets.TUTORIAL, targets.CHATSTREAM, targets.SPEAKING],
    ids=lambda target: str(target.name),
)
async def test_a_target_delivers_the_whole_text_with_an_event_for_each_token(
    target: Target,
) -> None:
    if target.missing():
        pytest.skip(target.missing())
    with anyio.fail_after(60):
        async with (
            a_bench() as bench,
            measure.serving(bench, target, correctness.MODEL) as (_, port),
        ):
            seen = await correctness.check(target, port)

    assert str(seen) == "one event per token"


async def test_a_server_that_says_something_else_is_found_out() -> None:
    answers = targets.chat_completion(f"{correctness.MODEL},seed=2")
    other = replace(targets.DIRECT, request=lambda _: answers)

    with anyio.fail_after(30):
        async with a_bench() as bench:
            with pytest.raises(correctness.NotTheTextError, match="other from"):
                await correctness.check(other, bench.simulator_port)


async def test_a_target_that_fails_is_named_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(_: Setup) -> Command:
        return Command((sys.executable, "-c", "raise SystemExit('no licence')"), {})

    broken = replace(targets.DIRECT, name="broken", command=refuses)
    absent = replace(targets.DIRECT, name="absent", missing=lambda: "buy it first")
    monkeypatch.setattr(run, "TARGETS", {one.name: one for one in (broken, absent, targets.DIRECT)})
    plan = run.Plan(
        ["broken", "absent", "direct"],
        rounds=1,
        window_s=0.3,
        workloads=[measure.Workload(4, 20)],
        parts=["steady"],
    )

    with anyio.fail_after(60), keeping_its_cores():
        results = await run.run(plan)

    assert results.left_out["absent"] == "buy it first"
    assert "no licence" in results.left_out["broken"]
    assert results.names == ["direct"]
    assert results.cpu_us("4 x 20 tokens/s", "direct")


@contextmanager
def keeping_its_cores() -> Generator[None, None, None]:
    """Undo what a run does to the process that runs it."""
    before = os.sched_getaffinity(0)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def test_what_a_child_has_started_ends_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with anyio.fail_after(20):
        command = Command((sys.executable, "-c", _STARTS_ANOTHER), {})
        async with running(command, None, log) as child:
            await until(lambda: log.read_text("ascii").endswith("\n"))
            pids = [child.pid, int(log.read_text("ascii"))]
            assert child.tree() == pids
        await until(lambda: not any(is_running(pid) for pid in pids))


async def until(claim: Callable[[], bool]) -> None:
    """Wait until something holds."""
    while not claim():  # noqa: ASYNC110  # other processes
        await anyio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Return whether a process runs: a dead one that waits for its parent does not."""
    try:
        os.kill(pid, signal.SIG_DFL)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"


async def test_a_mark_that_lies_in_two_reads_is_counted_once() -> None:
    load = Load(gap_s=0.1, is_recording=True)
    stream = StreamClient(b"", load, mark=b"event: text.delta\n")
    body = b"HTTP/1.1 200 OK\r\n\r\n" + b"event: text.delta\ndata: {}\n\n" * 5

    for place in range(0, len(body), 7):
        stream.data_received(body[place : place + 7])

    assert (stream.tokens, load.tokens, load.started) == (5, 5, 1)
    assert len(stream.late) == 5
    assert stream.earliest == min(stream.late)


async def test_tokens_that_come_together_are_each_late_against_their_place() -> None:
    load = Load(gap_s=0.1, is_recording=True)
    stream = StreamClient(b"", load)

    stream.data_received(b"one~two~three~")

    first, second, third = stream.late
    assert (first - second, second - third) == pytest.approx((0.1, 0.1))
    assert stream.earliest == third
