"""The embedded store keeps what it read in memory, and nothing that has changed."""

from dataclasses import replace
from pathlib import Path

import anyio
from anyio.lowlevel import checkpoint

from chatbots.model import DEFAULT_CHATBOT, DEFAULT_CHATBOT_ID
from chatbots.sqlite import SqliteChatbots
from storage.sqlite import SqliteDatabase


async def test_who_reads_while_a_chatbot_changes_never_has_the_former_one_afterwards(
    tmp_path: Path,
) -> None:
    database = SqliteDatabase(tmp_path / "chat.db")
    chatbots = SqliteChatbots(database)
    await chatbots.open()

    async def read() -> None:
        while True:
            await chatbots.get(DEFAULT_CHATBOT_ID)
            await checkpoint()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(read)
            for number in range(50):
                wanted = replace(DEFAULT_CHATBOT, name=f"number {number}")
                stored = await chatbots.put(wanted)

                assert (stored.name, await chatbots.get(DEFAULT_CHATBOT_ID)) == (
                    wanted.name,
                    stored,
                )
            tasks.cancel_scope.cancel()
    await database.close()
