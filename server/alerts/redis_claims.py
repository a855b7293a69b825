"""Claims in Redis: N workers send one message. While Redis is lost each worker tells by itself."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

from server.alerts.claims import (
    CLAIM_S,
    HOUR_S,
    SEEN_S,
    Claim,
    Claims,
    MemoryClaims,
    Permit,
    milder,
    room_for,
)
from server.alerts.model import Notice, Severity
from storage.errors import StorageUnavailableError
from storage.redis import RedisConnection, Script, ask

_FOLDER = Path(__file__).parent
_CLAIM = Script(_FOLDER / "claim.lua")
_TOLD = Script(_FOLDER / "told.lua")
_PERMIT = Script(_FOLDER / "permit.lua")

_SENT_KEYS = ("chat:alert:{sent}", "chat:alert:{sent}:full")


class RedisClaims:
    """Claims that all workers of a deployment share. A script is repeated safely.

    Where Redis does not answer, this process decides by itself what it may tell: others may tell
    the same. What it told alone it also ends alone.

    Args:
        connection: To the deployment's Redis; closed by `close`.
        worker_id: Who claims.
        repeat_s: Seconds in which the same is told once.
        clock: Monotonic seconds, for what is decided without Redis.
    """

    def __init__(
        self,
        connection: RedisConnection,
        *,
        worker_id: str,
        repeat_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._worker_id = worker_id
        self._repeat_ms = round(repeat_s * 1000)
        self._alone: Claims = MemoryClaims(repeat_s=repeat_s, clock=clock)
        self._messages = count(1)
        self._message = ""

    async def claim(self, notice: Notice) -> Claim:
        alone = await self._alone.claim(notice)
        if alone is (Claim.OURS if notice.is_resolved else Claim.DONE):
            return alone  # it was told here, without Redis
        try:
            answer = await self._connection.run(
                _CLAIM,
                [_key(notice)],
                [
                    self._worker_id,
                    _kind(notice),
                    notice.severity.value,
                    _ms(CLAIM_S),
                    _ms(SEEN_S),
                    self._keep_ms,
                ],
            )
        except StorageUnavailableError:
            return alone
        return Claim(answer.decode())

    async def told(self, notice: Notice) -> None:
        if not await self._settled(notice, _kind(notice)) or notice.is_resolved:
            await self._alone.told(notice)

    async def give_back(self, notice: Notice) -> None:
        await self._settled(notice, "back")

    async def permit(self, severity: Severity) -> Permit:
        self._message = f"{self._worker_id}:{next(self._messages)}"
        arguments = [self._message, str(room_for(severity)), _ms(HOUR_S)]
        try:
            answer = await self._connection.run(_PERMIT, _SENT_KEYS, arguments)
        except StorageUnavailableError:
            return await self._alone.permit(severity)
        return Permit(answer.decode())

    async def put_back(self) -> None:
        await self._alone.put_back()
        try:
            async with self._connection.call() as client:
                await ask(client, "ZREM", _SENT_KEYS[0], self._message)
        except StorageUnavailableError:
            return

    async def close(self) -> None:
        await self._connection.close()

    async def _settled(self, notice: Notice, what: str) -> bool:
        """Record what became of a claim; False: Redis could not be told."""
        severities = [severity.value for severity in milder(notice.severity)]
        arguments = [self._worker_id, what, str(self._repeat_ms), self._keep_ms, *severities]
        try:
            await self._connection.run(_TOLD, [_key(notice)], arguments)
        except StorageUnavailableError:
            return False
        return True

    @property
    def _keep_ms(self) -> str:
        """How long a subject is kept: nothing of it counts after that."""
        return str(self._repeat_ms + round(HOUR_S * 1000))


def _key(notice: Notice) -> str:
    return f"chat:alert:{notice.subject}"


def _kind(notice: Notice) -> str:
    if notice.is_resolved:
        return "end"
    return "begin" if notice.lasts else "event"


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
