"""Which callers an address tells apart, and how it is named without being told."""

import hmac
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

IPV6_HOST_BITS = 64
"""Of these a single caller has as many as it likes."""

UNKNOWN = "unknown"
"""Whatever is no address: all of it is one caller, or a proxy's garbage would make many."""

PREFIX = "addr_"
"""How names of addresses begin; no owner's id does."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def caller_of(address: str) -> str:
    """Return what tells callers apart: of an IPv6 address the network; what is none stays as it is.

    A socket for both kinds names the old one's callers `::ffff:…`: each is the IPv4 address.
    """
    parsed = _parsed(address)
    if parsed is None:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return f"{IPv6Address(int(parsed) >> IPV6_HOST_BITS << IPV6_HOST_BITS)}/64"


def networks(values: Iterable[str]) -> tuple[Network, ...]:
    """Return addresses and networks, parsed; an address is a network of one.

    Raises:
        ValueError: one is neither, or names a host within its network.
    """
    found: list[Network] = []
    for value in values:
        try:
            found.append(ip_network(value))
        except ValueError:
            hint = "must be an address, or a network such as 10.0.0.0/8 without bits of a host"
            raise ValueError(f"{value!r} {hint}") from None
    return tuple(found)


def with_mapped(values: Iterable[str]) -> list[str]:
    """Return addresses and networks, those of IPv4 also as a socket for both kinds names them."""
    found: list[str] = []
    for value in values:
        found.append(value)
        network = None if value == "*" else ip_network(value)
        if isinstance(network, IPv4Network):
            found.append(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
    return found


class Addresses:
    """Names addresses, the same on all workers; who reads a name does not learn the address.

    Args:
        secret: That the workers share.
        allowed: Whose calls are not counted.
    """

    def __init__(self, secret: str, allowed: Iterable[Network]) -> None:
        self._key = hmac.digest(secret.encode(), b"limits: addresses", "sha256")
        self._allowed = tuple(allowed)

    def name(self, address: str) -> str:
        """Return the name of who calls from an address."""
        caller = UNKNOWN if _parsed(address) is None else caller_of(address)
        return f"{PREFIX}{hmac.digest(self._key, caller.encode(), 'sha256')[:8].hex()}"

    def is_allowed(self, address: str) -> bool:
        """Whether an address's calls are not counted."""
        parsed = _parsed(address) if self._allowed else None
        if parsed is None:
            return False
        return any(parsed.version == each.version and parsed in each for each in self._allowed)


def _parsed(address: str) -> Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
