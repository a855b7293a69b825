"""The record when its store fails: killed processes, a paused server, a lost server."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from history.base import History
from history.errors import HistoryUnavailableError
from history.model import Feedback, TurnStatus
from history.mongo import MongoHistory
from history.sqlite import SqliteHistory
from storage.mongo import MongoDatabase
from storage.sqlite import SqliteDatabase
from tests.history.factories import (
    NOW,
    OWNER,
    a_checkpoint,
    a_conversation,
    a_first_turn,
    a_seal,
    an_end,
)
from tests.support.mongo import running_mongo

ROOT = Path(__file__).parents[2]

CALLS: dict[str, Callable[[History], Awaitable[object]]] = {
    "create": lambda history: history.conversations.create(a_conversation()),
    "get": lambda history: history.conversations.get(OWNER, "c"),
    "list": lambda history: history.conversations.list(OWNER, limit=5, cursor=None),
    "rename": lambda history: history.conversations.rename(OWNER, "c", "x"),
    "delete": lambda history: history.conversations.delete(OWNER, "c"),
    "messages": lambda history: history.messages.list(OWNER, "c", limit=5, before=None),
    "message": lambda history: history.messages.get(OWNER, "m"),
    "feedback": lambda history: history.messages.set_feedback(
        OWNER, "m", Feedback("up", None, NOW)
    ),
    "begin": lambda history: history.turns.begin(a_first_turn()),
    "turn": lambda history: history.turns.get(OWNER, "t"),
    "checkpoint": lambda history: history.turns.checkpoint([a_checkpoint(a_first_turn())]),
    "end": lambda history: history.turns.end(an_end(a_first_turn())),
    "seal": lambda history: history.turns.seal(a_seal(a_first_turn())),
    "running": lambda history: history.turns.find_running(silent_since=None),
    "sweep": lambda history: history.sweep(NOW),
    "check": lambda history: history.check(),
    "open": lambda history: history.open(),
}


async def test_a_killed_process_loses_nothing_it_had_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    acknowledged: list[str] = []
    with anyio.fail_after(60):
        for round_ in range(1, 4):
            acknowledged += await _killed_after(path.with_name(f"{round_}.db"), lines=40 * round_)

            history = SqliteHistory(SqliteDatabase(path.with_name(f"{round_}.db"), timeout_s=20))
            await history.open()
            for turn_id in acknowledged:
                record = await history.turns.get(OWNER, turn_id)
                assert record.status is TurnStatus.COMPLETED
                assert (await history.messages.get(OWNER, record.message_id)).text == record.text
                assert record.speech == a_seal(record).speech
            assert len(acknowledged) >= 40 * round_
            acknowledged.clear()
            await history.close()


@pytest.mark.services
async def test_a_server_that_answers_no_more_is_unavailable_to_every_call(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as server:
        history = MongoHistory(MongoDatabase(f"{server.uri}/x", timeout_s=1))
        await history.open()
        await history.conversations.create(a_conversation("before"))

        server.pause()
        await _assert_unavailable(history)

        server.resume()
        with anyio.fail_after(20):
            await _until_available(history)
            assert (await history.conversations.get(OWNER, "before")).title == "A talk"
            record, own = await history.turns.begin(a_first_turn())
            assert own
            assert (await history.turns.end(an_end(record))).status is TurnStatus.COMPLETED
        await history.close()


@pytest.mark.long
@pytest.mark.services
async def test_a_server_that_dies_is_unavailable_and_keeps_what_it_acknowledged(
    tmp_path: Path,
) -> None:
    with running_mongo(tmp_path) as server:
        history = MongoHistory(MongoDatabase(f"{server.uri}/x", timeout_s=1))
        await history.open()
        record, _ = await history.turns.begin(a_first_turn())

        server.kill()
        await _assert_unavailable(history)

    with running_mongo(tmp_path, port=server.port), anyio.fail_after(20):
        await _until_available(history)
        ended = await history.turns.end(an_end(record))
        assert ended.status is TurnStatus.COMPLETED
        assert (await history.messages.get(OWNER, record.message_id)).text == ended.text
        await history.close()


async def test_a_closed_file_is_unavailable_to_every_call(tmp_path: Path) -> None:
    history = SqliteHistory(SqliteDatabase(tmp_path / "chat.db"))
    await history.open()
    await history.close()

    await _assert_unavailable(history)


async def test_a_file_that_cannot_be_opened_says_which_and_why(tmp_path: Path) -> None:
    (tmp_path / "chat.db").write_text("These are not the tables you are looking for." * 100)

    with pytest.raises(HistoryUnavailableError, match=r"chat\.db cannot be used: file is not a"):
        await SqliteHistory(SqliteDatabase(tmp_path / "chat.db")).open()


async def _assert_unavailable(history: History) -> None:
    async def refused(call: Callable[[History], Awaitable[object]]) -> None:
        with pytest.raises(HistoryUnavailableError):
            await call(history)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for call in CALLS.values():
                tasks.start_soon(refused, call)


async def _killed_after(path: Path, *, lines: int) -> list[str]:
    """Run the writer, kill it after some acknowledged turns; return all that were."""
    command = [sys.executable, "-m", "tests.history.writer", str(path)]
    async with await anyio.open_process(command, cwd=ROOT, stderr=None) as process:
        assert process.stdout is not None
        written = ""
        async for text in TextReceiveStream(process.stdout):
            written += text
            if written.count("\n") >= lines and process.returncode is None:
                process.kill()
    # A line cut short by the kill was not read by anybody.
    return written.split("\n")[:-1]


async def _until_available(history: History) -> None:
    while True:
        try:
            await history.check()
        except HistoryUnavailableError:
            continue
        return
