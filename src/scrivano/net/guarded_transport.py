"""HTTP to a URL that a client named, without access to addresses that only this server can reach.

A name is resolved once, each of its addresses is checked, and the connection goes to a checked address. TLS still uses
the name, and the certificate must be valid for the name. So an attacker gains nothing by changing the DNS record
between the check and the call (DNS rebinding). Redirects are not followed.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

import anyio
import httpx2

from scrivano.domain.errors import AddressRefused
from scrivano.net.address_policy import Address, AddressPolicy, parse_literal

__all__ = ["GuardedTransport", "Resolve", "guarded_client", "unpooled"]

logger = logging.getLogger(__name__)

# Returns all addresses of a host name. Raises OSError if it has none.
Resolve = Callable[[str], Awaitable[Sequence[str]]]

# How many addresses of one name are tried, one after another. A name could have hundreds that time out.
MAX_ADDRESSES = 4


async def resolve(host: str) -> list[str]:
    """The system resolver: addresses in its order, each once."""
    found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def unpooled(verify: ssl.SSLContext | bool = True) -> httpx2.AsyncHTTPTransport:
    """A transport that opens a new connection for each request.

    The pool knows connections by address, not by name. A reused connection could serve a name for which its
    certificate was never checked.
    """
    return httpx2.AsyncHTTPTransport(verify=verify, limits=httpx2.Limits(max_keepalive_connections=0))


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends each request to an address that `policy` allows. `inner` must not reuse connections; see `unpooled`.

    Raises `AddressRefused`, and what `inner` raises. Proxies are not used: a proxy would resolve names itself.
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
                return await self._inner.handle_async_request(_with_address(request, host, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error  # Nothing was sent yet, so another address may be tried.
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _addresses(self, request: httpx2.Request, host: str) -> list[Address]:
        """The addresses of the host. Raises `AddressRefused` if one of them may not be called."""
        _check_url(request.url, host)
        try:
            literal = parse_literal(host)
        except ValueError as error:
            raise AddressRefused(
                f"{host!r} is not a valid host: write an address as 192.0.2.1 or [2001:db8::1]"
            ) from error
        addresses = [literal] if literal else await self._resolved(request, host)
        for address in addresses:
            reason = self._policy.refusal(address)
            if reason is not None:
                # Only the log has the address of a name: a client must not learn about the internal network.
                logger.warning("call refused: %s", reason, extra={"host": host, "address": str(address)})
                public_reason = reason if literal else "it resolves to an address that may not be called"
                raise AddressRefused(f"this server does not call {host}: {public_reason}")
        return addresses

    async def _resolved(self, request: httpx2.Request, host: str) -> list[Address]:
        try:
            with anyio.fail_after(request.extensions.get("timeout", {}).get("connect")):
                return [ipaddress.ip_address(text) for text in await self._resolve(host)]
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(f"timed out while resolving {host}", request=request) from error
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(f"{host} has no address", request=request) from error


def _check_url(url: httpx2.URL, host: str) -> None:
    if url.scheme not in ("http", "https"):
        raise AddressRefused("only http:// and https:// URLs may be called")
    if not host:
        raise AddressRefused("the URL has no host")
    if url.port is not None and not 0 < url.port < 65536:
        raise AddressRefused(f"{url.port} is not a port: use 1 to 65535")


def _with_address(request: httpx2.Request, host: str, address: Address) -> httpx2.Request:
    """The same request to one address. `Host` is already among the headers, and TLS still verifies the name."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )


def guarded_client(transport: httpx2.AsyncBaseTransport, timeout_s: float) -> httpx2.AsyncClient:
    """A client for URLs that clients chose. It does not follow redirects, and does not send passwords from `.netrc`.

    `timeout_s` limits each step: connect, each read, each write. The client closes the transport.
    """
    return httpx2.AsyncClient(
        transport=transport,
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "scrivano"},
    )
