"""Services that load everything first and fork then, as `gunicorn --preload` does."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pytest

from tests.flags.openfeature.services import change, percentage, put
from tests.support.redis import RedisServer

_FAMILY = {"parent", "child", "grandchild"}
_WAIT_S = 30.0

Told = dict[str, Any]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_parent_and_children_see_a_later_change_over_sockets_of_their_own(
    redis: RedisServer,
) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    with _forking(redis) as service:
        ready = service.told("ready", {"parent"})
        service.go_on()

        forked = service.told("forked", {"child", "grandchild"})
        went_on = service.told("went on", {"parent"})
        confirmed = service.told("confirmed", _FAMILY)
        change(redis.url, percentage("new", 0))
        changed = service.told("changed", _FAMILY)

        assert service.ended() == 0
    assert all(one["value"] is True for one in forked.values())
    assert went_on["parent"]["reason"] == "SPLIT"
    assert all((one["value"], one["reason"]) == (True, "SPLIT") for one in confirmed.values())
    assert all((one["value"], one["version"]) == (False, 2) for one in changed.values())
    assert all(one["followers"] == 1 for one in [*confirmed.values(), *changed.values()])
    assert _none_shared(ready["parent"], *changed.values())


def test_a_child_serves_what_it_was_born_with_until_the_store_speaks(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    with _forking(redis) as service:
        service.told("ready", {"parent"})
        redis.kill()
        service.go_on()

        forked = service.told("forked", {"child", "grandchild"})
        redis.restart()
        change(redis.url, put("new", rollout={"percentage": 100}))
        confirmed = service.told("confirmed", _FAMILY)
        change(redis.url, percentage("new", 0))
        service.told("changed", _FAMILY)

        assert service.ended() == 0
    assert all((one["value"], one["reason"]) == (True, "STALE") for one in forked.values())
    assert all((one["value"], one["reason"]) == (True, "SPLIT") for one in confirmed.values())


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

    def go_on(self) -> None:
        """Let it fork."""
        _stream(self._process.stdin).write("\n")
        _stream(self._process.stdin).flush()

    def ended(self) -> int:
        """Return the exit status."""
        return self._process.wait(_WAIT_S)


@contextmanager
def _forking(redis: RedisServer) -> Iterator[_Service]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.flags.openfeature.forking", redis.url],
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
