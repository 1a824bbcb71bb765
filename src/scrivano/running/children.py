"""How child processes are started: on this machine, or elsewhere. All else about them is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from scrivano.processes.child import Process, Spawned
from scrivano.processes.fork_server import Forked, ForkServer
from scrivano.processes.messages import Load

__all__ = ["Children", "LocalChildren", "MediaHost"]

# The speakers child works on one core; its libraries would take all.
NO_THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class MediaHost(Protocol):
    """Where media children are started. It belongs to one thread."""

    def open(self) -> Process | None:
        """Children will be needed soon. Returns a process whose end ends all children; None: there is none."""

    def start(self) -> Process:
        """Returns at once; messages sent before the child runs reach it. Raises `OSError` if that process is gone."""

    def close(self) -> None:
        """No child is at work. Free what was kept ready, or kill that process with all its children."""


class Children(Protocol):
    """Starts children. Methods return at once; messages sent before a child runs reach it."""

    @property
    def media(self) -> MediaHost: ...

    def engine(self, load: Load, needed_mb: int) -> Process:
        """An engine child, which will be sent `load`. `needed_mb`: GPU memory for that; 0: not known."""

    def speakers(self) -> Process: ...


class LocalMedia:
    """Forks of a process that has loaded what they need: a fork takes 5 ms, a new interpreter 200."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._server: ForkServer | None = None

    def open(self) -> Spawned:
        self._server = ForkServer(self._command)
        return self._server.process

    def start(self) -> Forked:
        assert self._server is not None
        return self._server.fork()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


class LocalChildren:
    """Children of this process. `environment`: variables of the engine child."""

    def __init__(
        self, *, media: Sequence[str], engine: Sequence[str], speakers: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.media = LocalMedia(media)
        self._engine = engine
        self._speakers = speakers
        self._environment = environment

    def engine(self, load: Load, needed_mb: int) -> Spawned:
        return Spawned(self._engine, self._environment)

    def speakers(self) -> Spawned:
        return Spawned(self._speakers, NO_THREADS)
