"""A simulator as a child process: where it listens, and its end."""

from collections.abc import Awaitable, Callable

import anyio
import anyio.abc

_START_S = 20.0
_STOP_S = 5.0


async def port_of(process: anyio.abc.Process, port_file: anyio.Path) -> int:
    """Wait until the file tells the port, or the process has ended."""
    with anyio.fail_after(_START_S):
        while not await port_file.exists():
            if process.returncode is not None:
                raise RuntimeError(f"the simulator ended with status {process.returncode}")
            await anyio.sleep(0.02)
    return int(await port_file.read_text(encoding="ascii"))


async def stop(process: anyio.abc.Process) -> None:
    """End the process: politely, else by force."""
    ended: Callable[[], Awaitable[int]] = process.wait
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
        with anyio.move_on_after(_STOP_S):
            await ended()
            return
        process.kill()
        await ended()
