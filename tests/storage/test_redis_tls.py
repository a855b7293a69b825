"""Redis over TLS: what `rediss://` says is trusted, and nothing else."""

from collections.abc import Iterator
from functools import partial

import pytest

from flags.errors import FlagStoreUnavailableError
from flags.store.redis import RedisFlagStore
from tests.storage.redis_calls import get, opened, put, refusal, subscribed
from tests.support.redis_tls import running_redis_tls

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis_tls(tmp_path_factory.mktemp("redis"), password="right") as url:  # noqa: S106  # of this server
        yield url


async def test_calls_and_subscriptions_are_encrypted_for_who_trusts_the_certificate(
    url: str,
) -> None:
    async with opened(url) as connection:
        await put(connection, "k", "v")
        await subscribed(connection)

        assert await get(connection, "k") == b"v"


@pytest.mark.parametrize("lie", ["no authority", "another name", "no encryption"])
async def test_who_does_not_trust_the_certificate_says_nothing_to_its_server(
    url: str, lie: str
) -> None:
    told = {
        "no authority": url.partition("?")[0],
        "another name": url.replace("127.0.0.1", "localhost"),
        "no encryption": url.replace("rediss:", "redis:").partition("?")[0],
    }
    async with opened(told[lie]) as connection:
        said = await refusal(partial(get, connection, "k"))

    assert "Connect" in said
    assert "right" not in said


async def test_the_flags_take_the_same_address(url: str) -> None:
    store = RedisFlagStore(url)
    unsure = RedisFlagStore(url.partition("?")[0])
    try:
        assert (await store.read()).version == 0
        with pytest.raises(FlagStoreUnavailableError):
            await unsure.read()
    finally:
        await store.close()
        await unsure.close()
