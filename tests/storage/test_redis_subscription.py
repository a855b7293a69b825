"""A subscription hears all, notices a lost or silent link, and is not fooled by a slow reader."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from storage.errors import StorageUnavailableError
from storage.redis import Subscription
from tests.storage.redis_calls import LIMIT_S, opened, refusal, subscribed, until_served
from tests.support.redis import RedisServer, running_redis

pytestmark = pytest.mark.services


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have links asked for life after 50 ms, and lost after 300 ms more."""
    monkeypatch.setattr("storage.redis.subscription.PING_EVERY_S", 0.05)
    monkeypatch.setattr("storage.redis.subscription.SILENCE_S", 0.3)


def publish(server: RedisServer, channel: str, *messages: bytes) -> int:
    """Publish in one step; return how many heard the last."""
    with server.client() as client, client.pipeline() as transaction:
        for message in messages:
            transaction.publish(channel, message)
        return int(transaction.execute()[-1])


async def heard(subscription: Subscription, count: int) -> list[tuple[str, bytes] | None]:
    with anyio.fail_after(LIMIT_S):
        return [await subscription.get(LIMIT_S) for _ in range(count)]


async def heard_in_pieces(subscription: Subscription) -> None:
    while await subscription.get(0.3) is None:
        pass


async def test_messages_come_in_order_with_their_channel(server: RedisServer) -> None:
    async with opened(server.url) as connection, connection.subscribe("a", "b") as subscription:
        publish(server, "a", b"1", b"\xff\r\n")
        publish(server, "b", b"")
        publish(server, "c", b"of no concern")
        publish(server, "a", b"2")

        assert await heard(subscription, 4) == [
            ("a", b"1"),
            ("a", b"\xff\r\n"),
            ("b", b""),
            ("a", b"2"),
        ]


async def test_nothing_published_after_it_began_is_missed(server: RedisServer) -> None:
    async with opened(server.url) as connection:
        for n in range(30):
            async with connection.subscribe("a", "b", "c") as subscription:
                assert publish(server, "c", b"%d" % n) == 1
                assert await heard(subscription, 1) == [("c", b"%d" % n)]


async def test_none_when_the_time_is_over(server: RedisServer) -> None:
    async with opened(server.url) as connection, connection.subscribe("a") as subscription:
        with anyio.fail_after(LIMIT_S):
            assert await subscription.get(0.05) is None
            assert await subscription.get(0) is None
        publish(server, "a", b"1")
        assert await heard(subscription, 1) == [("a", b"1")]


@pytest.mark.usefixtures("impatient")
async def test_a_quiet_channel_is_no_lost_link(server: RedisServer) -> None:
    async with opened(server.url) as connection, connection.subscribe("a") as subscription:
        assert await subscription.get(1.0) is None

        publish(server, "a", b"1")
        assert await heard(subscription, 1) == [("a", b"1")]
        with server.client() as client:
            assert client.info("commandstats")["cmdstat_ping"]["calls"] >= 3


@pytest.mark.usefixtures("impatient")
async def test_a_reader_who_was_away_finds_what_was_published(server: RedisServer) -> None:
    async with opened(server.url) as connection, connection.subscribe("a") as subscription:
        assert await subscription.get(0.08) is None  # a question is under way
        publish(server, "a", b"1")
        await anyio.sleep(0.8)

        assert await heard(subscription, 1) == [("a", b"1")]
        assert await subscription.get(0.2) is None


async def test_a_cancelled_reader_loses_no_message(server: RedisServer) -> None:
    large = [b"%d" % n + b"x" * 300_000 for n in range(20)]
    said: list[tuple[str, bytes] | None] = []
    async with opened(server.url) as connection, connection.subscribe("a") as subscription:
        publish(server, "a", *large)
        for _ in range(2000):
            with anyio.move_on_after(0.0005):
                said.append(await subscription.get(LIMIT_S))
            if len(said) == len(large):
                break

    assert said == [("a", message) for message in large]


async def test_a_killed_redis_is_noticed_and_found_again(server: RedisServer) -> None:
    async with opened(server.url) as connection:
        async with connection.subscribe("a") as subscription:
            server.kill()
            with anyio.fail_after(LIMIT_S), pytest.raises(StorageUnavailableError):
                await subscription.get(LIMIT_S * 2)
            with anyio.fail_after(LIMIT_S), pytest.raises(StorageUnavailableError):
                await subscription.get(LIMIT_S * 2)  # nor does it come back by itself
        await refusal(lambda: subscribed(connection))

        server.restart()
        async with connection.subscribe("a") as subscription:
            publish(server, "a", b"1")
            assert await heard(subscription, 1) == [("a", b"1")]


@pytest.mark.long
async def test_a_silent_link_is_noticed_within_seconds(server: RedisServer) -> None:
    async with opened(server.url) as connection, connection.subscribe("a") as subscription:
        assert await subscription.get(0) is None
        server.pause()
        said = await refusal(lambda: heard_in_pieces(subscription))
        server.resume()
        await until_served(lambda: subscribed(connection))

    assert "silent" in said


async def test_a_subscription_is_beside_the_links_for_calls_and_ends_with_its_block(
    server: RedisServer,
) -> None:
    async with opened(server.url, max_connections=1) as connection:
        async with connection.subscribe("a"), connection.subscribe("a"), connection.call():
            assert publish(server, "a", b"1") == 2
        with anyio.fail_after(LIMIT_S):
            while publish(server, "a", b"1"):  # noqa: ASYNC110  # another program's doing
                await anyio.sleep(0.01)
