"""What every keeper of claims promises: a message is told once, and a bound for an hour's."""

from collections.abc import AsyncIterator, Iterator
from time import monotonic

import anyio
import pytest

from server.alerts.claims import FOR_CRITICAL, MAX_AN_HOUR, Claim, Claims, MemoryClaims, Permit
from server.alerts.model import Notice, Severity
from server.alerts.redis_claims import RedisClaims
from storage.redis import RedisConnection
from tests.server.alerts.notices import a_notice
from tests.support.redis import RedisServer, running_redis

PATIENCE_S = 20.0
BEGUN = a_notice()
ENDED = a_notice(is_resolved=True)
HAPPENED = a_notice("rollout:streaming:v8", lasts=False)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def of_worker(server: RedisServer, worker_id: str, *, repeat_s: float = 3600.0) -> RedisClaims:
    """Return what one worker of several has; whoever takes it closes it."""
    connection = RedisConnection(server.url, timeout_s=PATIENCE_S, max_connections=1)
    return RedisClaims(connection, worker_id=worker_id, repeat_s=repeat_s, clock=monotonic)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
async def claims(request: pytest.FixtureRequest) -> AsyncIterator[Claims]:
    if request.param == "memory":
        yield MemoryClaims(repeat_s=3600.0, clock=monotonic)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    with server.client() as client:
        client.flushall()
    claims = of_worker(server, "worker_1")
    yield claims
    await claims.close()


@pytest.fixture
async def two(redis_server: RedisServer) -> AsyncIterator[tuple[RedisClaims, RedisClaims]]:
    """Two workers of one deployment."""
    with redis_server.client() as client:
        client.flushall()
    one, other = of_worker(redis_server, "worker_1"), of_worker(redis_server, "worker_2")
    yield one, other
    await one.close()
    await other.close()


async def tell(claims: Claims, notice: Notice = BEGUN) -> None:
    """Claim a message and record that it was sent."""
    assert await claims.claim(notice) is Claim.OURS
    await claims.told(notice)


async def test_what_was_told_is_not_told_again(claims: Claims) -> None:
    await tell(claims)

    assert await claims.claim(BEGUN) is Claim.DONE
    assert await claims.claim(a_notice("flags:stale")) is Claim.OURS


async def test_what_could_not_be_sent_may_be_tried_again(claims: Claims) -> None:
    assert await claims.claim(BEGUN) is Claim.OURS
    await claims.give_back(BEGUN)

    assert await claims.claim(BEGUN) is Claim.OURS


async def test_what_becomes_graver_is_told_and_the_milder_is_not_after_it(claims: Claims) -> None:
    grave = a_notice(severity=Severity.CRITICAL)
    await tell(claims)

    await tell(claims, grave)

    assert await claims.claim(BEGUN) is Claim.DONE


async def test_a_mild_one_after_a_grave_one_is_nothing_new(claims: Claims) -> None:
    await tell(claims, a_notice(severity=Severity.CRITICAL))

    assert await claims.claim(BEGUN) is Claim.DONE


async def test_an_end_is_told_once_and_only_of_what_was_told(claims: Claims) -> None:
    assert await claims.claim(ENDED) is Claim.DONE
    await tell(claims)

    await tell(claims, ENDED)

    assert await claims.claim(ENDED) is Claim.DONE


async def test_what_comes_back_within_the_time_is_told_neither_again_nor_ended(
    claims: Claims,
) -> None:
    await tell(claims)
    await tell(claims, ENDED)

    assert await claims.claim(BEGUN) is Claim.DONE
    assert await claims.claim(ENDED) is Claim.DONE


async def test_an_event_has_no_end(claims: Claims) -> None:
    await tell(claims, HAPPENED)

    assert await claims.claim(HAPPENED) is Claim.DONE
    assert await claims.claim(a_notice(HAPPENED.subject, is_resolved=True)) is Claim.DONE


async def test_the_hours_messages_are_counted_and_one_more_says_so(claims: Claims) -> None:
    permits = [await claims.permit(Severity.WARNING) for _ in range(MAX_AN_HOUR + 3)]

    assert permits[:MAX_AN_HOUR] == [Permit.GRANTED] * MAX_AN_HOUR
    assert permits[MAX_AN_HOUR:] == [Permit.LAST, Permit.REFUSED, Permit.REFUSED]


async def test_what_is_critical_has_room_when_the_others_have_none(claims: Claims) -> None:
    for _ in range(MAX_AN_HOUR + 1):
        await claims.permit(Severity.WARNING)

    permits = [await claims.permit(Severity.CRITICAL) for _ in range(FOR_CRITICAL + 1)]

    assert permits == [Permit.GRANTED] * FOR_CRITICAL + [Permit.REFUSED]
    assert await claims.permit(Severity.WARNING) is Permit.REFUSED


async def test_a_message_that_was_not_sent_is_none_of_the_hours(claims: Claims) -> None:
    for _ in range(2 * MAX_AN_HOUR):
        assert await claims.permit(Severity.WARNING) is Permit.GRANTED
        await claims.put_back()


