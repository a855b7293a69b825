"""The benchmark measures a real server; how fast it is, is none of the tests' business."""

import subprocess
import sys
from pathlib import Path

import anyio
import msgspec
import pytest

from loadtests.bench import client, report
from loadtests.bench.measure import Idle, Steady, Workload
from loadtests.bench.results import Results
from loadtests.bench.targets import SIMULATOR_REQUEST
from tests.support.simulator import running_simulator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="CPU is read from /proc")


@pytest.mark.long
async def test_a_short_run_prints_a_table_and_writes_what_it_measured(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    command = [sys.executable, "-m", "loadtests.bench", "--targets", "tutorial", "--rounds", "1"]
    command += ["--window", "0.5", "--requests", "3", "--memory-streams", "5"]
    command += ["--workloads", "5x20", "--output", str(output)]
    command += ["--parts", "steady", "idle", "memory"]

    with anyio.fail_after(60):
        run = await anyio.run_process(command, stderr=subprocess.STDOUT)

    written = msgspec.json.decode(output.read_bytes())
    assert "5 x 20 tokens/s, 1 rounds" in run.stdout.decode()
    assert written["cpu_us_per_token"]["5 x 20 tokens/s"]["tutorial"] > 0
    assert written["added_ttft_ms"].keys() == {"tutorial"}
    assert len(written["steady"]["5 x 20 tokens/s"]["tutorial"]) == 1
    assert "**5 x 20 tokens/s, 1 rounds**" in output.with_suffix(".md").read_text("utf-8")
    assert "</svg>" in output.with_suffix(".svg").read_text("utf-8")


async def test_the_client_counts_marked_tokens_and_times_the_first() -> None:
    load = client.Load()
    async with running_simulator() as simulator:
        asked = SIMULATOR_REQUEST("sim:tokens=50,mark=1,rate=0,ttft=0")
        stream = await client.connect(simulator.port, asked, load)
        with anyio.fail_after(5):
            first_s = await stream.first_token
            await simulator.wait_for(lambda view: view["open"] == 0 and load.tokens == 50)
        stream.close()

    assert first_s > 0
    assert (load.started, load.failed) == (1, [])


async def test_a_stream_that_the_server_drops_is_counted_as_failed() -> None:
    load = client.Load()
    async with running_simulator() as simulator:
        asked = SIMULATOR_REQUEST("fault:cut:after=2,mark=1")
        stream = await client.connect(simulator.port, asked, load)
        with anyio.fail_after(5):
            await stream.ended

    assert load.failed == ["HTTP/1.1 200 (closed) after 2 tokens"]


def test_a_saturated_server_and_the_ratios_are_named() -> None:
    results = Results(load_before=0.0)
    workload = Workload(10, 10)
    results.add_steady(workload, "tutorial", Steady(100.0, 50.0, 100.0, 1.0, 1.0))
    results.add_steady(workload, "chatstream", Steady(25.0, 100.0, 100.0, 1.0, 1.0))
    results.idle["chatstream"] = [Idle([0.001] * 9, [0.003] * 9)]
    results.memory_kb["chatstream"] = 40.4

    lines = [" ".join(line.split()) for line in report.text(results).splitlines()]

    assert "tutorial 100.0 [100.0..100.0] - 4.00 50 saturated 0.0 0.0 / 0.0" in lines
    assert "chatstream 25.0 [25.0..25.0] - 1.00 100 0.0 0.0 / 0.0" in lines
    assert "chatstream 2.00 / 2.00 40 - -" in lines
