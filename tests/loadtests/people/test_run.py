"""The command itself: a real server, real people, and what it says of a server that is not good.

No test here looks at how fast anything was: the machine may be busy.
"""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loadtests.bench.processes import ROOT
from loadtests.people.__main__ import LOCUST
from tests.loadtests.people.served import serving

_WITHIN_S = 150
_needs_locust = pytest.mark.skipif(
    not LOCUST.exists(), reason="locust has an environment of its own: make .venv-loadtests/.ready"
)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "loadtests.people", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=_WITHIN_S, check=False
    )


def result_of(folder: Path) -> dict[str, Any]:
    """Return what a run has written."""
    told: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return told


def rows_of(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return locust's own table."""
    with (folder / "locust_stats.csv").open(encoding="utf-8") as file:
        return {(row["Type"], row["Name"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nosuch"], "there is no profile 'nosuch'; there are smoke, sustained,"),
        (["--host", "http://192.0.2.1:8000"], "192.0.2.1 is another machine: with"),
        (["--host", "localhost"], "'localhost' is no address"),
        (["--seconds", "1e6"], "up to 3600 s"),
        (["--workers", "99"], "0 to 16 workers, not 99"),
    ],
)
def test_what_must_not_be_run_is_refused_in_one_line(arguments: list[str], told: str) -> None:
    ended = run(*arguments)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1


@_needs_locust
@pytest.mark.long
def test_people_on_a_real_server_find_nothing_wrong_and_what_two_workers_count_adds_up(
    tmp_path: Path,
) -> None:
    ended = run("smoke", "--seconds", "8", "--workers", "2", "--out", tmp_path)

    told = result_of(tmp_path)
    figures, rows = told["figures"], rows_of(tmp_path)
    turns = [int(row["Request Count"]) for (kind, _), row in rows.items() if kind == "TURN"]
    assert ended.returncode == (0 if told["is_held"] else 1), ended.stderr
    assert told["errors"] == {}
    for figure in ("lost_tokens", "doubled_tokens", "broken_promises", "generator_faults"):
        assert f"held    {figure} " in ended.stdout
    assert figures["arrivals"] == 8
    assert figures["turns"] == sum(turns) >= 10
    assert figures["cuts"] == figures["reconnects"] > 0
    assert figures["resumes"] == int(rows["MEASURE", "reconnect to next entry"]["Request Count"])
    first = rows["MEASURE", "time to first token"]
    assert float(first["95%"]) == pytest.approx(figures["ttft_p95_ms"], rel=0.1)
    assert {"gap_p99_ms", "lag_p99_ms", "server_cpu_percent"} <= figures.keys()
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all((tmp_path / f"worker-{number}.log").exists() for number in (1, 2))


@_needs_locust
@pytest.mark.long
def test_a_server_that_loses_a_token_fails_the_run(tmp_path: Path) -> None:
    with serving("loses") as served:
        ended = run("smoke", "--seconds", "4", "--host", served.url, "--out", tmp_path)

    figures = result_of(tmp_path)["figures"]
    assert ended.returncode == 1, ended.stderr
    assert "MISSED  lost_tokens" in ended.stdout
    assert figures["lost_tokens"] == figures["turns"] - figures["turns_left"] > 0


@_needs_locust
@pytest.mark.long
def test_who_stops_it_leaves_nothing_running(tmp_path: Path) -> None:
    with running("smoke", "--out", tmp_path) as command:
        while not (tmp_path / "server.log").exists():
            assert command.poll() is None
        command.send_signal(signal.SIGTERM)

        assert command.wait(timeout=30) == 2
        with pytest.raises(ProcessLookupError):
            os.killpg(command.pid, 0)


@contextmanager
def running(*arguments: str | Path) -> Generator[subprocess.Popen[str], None, None]:
    """Run the command in a process group of its own."""
    command = [sys.executable, "-m", "loadtests.people", *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
