"""Calling where a client says, without being led to what only this server can reach.

A name is resolved once, every address that it has is checked, and the connection goes to a checked address; the name
stays what TLS asks for and the certificate must be for. So an answer that changes between check and call (DNS
rebinding) changes nothing. Redirects are answers like others: nobody follows them.

`AddressPolicy` is pure; `GuardedTransport` is the I/O around it.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import anyio
import httpx2

from scrivano.domain.errors import AddressRefused

__all__ = ["AddressPolicy", "GuardedTransport", "Resolve", "guarded_client", "policy", "unpooled"]

logger = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# All addresses of a host name. Raises OSError where it has none.
Resolve = Callable[[str], Awaitable[Sequence[str]]]

# What hands a cloud machine's keys to whoever asks from it.
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
        "100.64.0.0/10",  # carriers' own, and overlay networks
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks, and some proxies' made-up addresses
        "::1/128",
        "fc00::/7",
    )
)

# By name, for `ipaddress` takes several of these for global.
RESERVED = tuple(
    ipaddress.ip_network(one)
    for one in (
        "0.0.0.0/8",  # on Linux another way to say loopback
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # These carry an IPv4 address inside, of which a relay makes a call that nobody checked.
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

# All that was ever handed out to the public.
ROUTED_V6 = IPv6Network("2000::/3")

# Tried one after another while none answers.
MAX_ADDRESSES = 4


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Public addresses may be called, and of private networks those in `private`; None: all of them."""

    private: tuple[Network, ...] | None = None

    def refusal(self, address: Address) -> str | None:
        """Why an address may not be called; None: it may."""
        if isinstance(address, IPv6Address) and address.scope_id:
            return "it belongs to one network link"
        if _within(address, METADATA):
            return "it is a cloud's metadata service"
        if _within(address, PRIVATE):
            return None if self._opened(address) else "it is in a private network that ALLOW_NETWORKS does not name"
        if _within(address, RESERVED) or (address.version == 6 and address not in ROUTED_V6):
            return "it is no public address"
        return None

    def _opened(self, address: Address) -> bool:
        return self.private is None or _within(address, self.private)


def policy(allow_networks: Sequence[Network] | None, *, strict: bool = False) -> AddressPolicy:
    """Of private networks: those that are listed; without a list all of them, or, where `strict`, none."""
    if allow_networks is None:
        return AddressPolicy(() if strict else None)
    return AddressPolicy(tuple(allow_networks))


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def literal(host: str) -> Address | None:
    """The address that a URL's host spells, None for a name.

    Raises ValueError for a number that is not written as an address: `2130706433`, `0x7f.1`, `127.1` are all read as
    127.0.0.1 by some resolver.
    """
    last = host.rstrip(".").rpartition(".")[2]
    if ":" not in host and not _is_number(last):
        return None
    return ipaddress.ip_address(host)


def _is_number(label: str) -> bool:
    hexadecimal = label[:2].lower() == "0x" and all(c in "0123456789abcdefABCDEF" for c in label[2:])
    return label.isdecimal() or hexadecimal


async def resolve(host: str) -> list[str]:
    found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def unpooled(verify: ssl.SSLContext | bool = True) -> httpx2.AsyncHTTPTransport:
    """A new connection for each request.

    Connections to addresses must not be shared: one that was opened for a name, and whose certificate was checked for
    it, could serve another name at the same address.
    """
    return httpx2.AsyncHTTPTransport(verify=verify, limits=httpx2.Limits(max_keepalive_connections=0))


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends each request to an address that `policy` lets pass. `inner` must be one like `unpooled` makes.

    Raises `AddressRefused`; for all else what `inner` raises. No proxy is used: it would resolve names by itself.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        resolve: Resolve = resolve,
        inner: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._inner = inner or unpooled()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.raw_host.decode("ascii")
        failure: Exception = httpx2.ConnectError(f"{host} has no address", request=request)
        for address in (await self._addresses(request, host))[:MAX_ADDRESSES]:
            try:
                return await self._inner.handle_async_request(_aimed(request, host, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:  # nothing was sent yet
                failure = error
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _addresses(self, request: httpx2.Request, host: str) -> list[Address]:
        """What the host stands for; one address among them that may not be called spoils them all."""
        _check_shape(request.url, host)
        try:
            spelled = literal(host)
        except ValueError as error:
            raise AddressRefused(f"{host!r} is not a host: write an address as 192.0.2.1 or [2001:db8::1]") from error
        addresses = [spelled] if spelled else await self._resolved(request, host)
        for address in addresses:
            reason = self._policy.refusal(address)
            if reason is not None:
                # The caller learns nothing of where names lead in here; the log does.
                logger.warning("a call was refused: %s", reason, extra={"host": host, "address": str(address)})
                raise AddressRefused(f"this server makes no calls to {host}: {_public(reason, spelled)}")
        return addresses

    async def _resolved(self, request: httpx2.Request, host: str) -> list[Address]:
        try:
            with anyio.fail_after(request.extensions.get("timeout", {}).get("connect")):
                return [ipaddress.ip_address(text) for text in await self._resolve(host)]
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(f"the name {host} was not resolved in time", request=request) from error
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(f"the name {host} has no address", request=request) from error


def _check_shape(url: httpx2.URL, host: str) -> None:
    if url.scheme not in ("http", "https"):
        raise AddressRefused("only http:// and https:// URLs are called")
    if not host:
        raise AddressRefused("the URL names no host")
    if url.port is not None and not 0 < url.port < 65536:
        raise AddressRefused(f"{url.port} is not a port")


def _public(reason: str, spelled: Address | None) -> str:
    return reason if spelled else "it leads to an address that is not open to them"


def _aimed(request: httpx2.Request, host: str, address: Address) -> httpx2.Request:
    """The same request (its `Host` is a header already) to one address; TLS goes on asking for the name."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )


def guarded_client(transport: httpx2.AsyncBaseTransport, timeout_s: float) -> httpx2.AsyncClient:
    """A client for URLs that others chose: it follows no redirect, and shows them no password of this machine's
    `.netrc`. `timeout_s` is for each step. The client closes the transport.
    """
    return httpx2.AsyncClient(
        transport=transport,
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "scrivano"},
    )
