"""The event log that many workers share, on Redis 6.2 and later."""

from streaming.event_log.redis.leases import RedisLeases
from streaming.event_log.redis.log import RedisEventLog

__all__ = ["RedisEventLog", "RedisLeases"]
