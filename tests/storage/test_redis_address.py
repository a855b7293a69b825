"""Which addresses of Redis can be used, and that no message quotes one."""

import pytest

from storage.errors import StorageOpenError
from storage.redis import RedisConnection
from storage.redis.address import Topology, parse_address
from storage.redis.links import SocketLink, TcpLink, TlsLink

SECRET = "pass/w:rd@%äx,y"  # noqa: S105  # of nobody
QUOTED = "pass%2Fw%3Ard%40%25%C3%A4x%2Cy"


def test_one_server() -> None:
    plain = parse_address("redis://host")
    full = parse_address(f"rediss://me:{QUOTED}@[::1]:1/7?ssl_cert_reqs=none")
    local = parse_address(f"unix://:{QUOTED}@/run/redis.sock?db=3")

    assert (plain.topology, plain.hosts, plain.link_class) == (
        Topology.SINGLE,
        (("host", 6379),),
        TcpLink,
    )
    assert (full.hosts, full.link_class) == ((("::1", 1),), TlsLink)
    assert full.options == {
        "username": "me",
        "password": SECRET,
        "db": 7,
        "ssl_cert_reqs": "none",
    }
    assert (local.hosts, local.link_class) == ((), SocketLink)
    assert local.options == {"password": SECRET, "db": 3, "path": "/run/redis.sock"}


def test_sentinels() -> None:
    address = parse_address(
        f"rediss+sentinel://me:{QUOTED}@a:1,b,[::1]:3/main/2?sentinel_password={QUOTED}"
    )

    assert address.topology is Topology.SENTINEL
    assert address.hosts == (("a", 1), ("b", 26379), ("::1", 3))
    assert address.link_class is TlsLink
    assert address.service == "main"
    assert address.options == {"username": "me", "password": SECRET, "db": 2}
    assert address.sentinel_options == {"password": SECRET}


def test_a_cluster() -> None:
    address = parse_address("redis+cluster://me:pw@a:1,b")

    assert address.topology is Topology.CLUSTER
    assert address.hosts == (("a", 1), ("b", 6379))
    assert address.options == {"username": "me", "password": "pw"}
    assert RedisConnection("redis+cluster://a", timeout_s=1).is_cluster
    assert not RedisConnection("redis://a", timeout_s=1).is_cluster


def test_what_our_promises_depend_on_is_not_taken_from_an_address() -> None:
    address = parse_address(
        "redis://h?socket_timeout=99&retry_on_timeout=1&protocol=3&max_connections=1&timeout=9"
    )

    assert address.options == {}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:6379",
        "http://host",
        "redis://",
        "redis://host:port",
        "redis://host:99999",
        "redis://host/name",
        "redis://host/١",  # noqa: RUF001  # a digit elsewhere, none here
        "redis://a,b",
        "redis://host?db=x",
        "redis://host?ssl_cert_reqs=none",
        "rediss://host?ssl_nonsense=1",
        "rediss://host?ssl_cert_reqs=sometimes",
        "unix://",
        "redis+sentinel://host",
        "redis+sentinel:///main",
        "redis+sentinel://host/main/x",
        "redis+sentinel://a,,b/main",
        "redis+cluster://a/1",
        "redis+cluster://a,:7000",
        "redis://[::1",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_quoted(url: str) -> None:
    with_password = url.replace("://", f"://me:{QUOTED}@", 1)

    for each in (url, with_password):
        with pytest.raises(StorageOpenError, match="Redis address cannot be used") as caught:
            RedisConnection(each, timeout_s=1)
        assert QUOTED not in str(caught.value)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


def test_passwords_are_hidden_in_texts_and_in_what_an_address_shows() -> None:
    address = parse_address("redis+sentinel://:first@a/main?sentinel_password=second")

    assert address.hidden("AUTH first, AUTH second, third") == "AUTH ***, AUTH ***, third"
    assert "first" not in repr(address)
    assert "second" not in repr(address)
