"""A process that begins, ends and seals turns in a SQLite file until it is killed.

It prints a turn's id once the store has acknowledged its end and its seal, and no sooner.
"""

import sys
from pathlib import Path

import anyio

from history.sqlite import SqliteHistory
from storage.sqlite import SqliteDatabase
from tests.history.factories import a_checkpoint, a_first_turn, a_seal, an_end


async def write(path: Path) -> None:
    """Begin, checkpoint, end and seal turns for ever, eight at a time."""
    history = SqliteHistory(SqliteDatabase(path))
    await history.open()

    async def one_after_another(writer: int) -> None:
        for number in range(sys.maxsize):
            name = f"{writer}-{number}"
            new = a_first_turn(turn_id=f"t-{name}", message_id=f"a-{name}")
            record, _ = await history.turns.begin(new)
            await history.turns.checkpoint([a_checkpoint(record)])
            ended = await history.turns.end(an_end(record))
            await history.turns.seal(a_seal(record))
            sys.stdout.write(f"{ended.turn_id}\n")
            sys.stdout.flush()

    async with anyio.create_task_group() as tasks:
        for writer in range(8):
            tasks.start_soon(one_after_another, writer)


if __name__ == "__main__":
    anyio.run(write, Path(sys.argv[1]))
