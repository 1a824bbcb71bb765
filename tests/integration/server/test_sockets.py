"""Which addresses accept connections."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from scrivano.domain.errors import StartError
from scrivano.server.sockets import bind_all

BOTH = {"127.0.0.1", "::1"}


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def connected(hosts: str) -> set[str]:
    """The loopback addresses at which a client can connect."""
    with ExitStack() as cleanup:
        listeners = bind_all(hosts, 0, cleanup)
        ports = {listener.getsockname()[1] for listener in listeners}
        assert len(ports) == 1
        found = set()
        for address in BOTH:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
                if client.connect_ex((address, next(iter(ports)))) == 0:
                    found.add(address)
        return found


@pytest.mark.skipif(not _has_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize(
    ("hosts", "addresses"),
    [
        ("127.0.0.1", {"127.0.0.1"}),
        ("::1", {"::1"}),
        ("0.0.0.0", {"127.0.0.1"}),
        ("::", BOTH),
        ("localhost", BOTH),
        ("127.0.0.1, ::1", BOTH),
        ("0.0.0.0,::", BOTH),
        ("localhost,127.0.0.1", BOTH),
    ],
)
def test_each_host_accepts_connections(hosts: str, addresses: set[str]) -> None:
    assert connected(hosts) == addresses


def test_a_host_of_another_machine_is_named() -> None:
    with ExitStack() as cleanup, pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1 "):
        bind_all("127.0.0.1,192.0.2.1", 0, cleanup)
