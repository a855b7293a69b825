"""A service that forks while threads ask: `python -m tests.flags.openfeature.forking REDIS_URL`.

The parent forks a child, and the child one of its own. Each tells what it sees as lines of JSON on
standard error, where nothing else is written unless it fails.
"""

import json
import os
import sys
import threading
from pathlib import Path

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason

from flags.openfeature import ChatstreamFlagProvider
from tests.flags.openfeature.services import eventually

_GENERATIONS = ("parent", "child", "grandchild")
_ASKERS = 2
_PAUSE_S = 0.0002
_ADA = EvaluationContext("ada")


class _Asker(threading.Thread):
    """Asks all the time until it is told to stop; keeps the first answer that was wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.is_over = threading.Event()
        self.wrong = ""

    def run(self) -> None:
        while not (self.is_over.wait(_PAUSE_S) or self.wrong):
            details = _ask()
            if details.error_code:
                self.wrong = str(details)


def main(url: str) -> int:
    """Start, fork when a line comes in, and tell of each step; return the exit status."""
    api.set_provider_and_wait(ChatstreamFlagProvider(redis_url=url))
    askers = [_Asker() for _ in range(_ASKERS)]
    for asker in askers:
        asker.start()
    _tell(_GENERATIONS[0], "ready")
    sys.stdin.readline()
    status = _generation(0)
    for asker in askers:
        asker.is_over.set()
        asker.join()
    return status or int(any(asker.wrong for asker in askers))


def _generation(number: int) -> int:
    """Fork the next one, then see the store's word and a later change."""
    child = os.fork() if number + 1 < len(_GENERATIONS) else None
    if child == 0:
        _tell(_GENERATIONS[number + 1], "forked")
        return _generation(number + 1)
    name = _GENERATIONS[number]
    _tell(name, "went on")
    eventually(lambda: _ask().reason != Reason.STALE)
    _tell(name, "confirmed")
    eventually(lambda: _ask().value is False)
    _tell(name, "changed")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else 0


def _ask() -> FlagEvaluationDetails[bool]:
    return api.get_client().get_boolean_details("new", False, _ADA)


def _tell(who: str, step: str) -> None:
    details = _ask()
    told = {
        "who": who,
        "step": step,
        "value": details.value,
        "reason": str(details.reason),
        "version": details.flag_metadata.get("version"),
        "status": api.get_client().get_provider_status().value,
        "sockets": _sockets(),
        "followers": sum(each.name == "chatstream-flags" for each in threading.enumerate()),
    }
    os.write(2, json.dumps(told).encode() + b"\n")  # at once, whole, and in nobody's buffer


def _sockets() -> list[str]:
    names = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(descriptor.readlink()))
        except FileNotFoundError:  # closed since it was listed
            continue
    return [name for name in names if name.startswith("socket:")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
