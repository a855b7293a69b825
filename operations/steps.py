"""Commands that prove something: run within a time, judged by their exit status."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from operations.findings import SKIPPED, Finding, Level, fail, ok, skip, warn

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

    A program that is not installed skips it, and one that ends with status 77. A last line that
    is one of our own warnings is a warning.
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
    said = _said(done.stdout + done.stderr, is_pass=not done.returncode)
    if done.returncode == SKIPPED:
        return skip(name, said)
    if done.returncode:
        return fail(name, f"status {done.returncode}: {said}")
    told = warn if said.startswith(f"{Level.WARN} ") else ok
    return told(name, f"{said} ({time.monotonic() - began_at:.1f} s)".strip())


def _said(output: str, *, is_pass: bool) -> str:
    """Return the line that counts: of our own reports the first that failed, else the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    failed = [line for line in lines if line.startswith(f"{Level.FAIL} ")]
    chosen = failed[:1] if failed and not is_pass else lines[-1:]
    return "".join(chosen)[:MAX_SAID]
