"""Listening sockets."""

from __future__ import annotations

import errno
import logging
import os
import socket
from contextlib import ExitStack
from importlib.util import find_spec
from ipaddress import ip_address

from scrivano.domain.addresses import authority
from scrivano.domain.errors import StartError
from scrivano.server.http_server import BACKLOG
from scrivano.server.settings import Settings

__all__ = ["bind_all", "bind_wyoming", "host_and_port"]

logger = logging.getLogger(__name__)


# `localhost` usually has both addresses, and clients try one of them first.
LOOPBACKS = ("127.0.0.1", "::1")

ANY, ANY_IPV4 = "::", "0.0.0.0"

# What a machine without IPv6 says, depending on how it was turned off.
NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind_all(hosts: str, port: int, cleanup: ExitStack, setting: str = "PORT or --port") -> list[socket.socket]:
    """Listening sockets for all hosts, which are separated by commas; all have the same port, also if `port` is 0.

    `localhost` is both loopback addresses, and `::` all addresses of both families. On a machine without IPv6 they are
    the addresses that it has. Raises `StartError`, which says how to change `setting`.
    """
    names = [name.strip() for name in hosts.split(",") if name.strip()]
    listeners: list[socket.socket] = []
    for host in dict.fromkeys(address for name in names for address in _addresses(name)):
        try:
            listener = bind(host, port, setting, both_families=ANY_IPV4 not in names)
        except StartError as error:
            optional = (host == LOOPBACKS[1] and host not in names) or (host == ANY and ANY_IPV4 in names)
            if optional and _lacks_ipv6(error):
                continue
            raise
        listeners.append(cleanup.enter_context(listener))
        port = listener.getsockname()[1]
    return listeners


def _addresses(host: str) -> tuple[str, ...]:
    return LOOPBACKS if host == "localhost" else (host,)


def bind(host: str, port: int, setting: str = "PORT or --port", *, both_families: bool = True) -> socket.socket:
    """A listening socket. `both_families`: on `::`, it takes IPv4 connections, too, and on a machine without IPv6 only
    those. Raises `StartError`, which says how to change `setting`.

    Bind before anything else is started, so that a wrong address is reported at once.
    """
    try:
        return _listening(host, port, setting, both_families=both_families)
    except StartError as error:
        if not (host == ANY and both_families and _lacks_ipv6(error)):
            raise
    logger.info("listening on IPv4 only: this machine has no IPv6")
    return _listening(ANY_IPV4, port, setting, both_families=False)


def _lacks_ipv6(error: StartError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in NO_IPV6


def _listening(host: str, port: int, setting: str, *, both_families: bool) -> socket.socket:
    dual = host == ANY and both_families and socket.has_dualstack_ipv6()
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=dual)
    except OSError as error:
        raise StartError(f"cannot listen on {host} port {port} {_reason(error, setting)}") from error
    # Accepted sockets inherit the option. Without it, the head and the body of a response are 40 ms apart: asyncio sets
    # it only for sockets that were created with an explicit protocol number.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def bind_wyoming(settings: Settings, cleanup: ExitStack) -> socket.socket | None:
    """The listening socket for Wyoming; None if it is off. Raises `StartError` if it is on but cannot work."""
    if settings.wyoming_port is None:
        return None
    if find_spec("wyoming") is None:
        raise StartError("WYOMING_PORT needs the package wyoming: pip install 'scrivano[wyoming]', or unset it")
    host = settings.wyoming_host or settings.host.partition(",")[0].strip()
    listener = cleanup.enter_context(bind(host, settings.wyoming_port, "WYOMING_PORT"))
    address = listener.getsockname()[0]
    # An error, not a warning, because the API keys would seem to protect the server.
    if settings.api_keys_file is not None and not ip_address(address).is_loopback:
        raise StartError(
            f"Wyoming does not support API keys, so with API_KEYS_FILE it cannot listen on {address}: set"
            " WYOMING_HOST=127.0.0.1, or run a second server for it"
        )
    logger.info("listening for Wyoming", extra={"uri": f"tcp://{host_and_port(listener)}"})
    return listener


def host_and_port(listener: socket.socket) -> str:
    """Where it listens, as in a URL."""
    host, port = listener.getsockname()[:2]
    return authority(host, port)


def _host_setting(setting: str) -> str:
    others = {"WYOMING_PORT": "WYOMING_HOST or SCRIVANO_HOST", "DISPATCHER_LISTEN": "DISPATCHER_LISTEN"}
    return others.get(setting, "SCRIVANO_HOST or --host")


def _reason(error: OSError, setting: str) -> str:
    """What went wrong and what to do.

    `strerror` of an error from `create_server` repeats the address, and an unknown host name has no errno.
    """
    if error.errno == errno.EADDRINUSE:
        return f"({os.strerror(error.errno)}): is another server running there? Set {setting} to a free one (0: any)"
    if isinstance(error, socket.gaierror):
        return f"(this name is unknown here): set {_host_setting(setting)} to an address of this machine"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"(this machine has no such address): set {_host_setting(setting)} to one of its own"
    if error.errno == errno.EAFNOSUPPORT:
        return f"(this machine has no IPv6): set {_host_setting(setting)} to 0.0.0.0, or to one of its IPv4 addresses"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"({reason}): set {setting} to another one (0: any)"
