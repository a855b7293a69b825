"""Flags in Redis, with their history and the state of rollouts: `{flags}:…` of docs/redis-keys.md.

What a rollout has counted is not kept: it is good for minutes, and is counted anew.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from operations.backup.archive import Part, private, sealed
from operations.backup.redis import TIMEOUT_S, connected
from storage.redis import Client, ask, ask_all

NAME = "flags-redis.json"

_VERSION = "{flags}:version"
_DEFINITIONS = "{flags}:definitions"
_AUDIT = "{flags}:audit:"
_FENCE = "{flags}:fence:rollout"


class Kept(msgspec.Struct):
    """Everything as it is stored; values are base64, for a store holds bytes.

    `audit` has entries by subject, such as `flag:streaming`: an id, and what fields hold.
    """

    version: int
    definitions: dict[str, str]
    audit: dict[str, list[tuple[str, list[str]]]]
    fence: str = ""


async def dump(url: str, folder: Path) -> Part:
    """Write all that is stored into a file.

    Definitions are read before their histories, so that none is without its last change.

    Raises:
        OperationError: Redis did not answer.
    """
    async with connected(url) as connection, connection.call(TIMEOUT_S) as client:
        kept = await _read(client, is_cluster=connection.is_cluster)
    path = folder / NAME
    with private(path) as file:
        file.write(msgspec.json.encode(kept))
    return sealed(path, "redis_flags", entries=len(kept.definitions))


async def is_filled(url: str) -> bool:
    """Whether Redis holds any flags.

    Raises:
        OperationError: Redis did not answer.
    """
    async with connected(url) as connection, connection.call() as client:
        return bool(await ask(client, "EXISTS", _VERSION))


async def load(url: str, part: Part, folder: Path) -> None:
    """Put the flags back as they were, with their version; what is there now goes.

    Raises:
        OperationError: Redis did not answer; do it again.
    """
    kept = msgspec.json.decode((folder / part.path).read_bytes(), type=Kept)
    async with connected(url) as connection, connection.call(TIMEOUT_S) as client:
        present = await _subjects(client, is_cluster=connection.is_cluster)
        keys = [f"{_AUDIT}{subject}" for subject in {*present, *kept.audit}]
        for command in _commands(kept, keys):
            await ask(client, *command)


async def _read(client: Client, *, is_cluster: bool) -> Kept:
    stored, flat, fence = await ask_all(
        client, [("GET", _VERSION), ("HGETALL", _DEFINITIONS), ("GET", _FENCE)]
    )
    definitions = {_text(name): _packed(value) for name, value in _pairs(flat)}
    audit: dict[str, list[tuple[str, list[str]]]] = {}
    for subject in {*definitions, *await _subjects(client, is_cluster=is_cluster)}:
        entries = await ask(client, "XRANGE", f"{_AUDIT}{subject}", "-", "+")
        audit[subject] = [
            (_text(entry_id), [_packed(each) for pair in _pairs(fields) for each in pair])
            for entry_id, fields in entries
        ]
    return Kept(int(stored or 0), definitions, audit, _packed(fence) if fence else "")


async def _subjects(client: Client, *, is_cluster: bool) -> set[str]:
    """Return what there is a history of, also of what was deleted; of a Cluster what is defined."""
    if is_cluster:
        return {_text(name) for name in await ask(client, "HKEYS", _DEFINITIONS)}
    found: set[str] = set()
    cursor: Any = 0
    while True:
        cursor, keys = await ask(client, "SCAN", cursor, "MATCH", f"{_AUDIT}*", "COUNT", 1000)
        found.update(_text(key).removeprefix(_AUDIT) for key in keys)
        if not int(cursor):
            return found


def _commands(kept: Kept, keys: Sequence[str]) -> list[tuple[str | bytes, ...]]:
    """Return what to send; the version last, as with it the flags are there."""
    commands: list[tuple[str | bytes, ...]] = [("DEL", _VERSION, _DEFINITIONS, *keys)]
    for name, value in kept.definitions.items():
        commands.append(("HSET", _DEFINITIONS, name, _unpacked(value)))
    for subject, entries in kept.audit.items():
        for entry_id, fields in entries:
            values = [_unpacked(each) for each in fields]
            commands.append(("XADD", f"{_AUDIT}{subject}", entry_id, *values))
    if kept.fence:
        commands.append(("SET", _FENCE, _unpacked(kept.fence)))
    commands.append(("SET", _VERSION, str(kept.version)))
    return commands


def _pairs(answer: Any) -> list[tuple[bytes, bytes]]:
    """Return names and values, in whichever form the driver gives them."""
    if isinstance(answer, dict):
        return list(answer.items())
    return list(zip(answer[::2], answer[1::2], strict=True))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _packed(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _unpacked(value: str) -> bytes:
    return base64.b64decode(value)
