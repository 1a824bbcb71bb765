"""Which addresses the server may call when a client names the URL. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = ["Address", "AddressPolicy", "parse_literal"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Services that give a cloud machine's credentials to every program on it, so a call to them would leak those.
METADATA = tuple(
    ipaddress.ip_network(one)
    for one in (
        "169.254.169.254/32",  # AWS, Azure, Google, OpenStack and others
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure's wire server, at an address that looks public
        "192.0.0.192/32",  # Oracle
        "fd00:ec2::254/128",  # AWS
        "fd00:42::42/128",  # Scaleway
        "fd20:ce::254/128",  # Google
    )
)

PRIVATE = tuple(
    ipaddress.ip_network(one)
    for one in (
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT and overlay networks
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks, and the synthetic addresses of some proxies
        "::1/128",
        "fc00::/7",
    )
)

# Listed here because the `ipaddress` module counts several of these as global.
RESERVED = tuple(
    ipaddress.ip_network(one)
    for one in (
        "0.0.0.0/8",  # on Linux, an alias of loopback
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # These contain an IPv4 address. A relay would call that address, which was never checked.
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/23",
        "100::/64",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)

# The only IPv6 block from which public addresses are assigned.
ROUTED_V6 = IPv6Network("2000::/3")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Public addresses may be called, and addresses in the private networks `private`. None: in any private network."""

    private: tuple[Network, ...] | None = None

    @classmethod
    def of(cls, allow_networks: Sequence[Network] | None, *, private_by_default: bool = True) -> AddressPolicy:
        """Allow the listed private networks. Without a list, allow all of them if `private_by_default`, else none."""
        if allow_networks is not None:
            return cls(tuple(allow_networks))
        return cls(None if private_by_default else ())

    def refusal(self, address: Address) -> str | None:
        """Why the address may not be called. None: it may be called."""
        if isinstance(address, IPv6Address) and address.scope_id:
            return "it belongs to one network link"
        if _within(address, METADATA):
            return "it is a cloud's metadata service"
        if _within(address, PRIVATE):
            allowed = self.private is None or _within(address, self.private)
            return None if allowed else "it is in a private network that ALLOW_NETWORKS does not list"
        if _within(address, RESERVED) or (address.version == 6 and address not in ROUTED_V6):
            return "it is not a public address"
        return None


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def parse_literal(host: str) -> Address | None:
    """The address that is written in a URL's host part. None: the host is a name.

    Raises ValueError for a number that is not a complete address: some resolvers read `2130706433`, `0x7f.1` and
    `127.1` as 127.0.0.1, so such a host could not be checked.
    """
    last = host.rstrip(".").rpartition(".")[2]
    hexadecimal = last[:2].lower() == "0x" and all(c in "0123456789abcdefABCDEF" for c in last[2:])
    if ":" not in host and not last.isdecimal() and not hexadecimal:
        return None
    return ipaddress.ip_address(host)
