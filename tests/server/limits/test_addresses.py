"""Which callers an address tells apart, and that its name does not tell the address."""

import pytest
from uvicorn.middleware.proxy_headers import _TrustedHosts

from server.limits.addresses import Addresses, caller_of, networks, with_mapped


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("2001:DB8::1", "2001:db8:0:0::1", True),
        ("no address", "another", True),
        ("", "unknown", True),
        ("192.0.2.1 ", "x" * 5000, True),
    ],
)
def test_a_name_is_that_of_whoever_has_the_address(one: str, other: str, is_same: bool) -> None:
    addresses = Addresses("secret", ())

    assert (addresses.name(one) == addresses.name(other)) is is_same


def test_a_name_tells_the_address_to_nobody_and_is_the_same_on_all_workers() -> None:
    name = Addresses("secret", ()).name("192.0.2.1")

    assert name == Addresses("secret", ()).name("192.0.2.1")
    assert name != Addresses("another secret", ()).name("192.0.2.1")
    assert len(name) == len("addr_") + 16


def test_what_is_no_address_stays_as_it_is_for_who_counts_something_else() -> None:
    assert caller_of("5f4dcc3b") == "5f4dcc3b"


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::5", True),
        ("11.0.0.1", False),
        ("2001:db9::5", False),
        ("unknown", False),
    ],
)
def test_allowed_networks_are_told_by_address(address: str, is_allowed: bool) -> None:
    addresses = Addresses("secret", networks(["10.0.0.0/8", "2001:db8::/32"]))

    assert addresses.is_allowed(address) is is_allowed


def test_a_proxy_is_believed_also_on_a_socket_for_both_kinds() -> None:
    trusted = _TrustedHosts(with_mapped(["127.0.0.1", "10.0.0.0/8", "2001:db8::1"]))

    believed = ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.9.9.9", "2001:db8::1"]
    assert [each in trusted for each in believed] == [True] * 4
    assert "::ffff:11.0.0.1" not in trusted
    assert "127.0.0.2" not in trusted
