from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scrivano.net.address_policy import AddressPolicy

OPEN = AddressPolicy()
STRICT = AddressPolicy.of(None, private_by_default=False)

PUBLIC = ["93.184.215.14", "1.1.1.1", "198.17.255.255", "2606:4700::1111", "2a00:1450:4001:81b::200e"]
PRIVATE = [
    "10.1.2.3",
    "127.0.0.1",
    "127.8.8.8",
    "172.31.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "198.19.0.1",
    "::1",
    "fd12::1",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.1.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",  # IPv4-compatible
    "::ffff:127.0.0.1",  # mapped
    "::ffff:8.8.8.8",
    "::ffff:0:7f00:1",  # translated
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "2002:7f00:1::",  # 6to4
    "2001::1",  # Teredo
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "4000::1",  # never assigned
]
METADATA = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_called(address: str) -> None:
    for policy in (OPEN, STRICT):
        assert policy.refusal(ipaddress.ip_address(address)) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_may_be_called_unless_configured_otherwise(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    own = AddressPolicy.of([ipaddress.ip_network(address)], private_by_default=False)
    other = AddressPolicy.of([ipaddress.ip_network("10.99.0.0/16")])

    assert OPEN.refusal(parsed) is None
    assert own.refusal(parsed) is None
    assert "private network" in str(STRICT.refusal(parsed))
    assert "private network" in str(other.refusal(parsed))


@pytest.mark.parametrize("address", [*NEVER, *METADATA])
def test_reserved_and_metadata_addresses_may_never_be_called(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    listed = AddressPolicy.of([ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")])

    for policy in (OPEN, STRICT, listed):
        assert policy.refusal(parsed)


@pytest.mark.parametrize("address", ["fe80::1%eth0", "fd12::1%1", "::1%lo"])
def test_an_address_of_one_link_may_never_be_called(address: str) -> None:
    assert OPEN.refusal(ipaddress.ip_address(address)) == "it belongs to one network link"


@given(st.ip_addresses())
@example(IPv4Address("192.0.0.9"))
@example(IPv6Address("2001:4:112::1"))
def test_addresses_that_python_knows_as_special_are_refused(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert STRICT.refusal(address)
