"""Flags in Redis. Who wins a write is decided there, in one script."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import anyio
import msgspec
from anyio import to_thread

from flags.codec import dump, encode_audit
from flags.errors import FencedError, FlagStoreDamagedError, IdempotencyMismatchError
from flags.model import AuditEntry, Ruleset
from flags.store.base import IDEMPOTENCY_TTL, MAX_AUDIT_ENTRIES, Commit, Committed
from flags.store.definitions import read_audit, read_ruleset
from flags.store.redis.announcements import CHANNEL, Subscription, news
from flags.store.redis.connection import RedisConnection, ask

VERSION = "{flags}:version"
DEFINITIONS = "{flags}:definitions"


class RedisFlagStore:
    """Flags in Redis 6.2 or newer, or what speaks as it does. Connects at first use.

    Args:
        url: `redis://`, `rediss://` or `unix://`; `redis+sentinel://` or `redis+cluster://`.
        timeout_s: Seconds that a call may take; `next_version` takes as much beside its own.

    Raises:
        FlagStoreError: the address cannot be used.
    """

    kind = "redis"

    def __init__(self, url: str, *, timeout_s: float = 1.0) -> None:
        self._timeout_s = timeout_s
        self._redis = RedisConnection(url, timeout_s=timeout_s)
        self._subscription = Subscription(self._redis)

    async def read(self) -> Ruleset:
        async with self._redis.call() as client:
            stored, found = await ask(client, "EVAL", _script("read"), 2, VERSION, DEFINITIONS)
            version = _version(stored)
            names = [name.decode(errors="replace") for name in found[::2]]
            definitions = list(zip(names, found[1::2], strict=True))
        # In a thread: a thousand flags take tens of milliseconds, in which others answer.
        return await to_thread.run_sync(read_ruleset, version, definitions)

    async def commit(self, commit: Commit) -> Committed:
        keys, arguments = _script_input(commit)
        async with self._redis.call() as client:
            script = _script("commit")
            return _committed(await ask(client, "EVAL", script, len(keys), *keys, *arguments))

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        until = anyio.current_time() + timeout_s
        try:
            while True:
                async with self._redis.call() as client:
                    # Subscribed first: a write after the answer is announced to us.
                    pubsub = await self._subscription.open(client)
                    version = _version(await ask(client, "GET", VERSION))
                left_s = until - anyio.current_time()
                if version != seen or left_s <= 0:
                    return version
                # An announcement may be old, or of another database: it only makes us ask.
                async with self._redis.call(left_s + self._timeout_s):
                    await news(pubsub, seen, timeout_s=left_s)
        except BaseException:
            await self._subscription.drop()
            raise

    async def history(
        self, subject: str, *, limit: int, before: int | None = None
    ) -> Sequence[AuditEntry]:
        if limit < 1 or (before is not None and before <= 1):
            return []
        newest = "+" if before is None else str(before - 1)
        async with self._redis.call() as client:
            key = _audit_key(subject)
            found = await ask(client, "XREVRANGE", key, newest, "-", "COUNT", limit)
            return read_audit(subject, [fields[b"entry"] for _, fields in found])

    async def close(self) -> None:
        await self._subscription.drop()
        await self._redis.close()


@cache
def _script(name: str) -> str:
    return files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")


def fence_key(name: str) -> str:
    """Return where the highest token of a fence is that was ever given out."""
    return f"{{flags}}:fence:{name}"


def _audit_key(subject: str) -> str:
    return f"{{flags}}:audit:{subject}"


def _script_input(commit: Commit) -> tuple[list[str], list[str | int]]:
    keys = [VERSION, DEFINITIONS, *(_audit_key(entry.subject) for entry in commit.audit)]
    ttl_s = int(IDEMPOTENCY_TTL.total_seconds())
    arguments: list[str | int] = [
        commit.expected_version,
        commit.version,
        CHANNEL,
        MAX_AUDIT_ENTRIES,
    ]
    if commit.claim:
        keys.append(f"{{flags}}:idempotency:{commit.claim.key_hash}")
        arguments += [commit.claim.change_hash, ttl_s, dump(dict(commit.definitions))]
    else:
        arguments += ["", ttl_s, ""]
    if commit.fence:
        keys.append(fence_key(commit.fence.name))
    arguments += [commit.fence.token if commit.fence else "", len(commit.definitions)]
    for name, definition in commit.definitions.items():
        arguments += [name, "delete" if definition is None else "set", definition or ""]
    arguments += [encode_audit(entry) for entry in commit.audit]
    return keys, arguments


def _committed(reply: list[bytes]) -> Committed:
    match reply:
        case [b"held" | b"conflict" as outcome, version]:
            return Committed(held=outcome == b"held", version=_version(version))
        case [b"earlier", version, definitions]:
            earlier = msgspec.json.decode(definitions, type=dict[str, str | None])
            return Committed(held=True, version=_version(version), earlier=earlier)
        case [b"mismatch"]:
            raise IdempotencyMismatchError
        case [b"fenced", token]:
            raise FencedError(f"another leads by now, with the token {token.decode()}")
        case [b"ahead", stream, version]:
            raise FlagStoreDamagedError(
                f"{stream.decode()} is at version {version.decode()}, ahead of the ruleset: "
                f"{VERSION} was lost; set it to the highest version of any audit stream"
            )
        case _:
            raise FlagStoreDamagedError("the write was answered by something else")


def _version(stored: bytes | None) -> int:
    text = stored or b"0"
    if not text.isdigit():
        raise FlagStoreDamagedError(f"{VERSION} is no number: set it to the last version")
    return int(text)
