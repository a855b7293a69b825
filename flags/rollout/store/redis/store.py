"""Rollouts in Redis. Every call is one script, with the server's clock, and in one slot."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from flags.codec import dump
from flags.errors import FencedError, FlagStoreDamagedError
from flags.rollout.batches import MAX_USERS_COUNTED, Arm, Batch, Counted, seconds
from flags.rollout.counters import TTFT_BINS, Counters, ttft_bin
from flags.rollout.model import FAILING_USERS_KEPT, FAILURES_PER_USER
from flags.rollout.store.base import BEAT_KEPT_S, FENCE, KEPT_S, LEASE_S, Beat, Sight
from flags.store.base import Fence
from flags.store.redis.connection import RedisConnection, ask
from flags.store.redis.store import fence_key

LEASE = "{flags}:rollout:lease"

_OTHER = {Arm.ON: Arm.OFF, Arm.OFF: Arm.ON}
_FAULTS = (ValueError, TypeError, IndexError)


class RedisRolloutStore:
    """Rollouts in Redis 6.2 or newer, or what speaks as it does. Connects at first use.

    Args:
        url: As of `flags.store.redis.RedisFlagStore`; keys lie beside the flags'.
        timeout_s: Seconds that a call may take.
        lease_s: Seconds that a leader leads without renewing.

    Raises:
        FlagStoreError: the address cannot be used.
    """

    kind = "redis"

    def __init__(self, url: str, *, timeout_s: float = 1.0, lease_s: float = LEASE_S) -> None:
        self._redis = RedisConnection(url, timeout_s=timeout_s)
        self._lease_ms = round(lease_s * 1000)

    async def add(self, flag: str, batch: Batch, *, version: int) -> None:
        keys = [_key(flag, "sent", batch.worker), _beats(flag)]
        for epoch, arm in batch.counted:
            users, others = _users(flag, epoch, arm), _users(flag, epoch, _OTHER[arm])
            keys += [_counts(flag, epoch), users, others, _failures(flag, epoch, arm)]
        counted = [_plain(arm, counted) for (_, arm), counted in batch.counted.items()]
        await self._eval(
            "add",
            keys,
            batch.worker,
            batch.number,
            version,
            KEPT_S,
            int(BEAT_KEPT_S),
            FAILURES_PER_USER,
            MAX_USERS_COUNTED,
            dump(counted),
        )

    async def see(self, flag: str, epoch: int) -> Sight:
        keys = [
            _counts(flag, epoch),
            *(_users(flag, epoch, arm) for arm in Arm),
            *(_failures(flag, epoch, arm) for arm in Arm),
            _beats(flag),
            _kept(flag),
        ]
        try:
            return _sight(await self._eval("see", keys))
        except _FAULTS as error:
            raise FlagStoreDamagedError(
                f"what was counted of {flag} in epoch {epoch} is not ours ({error}); delete"
                f" {_counts(flag, epoch)} and {_beats(flag)}"
            ) from None

    async def lead(self, worker: str) -> Fence | None:
        token = await self._eval("lead", [LEASE, fence_key(FENCE)], worker, self._lease_ms)
        return None if token is None else Fence(FENCE, int(token))

    async def keep(self, flag: str, evidence: bytes, report: bytes, fence: Fence) -> None:
        keys = [fence_key(fence.name), _kept(flag)]
        leads = await self._eval("keep", keys, fence.token, evidence, report, KEPT_S)
        if leads is not None:
            raise FencedError(f"another leads by now, with the token {leads.decode()}")

    async def leave(self, flags: frozenset[str], worker: str) -> None:
        await self._eval("leave", [LEASE, *map(_beats, sorted(flags))], worker)

    async def close(self) -> None:
        await self._redis.close()

    async def _eval(self, name: str, keys: Sequence[str], *arguments: str | int | bytes) -> Any:
        async with self._redis.call() as client:
            return await ask(client, "EVAL", _script(name), len(keys), *keys, *arguments)


@cache
def _script(name: str) -> str:
    return files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _key(flag: str, *parts: object) -> str:
    return ":".join(["{flags}:rollout", flag, *map(str, parts)])


def _counts(flag: str, epoch: int) -> str:
    return _key(flag, epoch, "counts")


def _users(flag: str, epoch: int, arm: Arm) -> str:
    return _key(flag, epoch, "users", arm)


def _failures(flag: str, epoch: int, arm: Arm) -> str:
    return _key(flag, epoch, "failures", arm)


def _beats(flag: str) -> str:
    return _key(flag, "workers")


def _kept(flag: str) -> str:
    return _key(flag, "kept")


def _plain(arm: Arm, counted: Counted) -> Mapping[str, object]:
    plain = counted.plain
    sums = {"n": plain.n, "cancelled": plain.cancelled, "ttft_us": plain.ttft_us}
    sums |= {f"t{place}": number for place, number in enumerate(plain.ttft) if number}
    failures = [
        [each.user, each.is_error, each.ttft_us, ttft_bin(seconds(each.ttft_us))]
        for each in counted.failures
    ]
    return {"arm": arm, "sums": sums, "failures": failures, "users": sorted(counted.users)}


def _sight(answer: Sequence[Any]) -> Sight:
    time, found, users_on, users_off, failing_on, failing_off, beats, evidence, report = answer
    now = int(time[0]) + int(time[1]) / 1_000_000
    counts = {
        name.decode(): int(number) for name, number in zip(found[::2], found[1::2], strict=True)
    }
    workers = {
        worker.decode(): _beat(beat, now)
        for worker, beat in zip(beats[::2], beats[1::2], strict=True)
    }
    return Sight(
        now,
        on=_counters(counts, Arm.ON, failing=failing_on, users=users_on),
        off=_counters(counts, Arm.OFF, failing=failing_off, users=users_off),
        workers={name: beat for name, beat in workers.items() if beat.age_s <= BEAT_KEPT_S},
        evidence=evidence,
        report=report,
    )


def _beat(stored: bytes, now: float) -> Beat:
    version, at_ms = stored.split()
    return Beat(int(version), max(now - int(at_ms) / 1000, 0.0))


def _counters(counts: Mapping[str, int], arm: Arm, *, failing: int, users: int) -> Counters:
    def count(name: str) -> int:
        return counts.get(f"{arm}:{name}", 0)

    return Counters(
        n=count("n"),
        errors=count("errors"),
        non_success=count("non_success"),
        cancelled=count("cancelled"),
        ttft=tuple(count(f"t{place}") for place in range(len(TTFT_BINS))),
        ttft_us=count("ttft_us"),
        failing_users=min(failing, FAILING_USERS_KEPT),
        users=users,
    )
