"""A process that has loaded what its forks need: a fork takes 5 ms, a new interpreter 200.

`ForkServer` and `Forked` are for the process that needs work done, `run` is for the program that does it. They share
one socket for requests, over which the pipe ends of each new fork are sent, and one more socket for each fork, over
which its return code comes back. Closing that one kills the fork, so all forks end with the process that uses them.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, TypeVar

from scrivano.processes.child import Spawned, die_with_parent

Loaded = TypeVar("Loaded")

FORKS = "--forks"

# Elsewhere libraries may have started threads, which a fork does not have: there each request starts a new program.
FORK_IS_SAFE = sys.platform == "linux"

# Keeps numpy from starting threads, which a fork would not have.
NO_THREADS = {"OPENBLAS_NUM_THREADS": "1"}

MAX_CODE_BYTES = 64


class Forked:
    """A fork as a `child.Process`. Its stderr is that of the fork server."""

    stderr = None
    pid = None

    def __init__(self, requests: socket.socket) -> None:
        """Raises `OSError` if the fork server is gone."""
        read_in, write_in = os.pipe()
        read_out, write_out = os.pipe()
        self._control, theirs = socket.socketpair()
        self.stdin: IO[bytes] = os.fdopen(write_in, "wb")
        self.stdout: IO[bytes] = os.fdopen(read_out, "rb")
        try:
            socket.send_fds(requests, [b"\n"], [read_in, write_out, theirs.fileno()])
        except OSError:
            self.stdin.close()
            self.stdout.close()
            self._control.close()
            raise
        finally:
            os.close(read_in)
            os.close(write_out)
            theirs.close()

    def wait(self) -> int:
        """The return code, as in `subprocess`; that of a kill if the fork server died, too."""
        told = b"".join(iter(lambda: self._control.recv(MAX_CODE_BYTES), b""))
        self._control.close()
        return int(told or -signal.SIGKILL)

    def kill(self) -> None:
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)


class ForkServer:
    """`process` can be watched by a `child.Child`; `fork` starts forks of it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._requests, theirs = socket.socketpair()
        self._requests.setblocking(False)
        with theirs:
            self.process = Spawned([*command, FORKS], NO_THREADS, theirs.fileno())

    def fork(self) -> Forked:
        """Returns at once; messages sent before the fork runs reach it. Raises `OSError` if the fork server is gone."""
        return Forked(self._requests)

    def close(self) -> None:
        """Kill the fork server and its forks."""
        self._requests.close()
        self.process.kill()


def run(load: Callable[[], Loaded], work: Callable[[Loaded], int]) -> int:
    """Work once on stdin and stdout, or, if the command line says so, in a fork for each request.

    Returns the exit code. `load` must not start threads.
    """
    die_with_parent()
    if sys.argv[1:] != [FORKS]:
        return work(load())
    if not FORK_IS_SAFE:
        return _serve(_spawn)
    loaded = load()
    return _serve(lambda stdin, stdout: _fork(lambda: work(loaded), stdin, stdout))


def _serve(begin: Callable[[int, int], int]) -> int:
    """Serve requests until the socket closes. `begin` takes stdin and stdout of a new process and returns its pid."""
    ended, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    controls: dict[int, socket.socket] = {}
    doomed: set[int] = set()
    with socket.socket(fileno=os.dup(0)) as requests:
        while True:
            watched = {control: pid for pid, control in controls.items() if pid not in doomed}
            readable, _, _ = select.select([requests, ended, *watched], [], [])
            for control in watched.keys() & set(readable):
                doomed.add(watched[control])
                os.kill(watched[control], signal.SIGKILL)
            if ended in readable:
                ended.recv(4096)
                _report(controls, doomed)
            if requests in readable:
                asked, descriptors, _, _ = socket.recv_fds(requests, 1, 3)
                if not asked:
                    return 0
                for descriptor in descriptors:
                    os.set_inheritable(descriptor, False)
                stdin, stdout, control_fd = descriptors
                controls[begin(stdin, stdout)] = socket.socket(fileno=control_fd)
                os.close(stdin)
                os.close(stdout)


def _report(controls: dict[int, socket.socket], doomed: set[int]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            pid, status = ended
            doomed.discard(pid)
            with controls.pop(pid) as control, suppress(OSError):
                control.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _fork(work: Callable[[], int], stdin: int, stdout: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the pipes of other forks are among them
        code = work()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _spawn(stdin: int, stdout: int) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
    return os.posix_spawn(sys.executable, sys.orig_argv[:-1], os.environ, file_actions=actions)
