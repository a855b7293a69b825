"""One subscription to the announcements of writes; it is dropped at any fault and opened anew."""

import anyio
import anyio.lowlevel
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from flags.store.redis.connection import RedisConnection

CHANNEL = "{flags}:changed"


class Subscription:
    """To what writers announce: versions. For one listener."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis
        self._open: tuple[Redis, PubSub] | None = None

    async def open(self, client: Redis) -> PubSub:
        """Return once Redis has confirmed: what is written after that is heard of."""
        if self._open and self._open[0] is client:
            return self._open[1]
        pubsub = client.pubsub()
        self._open = (client, pubsub)
        await pubsub.subscribe(CHANNEL)
        await pubsub.get_message(timeout=None)  # the confirmation comes before any announcement
        return pubsub

    async def drop(self) -> None:
        """Forget the subscription and close its connection; never fails."""
        dropped, self._open = self._open, None
        if dropped:
            client, pubsub = dropped
            await self._redis.end(client, pubsub.aclose)


async def news(pubsub: PubSub, seen: int, *, timeout_s: float) -> None:
    """Return when another version than `seen` is announced, at the latest when time is over."""
    until = anyio.current_time() + timeout_s
    while True:
        await anyio.lowlevel.checkpoint()  # a flood of announcements must not hold the loop
        message = await pubsub.get_message(timeout=max(until - anyio.current_time(), 0))
        is_news = message and message["data"] != b"%d" % seen
        if is_news or anyio.current_time() >= until:
            return
