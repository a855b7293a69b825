"""What an address of Redis says. Nothing in a message quotes it: it may hold a password."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from redis.asyncio.connection import parse_url as parse_options
from redis.exceptions import RedisError

from storage.errors import StorageOpenError
from storage.redis.links import SocketLink, TcpLink, TlsLink

REDIS_PORT = 6379
SENTINEL_PORT = 26379

Host = tuple[str, int]

_FROM_QUERY = frozenset({"client_name", "db", "username", "password"})


class Topology(StrEnum):
    """How many servers there are, and who says which to use."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_TOPOLOGIES = {
    "redis": Topology.SINGLE,
    "rediss": Topology.SINGLE,
    "unix": Topology.SINGLE,
    "redis+sentinel": Topology.SENTINEL,
    "rediss+sentinel": Topology.SENTINEL,
    "redis+cluster": Topology.CLUSTER,
    "rediss+cluster": Topology.CLUSTER,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is and how to sign in.

    Args:
        topology: One server, Sentinels or nodes of a Cluster.
        hosts: Those servers; empty for a Unix socket.
        link_class: What a link to Redis is made of.
        options: What a link takes beside host and port: user, password, database, certificates.
        service: Name that the Sentinels know the servers by.
        sentinel_options: What a link to a Sentinel takes beside host and port.
    """

    topology: Topology
    hosts: tuple[Host, ...]
    link_class: type[TcpLink] | type[TlsLink] | type[SocketLink]
    options: dict[str, Any] = field(repr=False)
    service: str = ""
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)

    def hidden(self, text: str) -> str:
        """Return a text without the passwords."""
        for options in (self.options, self.sentinel_options):
            if password := options.get("password"):
                text = text.replace(str(password), "***")
        return text


def parse_address(url: str) -> Address:
    """Return what an address says.

    What it says of timeouts, retries or the protocol is ignored: our promises depend on them.

    Args:
        url: `redis://`, `rediss://` or `unix://` for one server; with `+sentinel` or `+cluster`
            several hosts with commas between them. Sentinel: `/<service>/<database>`, and
            `sentinel_username`, `sentinel_password` in the query.

    Raises:
        StorageOpenError: it cannot be used; the message says why and never quotes it.
    """
    try:
        split = urlsplit(url)
        topology = _TOPOLOGIES.get(split.scheme)
        if topology is None:
            raise _fault(f"it must begin {', '.join(f'{each}://' for each in _TOPOLOGIES)}")
        if split.scheme == "unix":
            return _unix(split)
        return _over_tcp(split, topology)
    except ValueError:
        raise _fault("its numbers must be numbers, its options ones that exist") from None


def _unix(split: SplitResult) -> Address:
    if not split.path:
        raise _fault("it names no socket")
    options = _options(split, "")
    options["path"] = unquote(split.path)
    address = Address(Topology.SINGLE, (), SocketLink, options)
    _try(address)
    return address


def _over_tcp(split: SplitResult, topology: Topology) -> Address:
    default_port = SENTINEL_PORT if topology is Topology.SENTINEL else REDIS_PORT
    hosts = tuple(_hosts(split.netloc.rpartition("@")[2], default_port))
    if topology is Topology.SINGLE and len(hosts) > 1:
        raise _fault("several hosts need +sentinel or +cluster")
    is_encrypted = split.scheme.startswith("rediss")
    service, database = _path(split, topology)
    address = Address(
        topology,
        hosts,
        TlsLink if is_encrypted else TcpLink,
        _options(split, database),
        service,
        _sentinel_options(split),
    )
    if topology is Topology.CLUSTER and address.options.get("db"):
        raise _fault("a Cluster has database 0 only")
    _try(address)
    return address


def _hosts(text: str, default_port: int) -> Iterator[Host]:
    for each in text.split(","):
        one = urlsplit(f"//{each}")
        if not each or not one.hostname:
            raise _fault("a host is missing")
        yield one.hostname, default_port if one.port is None else one.port


def _path(split: SplitResult, topology: Topology) -> tuple[str, str]:
    service, database = "", unquote(split.path).strip("/")
    if topology is Topology.SENTINEL:
        service, _, database = database.partition("/")
        if not service:
            raise _fault("it must name the service: redis+sentinel://host:26379/<service>/<db>")
    if database and not (database.isascii() and database.isdecimal()):
        raise _fault("what follows must be a database number")
    return service, database


def _options(split: SplitResult, database: str) -> dict[str, Any]:
    scheme = "unix" if split.scheme == "unix" else "redis"
    sign_in = split.netloc.rpartition("@")[0]
    given = parse_options(f"{scheme}://{sign_in}@host/{database}?{split.query}")
    return {
        name: value
        for name, value in given.items()
        if name in _FROM_QUERY or name.startswith("ssl_")
    }


def _sentinel_options(split: SplitResult) -> dict[str, Any]:
    query = parse_qs(split.query)
    return {
        name: query[f"sentinel_{name}"][0]
        for name in ("username", "password")
        if f"sentinel_{name}" in query
    }


def _try(address: Address) -> None:
    try:
        address.link_class(**address.options)  # connects to nothing
    except (RedisError, TypeError, ValueError):
        raise _fault("an option is unknown") from None


def _fault(reason: str) -> StorageOpenError:
    return StorageOpenError(f"The Redis address cannot be used: {reason}")
