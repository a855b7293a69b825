"""What tests of the flags share: a store without I/O, and a second evaluator to compare with."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import anyio
import anyio.lowlevel

from flags.client import FlagClient
from flags.codec import decode_flag, decode_segment
from flags.errors import FlagStoreUnavailableError
from flags.model import AuditEntry, Ruleset
from flags.store.base import Commit, Committed
from flags.store.definitions import read_audit, read_ruleset, stored
from flags.store.file.content import Content, committed

Documents = Mapping[str, Mapping[str, Any]]


class MemoryStore:
    """A flag store in memory that can be away, refuse writes, lose everything, or be overtaken.

    What becomes of a write is decided by the file store's own code.
    """

    kind = "memory"

    def __init__(self, ruleset: Ruleset | None = None) -> None:
        self.content = Content()
        self.is_away = False
        self.is_read_only = False
        self.commits = 0
        self.before_commit: Callable[[], None] = lambda: None
        self._changed = anyio.Event()
        if ruleset is not None:
            self.hold(ruleset)

    def hold(self, ruleset: Ruleset) -> None:
        """Hold these rules, whatever was there."""
        self.content = Content(ruleset.version, stored(ruleset))
        self._announce()

    def lose_everything(self) -> None:
        """Forget rules, audit and claims."""
        self.hold(Ruleset())

    def go_away(self) -> None:
        """Fail from now on, also those that wait."""
        self.is_away = True
        self._announce()

    async def read(self) -> Ruleset:
        self._reach()
        await anyio.lowlevel.checkpoint()
        return read_ruleset(self.content.version, self.content.definitions.items())

    async def commit(self, commit: Commit) -> Committed:
        self._reach()
        if self.is_read_only:
            raise FlagStoreUnavailableError("the disk is full")
        before_commit, self.before_commit = self.before_commit, lambda: None
        before_commit()
        outcome, content = committed(self.content, commit, now=0.0)
        if content is not None:
            self.commits += 1
            self.content = content
            self._announce()
        return outcome

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        with anyio.move_on_after(timeout_s):
            while self.content.version == seen and not self.is_away:
                await self._changed.wait()
        self._reach()
        return self.content.version

    async def history(
        self, subject: str, *, limit: int, before: int | None = None
    ) -> Sequence[AuditEntry]:
        found = [
            kept.entry
            for kept in reversed(self.content.audit)
            if kept.subject == subject and (before is None or kept.version < before)
        ]
        return read_audit(subject, found[:limit])

    async def close(self) -> None:
        """Do nothing."""

    def _announce(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _reach(self) -> None:
        if self.is_away:
            raise FlagStoreUnavailableError("the store is away")


@asynccontextmanager
async def running(client: FlagClient) -> AsyncIterator[FlagClient]:
    """Open a client and keep it following."""
    await client.open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.run)
        yield client
        tasks.cancel_scope.cancel()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, 10 seconds at most."""
    with anyio.fail_after(10):
        while not holds():  # noqa: ASYNC110  # what is waited for tells nobody
            await anyio.sleep(0.005)


def ruleset_of(documents: Documents, *, version: int = 7) -> Ruleset:
    """Return documents as a store would read them back."""
    return Ruleset(
        version,
        {key: decode_flag(json.dumps(each), key) for key, each in documents["flags"].items()},
        {
            name: decode_segment(json.dumps(each), name)
            for name, each in documents.get("segments", {}).items()
        },
    )


@dataclass(frozen=True)
class Asked:
    """A question to the second evaluator."""

    documents: Documents
    unit: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    killed: Collection[str] = ()
    now: float = 0.0


class _UnknownUnitError(Exception):
    """A share was asked for, and nobody knows who the unit is."""


def reference(key: str, asked: Asked) -> tuple[str, str]:
    """Return variant and reason, slowly, from the JSON and in the order in which it is promised.

    For complete documents without circles, and for the conditions of `factories`.
    """
    flag = asked.documents["flags"][key]
    try:
        return _outcome(flag, asked)
    except _UnknownUnitError:
        return flag["off_variant"], "error"


