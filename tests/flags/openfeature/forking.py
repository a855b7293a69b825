"""A service that forks while threads ask: `python -m tests.flags.openfeature.forking`.

Takes the address of Redis and perhaps a bootstrap file, that it must never come to need. The parent
forks a child, and the child one of its own. Each tells what it sees as lines of JSON on standard
error, where nothing else is written unless it fails.
"""

import json
import os
import sys
import threading
from pathlib import Path

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason
from openfeature.provider import ProviderStatus

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
        self.reasons: set[str] = set()

    def run(self) -> None:
        while not (self.is_over.wait(_PAUSE_S) or self.wrong):
            details = _ask()
            self.reasons.add(str(details.reason))
            if details.error_code:
                self.wrong = str(details)


def main(url: str, bootstrap: str | None = None) -> int:
    """Start, fork when a line comes in, and tell of each step; return the exit status."""
    path = Path(bootstrap) if bootstrap else None
    provider = ChatstreamFlagProvider(redis_url=url, bootstrap_path=path)
    api.set_provider_and_wait(provider)
    askers = [_Asker() for _ in range(_ASKERS)]
    for asker in askers:
        asker.start()
    ours = os.getpid()
    _tell(_GENERATIONS[0], "ready")
    # In the children the askers are gone: a fork takes only the thread that forks.
    status = _generation(0, expects_loss=sys.stdin.readline() == "lost\n")
    for asker in askers:
        asker.is_over.set()
        asker.join()
    if os.getpid() == ours:
        _tell(_GENERATIONS[0], "ended", reasons=sorted(askers[0].reasons | askers[1].reasons))
    api.shutdown()
    return status or int(any(asker.wrong for asker in askers))


def _generation(number: int, *, expects_loss: bool) -> int:
    """Fork the next one, then see the store lost if it is, its word, and a later change."""
    child = os.fork() if number + 1 < len(_GENERATIONS) else None
    if child == 0:
        _tell(_GENERATIONS[number + 1], "forked")
        return _generation(number + 1, expects_loss=expects_loss)
    name = _GENERATIONS[number]
    if expects_loss:
        eventually(lambda: api.get_client().get_provider_status() is ProviderStatus.STALE)
        _tell(name, "lost")
    eventually(lambda: _ask().reason != Reason.STALE)
    _tell(name, "confirmed")
    eventually(lambda: _ask().value is False)
    _tell(name, "changed")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else 0


def _ask() -> FlagEvaluationDetails[bool]:
    return api.get_client().get_boolean_details("new", False, _ADA)


def _tell(who: str, step: str, **more: object) -> None:
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
        **more,
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
    sys.exit(main(*sys.argv[1:]))
