"""One subscription to the announcements of writes; it is dropped at any fault and opened anew."""

import anyio
import anyio.lowlevel
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from flags.store.redis.connection import RedisConnection

CHANNEL = "{flags}:changed"


class Announcements:
    """What writers announce: versions. For one listener."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis
        self._subscription: tuple[Redis, PubSub] | None = None

    async def open(self, client: Redis) -> None:
        """Return once Redis has confirmed: what is written after that is heard of."""
        if self._subscription and self._subscription[0] is client:
            return
        pubsub = client.pubsub()
        self._subscription = (client, pubsub)
        await pubsub.subscribe(CHANNEL)
        while await pubsub.get_message(timeout=None) is None:
            pass

    async def wait(self, seen: int, *, timeout_s: float) -> None:
        """Return when another version than `seen` is announced, at the latest when time is over."""
        if self._subscription is None:
            return
        _, pubsub = self._subscription
        until = anyio.current_time() + timeout_s
        while (left_s := until - anyio.current_time()) > 0:
            await anyio.lowlevel.checkpoint()  # a flood of announcements must not hold the loop
            message = await pubsub.get_message(timeout=left_s)
            if message and message["data"] != b"%d" % seen:
                return

    async def drop(self) -> None:
        """Forget the subscription and close its connection; never fails."""
        subscription, self._subscription = self._subscription, None
        if subscription and self._redis.is_of_this_process(subscription[0]):
            with anyio.CancelScope(shield=True):
                await subscription[1].aclose()  # type: ignore[no-untyped-call]  # the driver says no types
