"""Which addresses accept connections."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

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


def test_a_name_that_nobody_knows_is_called_unknown() -> None:
    with (
        ExitStack() as cleanup,
        pytest.raises(StartError, match=r"nobody\.invalid port 0 \(this name is unknown here\)"),
    ):
        bind_all("nobody.invalid", 0, cleanup)


def test_the_error_names_the_setting_that_is_wrong() -> None:
    with ExitStack() as cleanup, pytest.raises(StartError, match=r"set DISPATCHER_LISTEN to one of its own"):
        bind_all("192.0.2.1", 0, cleanup, "DISPATCHER_LISTEN")


# Without IPv6

COMPILER = shutil.which("gcc") or shutil.which("cc")
SOURCE = Path(__file__).parents[2] / "children" / "no_ipv6.c"
BIND = """
import sys
from contextlib import ExitStack
from scrivano.domain.errors import StartError
from scrivano.server.sockets import bind_all
with ExitStack() as cleanup:
    try:
        print(sorted(one.getsockname()[0] for one in bind_all(sys.argv[1], 0, cleanup)))
    except StartError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def no_ipv6(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes a process believe that its machine has no IPv6."""
    assert COMPILER is not None
    library = tmp_path_factory.mktemp("library") / "no_ipv6.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


@pytest.mark.skipif(COMPILER is None or sys.platform != "linux", reason="needs Linux and a C compiler")
@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ("::", "['0.0.0.0']"),
        ("localhost", "['127.0.0.1']"),
        ("0.0.0.0,::", "['0.0.0.0']"),
        ("::1", "cannot listen on ::1 port 0 (this machine has no IPv6): set SCRIVANO_HOST or --host to 0.0.0.0"),
    ],
)
def test_without_ipv6_the_server_listens_where_it_can(no_ipv6: Path, hosts: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BIND, hosts],
        env={**os.environ, "LD_PRELOAD": str(no_ipv6)}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert done.stdout.startswith(said)
