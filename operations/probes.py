"""What the settings lead to: whether it answers, and is what the service needs."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from operations.findings import Finding, fail, ok, skip, warn
from server.settings import Settings
from storage.errors import StorageError
from storage.redis import RedisConnection, ask
from streaming.event_log.redis.fitness import faults_told

TIMEOUT_S = 5.0
MAX_CLOCK_OFF_S = 5.0


def mongodb(settings: Settings) -> Iterator[Finding]:
    """Yield whether MongoDB answers; a single server loses answered writes with its disk."""
    if settings.mongodb_uri is None:
        yield skip("MONGODB_URI", "unset: the record is the file DATA_DIR/chat.db")
        return
    uri = settings.mongodb_uri.get_secret_value()
    try:
        with MongoClient[dict[str, Any]](
            uri, serverSelectionTimeoutMS=int(TIMEOUT_S * 1000)
        ) as client:
            hello = client.admin.command("hello")
            version = client.server_info().get("version", "of no version that it tells")
    except (PyMongoError, ValueError) as error:
        brief = str(error).partition(" (configured timeouts")[0].splitlines()[0]
        yield fail("MONGODB_URI", f"{type(error).__name__}: {brief[:160]}")
        return
    said = f"MongoDB {version}"
    if hello.get("setName"):
        yield ok("MONGODB_URI", f"{said}, replica set {hello['setName']}")
    elif hello.get("msg") == "isdbgrid":
        yield ok("MONGODB_URI", f"{said}, sharded")
    else:
        yield warn("MONGODB_URI", f"{said}, one server: nothing stands in for it")
    if isinstance(at := hello.get("localTime"), datetime):
        yield from _clock("MONGODB_URI", at.replace(tzinfo=UTC).timestamp())


def redis(settings: Settings) -> Iterator[Finding]:
    """Yield whether the Redis of turns and flags answers, evicts nothing, and keeps what it has."""
    if settings.redis_url is None:
        yield skip("REDIS_URL", "unset: one worker, and flags in DATA_DIR")
        return
    told = _asked("REDIS_URL", settings.redis_url.get_secret_value())
    if isinstance(told, Finding):
        yield told
        return
    try:
        faults = faults_told(told)
    except (LookupError, TypeError, ValueError):
        yield warn("REDIS_URL", "answers, but does not say its version and policy")
        return
    if faults:
        yield from (fail("REDIS_URL", fault) for fault in faults)
    else:
        policy = told["maxmemory_policy"] if told["maxmemory"] else "no maxmemory"
        yield ok("REDIS_URL", f"Redis {told['redis_version']}, {policy}")
    yield _persistence(told)
    if at := told.get("server_time_usec"):
        yield from _clock("REDIS_URL", int(at) / 1e6)


def cache(settings: Settings) -> Finding:
    """Return whether the Redis of audio makes room by itself."""
    if settings.cache_redis_url is None:
        return skip("CACHE_REDIS_URL", "unset: audio is kept where REDIS_URL leads, or in memory")
    told = _asked("CACHE_REDIS_URL", settings.cache_redis_url.get_secret_value())
    if isinstance(told, Finding):
        return told
    policy = str(told.get("maxmemory_policy", "unknown"))
    if not policy.startswith("allkeys-"):
        return fail("CACHE_REDIS_URL", f"maxmemory-policy is {policy}: set allkeys-lru")
    if not told.get("maxmemory"):
        return warn("CACHE_REDIS_URL", f"{policy}, but no maxmemory: set one")
    return ok("CACHE_REDIS_URL", f"Redis {told['redis_version']}, {policy}")


def words(settings: Settings) -> Finding:
    """Return whether the list of what may not be said can be read; words of it are not shown."""
    path = settings.moderation_words_file
    if path is None or settings.moderation_engine in {"off", "openai"}:
        return skip("MODERATION_WORDS_FILE", "not used")
    from streaming.moderation.words import (  # noqa: PLC0415  # only what is used
        WordListError,
        read_word_list,
    )

    try:
        read_word_list(path)
    except OSError as error:
        return fail("MODERATION_WORDS_FILE", f"{path}: {error.strerror}")
    except WordListError as error:
        return fail("MODERATION_WORDS_FILE", f"{path}: {error}")
    return ok("MODERATION_WORDS_FILE", f"{path} can be used")


def _clock(name: str, at: float) -> Iterator[Finding]:
    """Yield how far another machine's clock is off: tokens, leases and figures go by both."""
    off = at - time.time()
    if abs(off) > MAX_CLOCK_OFF_S:
        yield warn(f"{name} clock", f"{off:+.0f} s from this machine's: have both set by NTP")


def _persistence(told: Mapping[str, Any]) -> Finding:
    if told.get("aof_enabled"):
        return ok("REDIS_URL persistence", "append-only file")
    return warn(
        "REDIS_URL persistence",
        "no append-only file: a restart of Redis forgets flags and rollouts; appendonly yes",
    )


def _asked(name: str, url: str) -> Mapping[str, Any] | Finding:
    return anyio.run(partial(_info, name, url))


async def _info(name: str, url: str) -> Mapping[str, Any] | Finding:
    try:
        connection = RedisConnection(url, timeout_s=TIMEOUT_S, max_connections=1)
    except StorageError as error:
        return fail(name, str(error))
    try:
        async with connection.call() as client:
            told: Mapping[str, Any] = await ask(client, "INFO")
    except StorageError as error:
        return fail(name, str(error))
    finally:
        await connection.close()
    return told
