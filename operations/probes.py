"""What the settings lead to: whether it answers, and is what the service needs."""

from collections.abc import Iterator, Mapping
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


def mongodb(settings: Settings) -> Finding:
    """Return whether MongoDB answers; a single server loses answered writes with its disk."""
    if settings.mongodb_uri is None:
        return skip("MONGODB_URI", "unset: the record is the file DATA_DIR/chat.db")
    uri = settings.mongodb_uri.get_secret_value()
    try:
        with MongoClient[dict[str, Any]](
            uri, serverSelectionTimeoutMS=int(TIMEOUT_S * 1000)
        ) as client:
            hello = client.admin.command("hello")
            version = client.server_info()["version"]
    except (PyMongoError, ValueError) as error:
        brief = str(error).partition(" (configured timeouts")[0].splitlines()[0]
        return fail("MONGODB_URI", f"{type(error).__name__}: {brief[:160]}")
    said = f"MongoDB {version}"
    if hello.get("setName"):
        return ok("MONGODB_URI", f"{said}, replica set {hello['setName']}")
    if hello.get("msg") == "isdbgrid":
        return ok("MONGODB_URI", f"{said}, sharded")
    return warn("MONGODB_URI", f"{said}, one server: nothing stands in for it; use a replica set")


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


def provider(settings: Settings, *, ask: bool) -> Finding:
    """Return who answers; with `ask`, whether it writes a first word now."""
    if settings.is_offline:
        said = "unset: the offline model answers from our documentation"
        return (
            warn("OPENAI_API_KEY", said)
            if settings.app_env == "production"
            else skip("OPENAI_API_KEY", said)
        )
    name = settings.openai_base_url or "OpenAI"
    if not ask:
        return skip("model", f"{name}, {settings.openai_model}: not asked (--ask)")
    return anyio.run(partial(_asked_model, settings, name))


async def _asked_model(settings: Settings, name: str) -> Finding:
    from openai import APIError, AsyncOpenAI  # noqa: PLC0415  # half a second

    key = settings.openai_api_key
    client = AsyncOpenAI(
        api_key=key.get_secret_value() if key else "none",
        base_url=settings.openai_base_url,
        max_retries=0,
        timeout=settings.first_token_timeout_s,
    )
    began_at = anyio.current_time()
    try:
        stream = await client.chat.completions.create(
            model=settings.openai_model,
            messages=[{"role": "user", "content": "Say: ready."}],
            stream=True,
        )
        async with stream:
            async for _ in stream:
                break
    except APIError as error:
        return fail("model", f"{name}, {settings.openai_model}: {type(error).__name__}")
    finally:
        await client.close()
    took = anyio.current_time() - began_at
    return ok("model", f"{name}, {settings.openai_model}: began to answer after {took:.2f} s")


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
