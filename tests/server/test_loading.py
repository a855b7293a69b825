"""What loading the server does, and leaves out."""

import subprocess
import sys

from tests.support.server import ROOT

COLLECTS = """
import gc
import server.__main__
from server.services import settle_garbage_collector

while_loading = gc.isenabled()
settle_garbage_collector()
print(while_loading, gc.isenabled(), gc.get_freeze_count() > 10_000)
"""
LOADED = "import sys, server.__main__; print(*sorted(sys.modules))"


def said_by(program: str) -> list[str]:
    """Return the words that a program prints in a process of its own."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.split()


def test_garbage_is_collected_once_the_server_has_started() -> None:
    assert said_by(COLLECTS) == ["False", "True", "True"]


def test_what_settings_may_not_ask_for_is_not_loaded() -> None:
    unneeded = {"authlib", "google.cloud", "openai", "pymongo", "redis"}
    assert unneeded.isdisjoint(said_by(LOADED))
