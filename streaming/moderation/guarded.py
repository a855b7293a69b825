"""A moderator behind a deadline, a breaker and a bound, which remembers what it has judged."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import anyio

from resilience.breaker import Breaker, BreakerOpenError
from streaming.errors import ModerationUnavailableError
from streaming.moderation.base import BATCH, Moderator, Verdict


@dataclass(frozen=True, slots=True)
class ModeratorLimits:
    """Bounds of one moderator in one process.

    `timeout_s` is for all texts of one `check`, waiting for one of `parallel` places included.
    `kept` verdicts are remembered, by a hash of their text: nothing of the texts is.
    """

    timeout_s: float = 2.0
    parallel: int = 32
    kept: int = 10_000


class GuardedModerator:
    """A `Moderator` that answers in time, or says that it cannot; it takes any number of texts.

    Args:
        moderator: Who judges.
        breaker: Its own.
        limits: Its bounds.
        observe: Told how many seconds each call took.
    """

    def __init__(
        self,
        moderator: Moderator,
        breaker: Breaker,
        limits: ModeratorLimits,
        *,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.breaker = breaker
        self._moderator = moderator
        self._limits = limits
        self._observe = observe
        self._places = anyio.Semaphore(limits.parallel)
        self._kept: OrderedDict[bytes, Verdict] = OrderedDict()

    @property
    def name(self) -> str:
        return self._moderator.name

    async def check(self, texts: Sequence[str]) -> Sequence[Verdict]:
        keys = [_key(text) for text in texts]
        known = {key: self._recall(key) for key in keys}
        asked = {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}
        if asked:
            verdicts = await self._ask(list(asked.values()))
            for key, judged in zip(asked, verdicts, strict=True):
                known[key] = judged
                self._keep(key, judged)
        return [verdict for key in keys if (verdict := known[key]) is not None]

    async def close(self) -> None:
        await self._moderator.close()

    async def _ask(self, texts: Sequence[str]) -> list[Verdict]:
        due_at = anyio.current_time() + self._limits.timeout_s
        try:
            with anyio.fail_after(self._limits.timeout_s):
                await self._places.acquire()
        except TimeoutError:  # of our own making: the breaker hears nothing of it
            raise ModerationUnavailableError("timeout") from None
        try:
            return await self._ask_in_place(texts, due_at)
        finally:
            self._places.release()

    async def _ask_in_place(self, texts: Sequence[str], due_at: float) -> list[Verdict]:
        try:
            with self.breaker.attempt() as attempt:
                try:
                    verdicts = await self._ask_all(texts, due_at)
                except ModerationUnavailableError:
                    attempt.failed()
                    raise
                attempt.succeeded()
                return verdicts
        except BreakerOpenError:
            raise ModerationUnavailableError("open") from None

    async def _ask_all(self, texts: Sequence[str], due_at: float) -> list[Verdict]:
        verdicts: list[Verdict] = []
        began_at = anyio.current_time()
        try:
            with anyio.fail_after(max(0.0, due_at - began_at)):
                for first in range(0, len(texts), BATCH):
                    verdicts += await self._moderator.check(texts[first : first + BATCH])
        except TimeoutError:
            raise ModerationUnavailableError("timeout") from None
        finally:
            self._observe(anyio.current_time() - began_at)
        return verdicts

    def _recall(self, key: bytes) -> Verdict | None:
        verdict = self._kept.get(key)
        if verdict is not None:
            self._kept.move_to_end(key)
        return verdict

    def _keep(self, key: bytes, verdict: Verdict) -> None:
        self._kept[key] = verdict
        if len(self._kept) > self._limits.kept:
            self._kept.popitem(last=False)


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
