"""Services that load everything first and fork then, as `gunicorn --preload` does."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.flags.openfeature.services import change, percentage, put
from tests.support.redis import RedisServer

_FAMILY = {"parent", "child", "grandchild"}
_WAIT_S = 30.0

Told = dict[str, Any]

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


def test_parent_and_children_see_a_later_change_over_sockets_of_their_own(
    redis: RedisServer,
) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    with _forking(redis) as service:
        ready = service.told("ready", {"parent"})
        service.go_on("fork")

        forked = service.told("forked", {"child", "grandchild"})
        confirmed = service.told("confirmed", _FAMILY)
        change(redis.url, percentage("new", 0))
        changed = service.told("changed", _FAMILY)
        ended = service.told("ended", {"parent"})

        assert service.ended() == 0
    assert all(one["value"] is True for one in forked.values())
    assert all((one["value"], one["reason"]) == (True, "SPLIT") for one in confirmed.values())
    assert all((one["value"], one["version"]) == (False, 2) for one in changed.values())
    assert all(one["followers"] == 1 for one in [*confirmed.values(), *changed.values()])
    assert _none_shared(ready["parent"], *changed.values())
    # To the parent's own threads nothing has happened.
    assert "STALE" not in ended["parent"]["reasons"]


def test_a_child_serves_what_it_was_born_with_until_the_store_speaks(
    redis: RedisServer, tmp_path: Path
) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text('{"flags": {"new": {}}}', encoding="utf-8")
    with _forking(redis, str(bootstrap)) as service:
        service.told("ready", {"parent"})
        redis.kill()
        service.go_on("lost")

        forked = service.told("forked", {"child", "grandchild"})
        lost = service.told("lost", _FAMILY)
        redis.restart()
        change(redis.url, put("new", rollout={"percentage": 100}))
        confirmed = service.told("confirmed", _FAMILY)
        change(redis.url, percentage("new", 0))
        service.told("changed", _FAMILY)

        assert service.ended() == 0
    unsure = [*forked.values(), *lost.values()]
    assert all((one["value"], one["reason"]) == (True, "STALE") for one in unsure)
    assert all((one["value"], one["reason"]) == (True, "SPLIT") for one in confirmed.values())


def test_a_child_does_not_believe_a_store_that_was_emptied(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    with _forking(redis) as service:
        service.told("ready", {"parent"})
        redis.kill()
        redis.restart()
        service.go_on("lost")

        lost = service.told("lost", _FAMILY)
        change(redis.url, put("new", rollout={"percentage": 100}))
        service.told("confirmed", _FAMILY)
        change(redis.url, percentage("new", 0))
        service.told("changed", _FAMILY)

        assert service.ended() == 0
    assert all((one["value"], one["reason"]) == (True, "STALE") for one in lost.values())


class _Service:
    """The program, and what its processes have told so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._told: dict[tuple[str, str], Told] = {}
        self._lines: list[str] = []

    def told(self, step: str, by: set[str]) -> dict[str, Told]:
        """Return what these processes say at a step; wait for the last of them."""
        while missing := {who for who in by if (step, who) not in self._told}:
            line = _stream(self._process.stderr).readline()
            self._lines.append(line)
            assert line, f"it ended before {missing} told of {step!r}:\n{''.join(self._lines)}"
            if line.startswith("{"):
                told = json.loads(line)
                self._told[told["step"], told["who"]] = told
        return {who: self._told[step, who] for who in by}

    def go_on(self, word: str) -> None:
        """Let it fork; "lost": each process is to see that the store is."""
        _stream(self._process.stdin).write(f"{word}\n")
        _stream(self._process.stdin).flush()

    def ended(self) -> int:
        """Return the exit status."""
        return self._process.wait(_WAIT_S)


@contextmanager
def _forking(redis: RedisServer, *bootstrap: str) -> Iterator[_Service]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.flags.openfeature.forking", redis.url, *bootstrap],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # Whatever hangs ends; the children give up by themselves.
    watch = threading.Timer(_WAIT_S, process.kill)
    watch.start()
    with process:
        try:
            yield _Service(process)
        finally:
            watch.cancel()
            process.kill()


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream
    return stream


def _none_shared(*tellers: Told) -> bool:
    sockets = [name for told in tellers for name in told["sockets"]]
    assert all(told["sockets"] for told in tellers)
    return len(sockets) == len(set(sockets))
