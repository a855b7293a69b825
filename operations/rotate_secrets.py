"""`scripts/rotate-secrets`: new secrets, and in which order workers learn them."""

import argparse
import subprocess
import sys

from operations.findings import OperationError
from operations.server_command import environment
from operations.settings import add_option, load

SHARED = """\
Secrets of DATA_DIR are read at a worker's start. One after another:
1. Workers of this DATA_DIR: restart each, wait for its GET /health/ready, then the next.
2. Workers with a DATA_DIR of their own do not share these secrets: several machines need
   JWT_SECRET, SESSION_SECRET and ADMIN_TOKEN set, the same on each.
Nobody is signed out meanwhile: what the former secret signed stays good.
"""
PAGE = """\
ADMIN_TOKEN has no former one: set the new one, restart every worker, then give it to scripts
and to Prometheus. Cookies of /admin end with it.
"""


def main(arguments: list[str]) -> int:
    """Ask, rotate, and say what is to be restarted; return the exit status."""
    given = _parser().parse_args(arguments)
    settings = load(given.env_file)
    kept = [name for name in ("jwt_secret", "session_secret") if getattr(settings, name) is None]
    if kept and not given.yes:
        files = ", ".join(str(settings.data_dir / name.replace("_", "-")) for name in kept)
        raise OperationError(f"this replaces {files}; say --yes.")
    command = [sys.executable, "-m", "server", "rotate-keys"]
    done = subprocess.run(command, env=environment(given.env_file), check=False)  # noqa: S603  # ourselves
    if done.returncode == 0:
        sys.stdout.write((SHARED if kept else "") + PAGE)
    return done.returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rotate-secrets",
        description="Make new secrets for access tokens and cookies. Those kept in DATA_DIR are"
        " replaced; for those that are set it prints what to set, step by step.",
        epilog="Exit status: 0 done, 1 refused, 2 wrong usage, 78 wrong settings.",
    )
    parser.add_argument("--yes", action="store_true", help="replace what DATA_DIR has")
    add_option(parser)
    return parser