async def test_in_memory_what_was_told_counts_for_its_time_only() -> None:
    now = [0.0]
    claims = MemoryClaims(repeat_s=60, clock=lambda: now[0])
    await tell(claims)
    await tell(claims, HAPPENED)

    now[0] = 59.0
    assert await claims.claim(BEGUN) is Claim.DONE
    now[0] = 60.0
    assert await claims.claim(BEGUN) is Claim.OURS
    assert await claims.claim(HAPPENED) is Claim.OURS


@pytest.mark.services
async def test_in_redis_what_was_told_counts_for_its_time_only(redis_server: RedisServer) -> None:
    claims = of_worker(redis_server, "worker_1", repeat_s=0.05)
    with redis_server.client() as client:
        client.flushall()
    await tell(claims)

    with anyio.fail_after(PATIENCE_S):
        while await claims.claim(BEGUN) is Claim.DONE:  # noqa: ASYNC110  # the server's clock
            await anyio.sleep(0.01)
    await claims.close()


@pytest.mark.services
async def test_one_of_two_workers_tells(two: tuple[RedisClaims, RedisClaims]) -> None:
    one, other = two

    assert await one.claim(BEGUN) is Claim.OURS
    assert await other.claim(BEGUN) is Claim.THEIRS
    await one.told(BEGUN)

    assert await other.claim(BEGUN) is Claim.DONE


@pytest.mark.services
async def test_another_tries_what_one_gave_back(two: tuple[RedisClaims, RedisClaims]) -> None:
    one, other = two
    await one.claim(BEGUN)
    assert await other.claim(BEGUN) is Claim.THEIRS

    await one.give_back(BEGUN)

    assert await other.claim(BEGUN) is Claim.OURS


@pytest.mark.services
async def test_the_last_one_that_saw_it_tells_its_end(
    two: tuple[RedisClaims, RedisClaims],
) -> None:
    one, other = two
    await tell(one)
    assert await other.claim(BEGUN) is Claim.DONE  # it sees it, too

    assert await one.claim(ENDED) is Claim.DONE
    assert await other.claim(ENDED) is Claim.OURS


@pytest.mark.services
async def test_a_worker_that_dies_keeps_others_from_nothing_for_long(
    two: tuple[RedisClaims, RedisClaims], redis_server: RedisServer
) -> None:
    dies, lives = two
    await tell(lives)
    await dies.claim(BEGUN)  # it sees it, too
    await dies.claim(HAPPENED)
    assert await lives.claim(HAPPENED) is Claim.THEIRS
    with redis_server.client() as client:  # a minute or two pass
        client.hset(f"chat:alert:{BEGUN.subject}", "seen:worker_1", 1)
        client.hset(f"chat:alert:{HAPPENED.subject}", "until", 1)

    assert await lives.claim(HAPPENED) is Claim.OURS
    assert await lives.claim(ENDED) is Claim.OURS


@pytest.mark.services
async def test_the_hours_messages_are_those_of_all_workers(
    two: tuple[RedisClaims, RedisClaims],
) -> None:
    one, other = two

    permits = [await (one, other)[n % 2].permit(Severity.WARNING) for n in range(MAX_AN_HOUR + 2)]

    assert permits[MAX_AN_HOUR - 1 :] == [Permit.GRANTED, Permit.LAST, Permit.REFUSED]


@pytest.mark.services
async def test_everything_in_redis_expires(
    two: tuple[RedisClaims, RedisClaims], redis_server: RedisServer
) -> None:
    one, _ = two
    for notice in (BEGUN, HAPPENED):
        await tell(one, notice)
    for _ in range(MAX_AN_HOUR + 1):
        await one.permit(Severity.WARNING)

    with redis_server.client(decode_responses=True) as client:
        left = {key: client.pttl(key) for key in client.scan_iter()}

    assert sorted(left) == [
        "chat:alert:health:error_rate",
        "chat:alert:rollout:streaming:v8",
        "chat:alert:{sent}",
        "chat:alert:{sent}:full",
    ]
    assert all(0 < ms <= 7_200_000 for ms in left.values()), left


@pytest.mark.services
async def test_without_redis_each_worker_tells_and_ends_what_it_told(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_redis(tmp_path_factory.mktemp("lost")) as lost:
        claims = of_worker(lost, "worker_1")
        lost.kill()

        await tell(claims)
        assert await claims.claim(BEGUN) is Claim.DONE
        assert await claims.permit(Severity.WARNING) is Permit.GRANTED
        await tell(claims, ENDED)

        assert await claims.claim(ENDED) is Claim.DONE
        await claims.close()


@pytest.mark.services
async def test_what_was_told_without_redis_is_known_when_it_is_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_redis(tmp_path_factory.mktemp("back")) as redis:
        claims = of_worker(redis, "worker_1")
        redis.kill()
        await tell(claims)
        redis.restart()

        assert await claims.claim(BEGUN) is Claim.DONE
        await tell(claims, ENDED)
        await claims.close()
