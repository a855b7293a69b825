"""`python -m tests.fresh_machine`: the deployment guide, run out of the page on a new Debian 12.

Root's alone. Exit status 0 where all held, 1 where something did not, 77 where no such machine can
be had here. What each step took is printed: the figures of the page.
"""

import argparse
import signal
import sys
from pathlib import Path

from tests.fresh_machine.journey import Journey
from tests.fresh_machine.machine import CommandError, UnfitError, fresh

SKIPPED, STOPPED = 77, 143


def main() -> int:
    """Parse the command line, go the whole way; return the exit status."""
    parser = argparse.ArgumentParser(prog="tests.fresh_machine", description=__doc__)
    cache = Path("/var/cache/chatstream-fresh")
    parser.add_argument("--cache", type=Path, default=cache, help="for Debian's base (%(default)s)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))  # what was made is taken away
    try:
        with fresh(given.cache) as machine:
            Journey(machine).go()
    except UnfitError as error:
        sys.stderr.write(f"skipped: {error}\n")
        return SKIPPED
    except CommandError as error:
        sys.stderr.write(f"FAIL: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
