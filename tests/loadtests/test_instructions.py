"""The hot path is guarded by counts, not by times: they are the same however busy a machine is."""

import sys

import anyio
import pytest

from loadtests.bench.instructions import count_bytecode

PER_TOKEN = {(3, 11): 693}
"""Bytecode instructions that the embedded server executes for a token, by Python's version, each of
which has its own. Counted on 2026-11-22 by `python -m loadtests.bench.instructions`, which also
tells where: lower it with each gain, and raise it only for what is worth that to every token."""

TOLERANCE = 1.1


@pytest.mark.skipif(sys.platform == "win32", reason="the counting is told by signals to begin")
async def test_a_token_costs_no_more_instructions_than_it_did() -> None:
    known = PER_TOKEN.get(sys.version_info[:2])
    if known is None:
        pytest.skip(
            f"no count is known for Python {sys.version_info.major}.{sys.version_info.minor}"
        )

    with anyio.fail_after(120):
        found = await count_bytecode()

    dearest = sorted(found.executed.items(), key=lambda each: -each[1])[:12]
    shown = "\n".join(f"{executed:8.1f}  {name[-80:]}" for name, executed in dearest)
    assert found.total <= TOLERANCE * known, f"{found.total:.0f}, not {known}:\n{shown}"
    assert found.total > known / 2, "half is gone: lower the bound, or find out what is not counted"