def _outcome(flag: Mapping[str, Any], asked: Asked) -> tuple[str, str]:
    if _is_off(flag, asked):
        return flag["off_variant"], "disabled"
    if asked.unit in flag.get("deny", ()):
        return flag["off_variant"], "targeting_match"
    if asked.unit in flag.get("allow", ()):
        return _dealt(flag, flag["rollout"]["serve"], asked.unit), "targeting_match"
    for rule in flag.get("rules", ()):
        if _meets(rule["when"], asked) and _is_in(flag, rule.get("percentage", 100), asked.unit):
            is_split = rule.get("percentage", 100) < 100 or len(_weights(rule["serve"])) > 1
            variant = _dealt(flag, rule["serve"], asked.unit)
            return variant, "split" if is_split else "targeting_match"
    if _is_in(flag, flag["rollout"]["percentage"], asked.unit):
        return _dealt(flag, flag["rollout"]["serve"], asked.unit), "split"
    return flag["default_variant"], "default"


def _is_off(flag: Mapping[str, Any], asked: Asked) -> bool:
    if flag.get("kill") or flag["key"] in asked.killed or not flag.get("enabled", True):
        return True
    schedule = flag.get("schedule", {})
    starts_at, ends_at = schedule.get("starts_at"), schedule.get("ends_at")
    if starts_at is not None and asked.now < _seconds(starts_at):
        return True
    if ends_at is not None and not asked.now < _seconds(ends_at):
        return True
    for needed in flag.get("prerequisites", ()):
        if needed["flag"] not in asked.documents["flags"]:
            return True
        if reference(needed["flag"], asked)[0] not in needed["variants"]:
            return True
    return False


def _is_in(flag: Mapping[str, Any], percentage: float, unit: str) -> bool:
    if percentage in {0, 100}:
        return percentage == 100
    place = _place(f"{flag['key']}.{flag['rollout']['salt']}.{_known(unit)}")
    return place * 100 < round(percentage * 1000) * 100


def _dealt(flag: Mapping[str, Any], serve: object, unit: str) -> str:
    weights = _weights(serve)
    if len(weights) == 1:
        return weights[0][0]
    place = _place(f"{flag['key']}.{flag['rollout']['salt']}.variant.{_known(unit)}")
    reached = 0
    for variant, weight in weights:
        reached += round(weight * 1000)
        if place < reached:
            return variant
    raise AssertionError("weights must add up to 100")


def _weights(serve: object) -> list[tuple[str, float]]:
    if isinstance(serve, str):
        return [(serve, 100.0)]
    assert isinstance(serve, list)
    return [(share["variant"], share["weight"]) for share in serve]


def _known(unit: str) -> str:
    if unit == "":
        raise _UnknownUnitError
    return unit


def _place(text: str) -> int:
    first_15_digits = hashlib.sha1(text.encode("utf-8", "surrogatepass")).hexdigest()[:15]  # noqa: S324
    return min(int(first_15_digits, 16) * 100_000 // (16**15 - 1), 99_999)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _meets(when: Mapping[str, Any], asked: Asked) -> bool:
    attributes = {**asked.attributes, "targetingKey": asked.unit}
    return all(_holds(name, wanted, attributes, asked) for name, wanted in when.items())


def _holds(name: str, wanted: Any, attributes: Mapping[str, Any], asked: Asked) -> bool:
    if name == "$not":
        return not _meets(wanted, asked)
    if name == "$segment":
        return _is_member(asked.documents["segments"].get(wanted), asked)
    if name.startswith("$"):
        return False  # of a later release
    value = attributes.get(name)
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    ((operator, operand),) = wanted.items()
    answers: Iterable[tuple[str, Callable[[], bool]]] = (
        ("$in", lambda: value in operand),
        ("$gte", lambda: isinstance(value, int | float) and value >= operand),
        ("$exists", lambda: (value is not None) == operand),
    )
    return next((answer() for known, answer in answers if known == operator), False)


def _is_member(segment: Mapping[str, Any] | None, asked: Asked) -> bool:
    if segment is None or asked.unit in segment.get("exclude", ()):
        return False
    if asked.unit in segment.get("include", ()):
        return True
    return segment.get("when") is not None and _meets(segment["when"], asked)
