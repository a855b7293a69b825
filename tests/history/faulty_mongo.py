"""A real MongoDB database whose commands fail on demand, and a look at what lies in it."""

import random
from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

import anyio
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect

from history.mongo.documents import BEGINNING
from storage.mongo import MongoDatabase

When = Literal["before", "after"]


class Faults:
    """Decides which command fails, and whether the server has done it (a lost reply) or not."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._when: When = "before"
        self._chance: random.Random | None = None
        self._pause: int | None = None
        self.paused = anyio.Event()
        self.resumed = anyio.Event()

    def pause_at(self, command: int) -> None:
        """Hold the n-th command from now (0 is the next) until `resumed` is set."""
        self._pause = command

    def crash_at(self, command: int, when: When) -> None:
        """Let the n-th command from now (0 is the next) fail, and every later one: a crash."""
        self._left, self._when = command, when

    def fail_now_and_then(self, seed: int) -> None:
        """Let about one command in twenty fail, the others go on: a bad network."""
        self._chance = random.Random(seed)  # noqa: S311  # which commands fail, no secret

    async def run(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """Run a command, or fail before or after it."""
        await self._hold()
        fault = self._next()
        if fault == "before":
            raise AutoReconnect("cut before the command")
        answer = await command()
        if fault == "after":
            raise AutoReconnect("cut before the answer")
        return answer

    async def _hold(self) -> None:
        if self._pause is None:
            return
        self._pause -= 1
        if self._pause == -1:
            self.paused.set()
            await self.resumed.wait()

    def _next(self) -> When | None:
        if self._chance is not None and self._chance.random() < 0.05:
            return self._chance.choice(("before", "after"))
        if self._left is None:
            return None
        self._left -= 1
        if self._left == -1:
            return self._when
        return "before" if self._left < -1 else None


class FaultyMongoDatabase(MongoDatabase):
    """A database whose collections obey `faults`; commands of cursors are left alone."""

    def __init__(self, uri: str, faults: Faults) -> None:
        super().__init__(uri, timeout_s=20)
        self._faults = faults

    def collection(self, name: str) -> AsyncCollection[Any]:
        return cast("AsyncCollection[Any]", _Faulty(super().collection(name), self._faults))


class _Faulty:
    def __init__(self, collection: AsyncCollection[Any], faults: Faults) -> None:
        self._collection = collection
        self._faults = faults

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._collection, name)
        if name == "find":
            return cast("Callable[..., Any]", method)

        async def command(*args: object, **kwargs: object) -> object:
            return await self._faults.run(lambda: method(*args, **kwargs))

        return command


async def faults_in(database: MongoDatabase) -> list[str]:
    """Return what contradicts the invariants of the stored record; empty when it is sound.

    To be asked when no call is under way and the sweep has run.
    """
    turns = {doc["_id"]: doc for doc in await _all(database, "turns")}
    conversations = {doc["_id"]: doc for doc in await _all(database, "conversations")}
    messages = {doc["_id"]: doc for doc in await _all(database, "messages")}
    keys = await _all(database, "idempotency_keys")
    found = [f"{key['_id']}: key without turn" for key in keys if key["turn_id"] not in turns]
    for turn in turns.values():
        found += _faults_of_turn(turn, conversations, messages)
        if turn["status"] in {BEGINNING, "running"} and "speech" in turn:
            found.append(f"{turn['_id']}: {turn['status']}, but sealed")
    for message in messages.values():
        if message["turn_id"] not in turns:
            found.append(f"{message['_id']}: message without turn")
    for conversation in conversations.values():
        found += _faults_of_slot(conversation, turns)
    numbers = [(doc["conversation_id"], doc["seq"]) for doc in messages.values()]
    if len(set(numbers)) < len(numbers):
        found.append("a number was given out twice")
    return found


def _faults_of_turn(
    turn: dict[str, Any], conversations: dict[str, Any], messages: dict[str, Any]
) -> list[str]:
    found = []
    conversation = conversations.get(turn["conversation_id"], {})
    running = turn["status"] == "running"
    if turn["status"] == BEGINNING:
        found.append("half begun")
    if "owner_id" not in conversation:
        found.append("without conversation")
    if turn["user_message_id"] not in messages:
        found.append("without question")
    if running != (conversation.get("active_turn_id") == turn["_id"]):
        found.append(f"{turn['status']}, but the slot says otherwise")
    if running == (turn["message_id"] in messages):
        found.append(f"{turn['status']}, but the answer says otherwise")
    if turn["answer_seq"] > conversation.get("last_seq", 0):
        found.append("numbered above the conversation")
    return [f"{turn['_id']}: {fault}" for fault in found]


def _faults_of_slot(conversation: dict[str, Any], turns: dict[str, Any]) -> list[str]:
    if "deleted_at" in conversation:
        return [f"{conversation['_id']}: mark not swept"]
    turn_id = conversation["active_turn_id"]
    if turn_id is None or turns.get(turn_id, {}).get("status") == "running":
        return []
    return [f"{conversation['_id']}: slot held by {turn_id}, which does not run"]


async def _all(database: MongoDatabase, name: str) -> list[dict[str, Any]]:
    return await MongoDatabase.collection(database, name).find({}).to_list()
