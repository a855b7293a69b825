"""Redis for all adapters but the flags', which bring their own: addresses, deadlines, scripts.

One Redis, one watched over by Sentinel, or a Cluster, chosen by the address. The driver never
repeats a command here: a write whose answer was lost may have held, and the caller decides what
that means. Answers are bytes.
"""

from storage.redis.client import Client, ask, ask_all
from storage.redis.connection import RedisConnection
from storage.redis.script import Script
from storage.redis.subscription import Subscription

__all__ = ["Client", "RedisConnection", "Script", "Subscription", "ask", "ask_all"]
