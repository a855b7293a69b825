"""Commands that prove something: run within a time, judged by their exit status."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from operations.findings import Finding, fail, ok, skip

ROOT = Path(__file__).resolve().parents[1]
MAX_SAID = 160


def proven(
    name: str,
    command: Sequence[str],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> Finding:
    """Run a command in the repository; 0 is a pass, and its last line says what was seen.

    A program that is not installed skips it.
    """
    began_at = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603  # commands of this repository's own lists
            list(command),
            cwd=ROOT,
            env=None if environment is None else dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except FileNotFoundError:
        return skip(name, f"{command[0]} is not installed")
    except subprocess.TimeoutExpired:
        return fail(name, f"not done within {timeout_s:g} s")
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    last = lines[-1].strip()[:MAX_SAID] if lines else ""
    if done.returncode:
        return fail(name, f"status {done.returncode}: {last}")
    return ok(name, f"{last} ({time.monotonic() - began_at:.1f} s)".strip())
