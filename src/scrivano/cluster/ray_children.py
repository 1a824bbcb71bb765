"""Starts children on the nodes of a Ray cluster: an actor for each, or for each media child in turn.

Ray decides on which node, by the resources and labels that an actor asks for. No audio goes through Ray.
"""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from scrivano import __version__
from scrivano.cluster.node_child import Lines, NodeChild
from scrivano.cluster.ray_address import check_listening, unusable
from scrivano.cluster.ray_options import RayOptions
from scrivano.cluster.ray_process import NodeLost, RayProcess
from scrivano.cluster.start_failures import UnfitNodes, check_version
from scrivano.domain.errors import StorageUnreachable
from scrivano.processes.messages import Failed, Load, Placed, PreparationFailed, Queued, encoder, parser
from scrivano.processes.voice_messages import FindVoices, NameSpeakers, VoiceRequest

__all__ = ["RayChildren", "connect", "disconnect"]

logger = logging.getLogger(__name__)

# Methods of an actor that run at the same time: to write may take long, and to read must not.
CALLS = 4

# How long an actor has to delete its files when it is ended.
CLOSE_S = 3.0

# An actor that has prepared a recording is kept for the next one for so long: it holds CPUs that others may need.
IDLE_S = 5.0


def connect(address: str) -> bool:
    """Join the cluster as its driver; returns whether it has GPUs now. Raises `StartError`."""
    check_listening(address)
    try:
        ray.init(address=address, namespace="scrivano", log_to_driver=False, configure_logging=False)
    except (RayError, ConnectionError, RuntimeError, ValueError) as error:
        raise unusable(address, _line(error)) from error
    resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return bool(resources.get("GPU"))


def disconnect() -> None:
    """Leave the cluster; all that still runs for this process ends."""
    ray.shutdown()


class RayChildren:
    """Implements `Children`. `close` waits a little until actors have ended in order."""

    def __init__(self, options: RayOptions) -> None:
        self._options = options
        self._ends = Ends()
        self._unfit = UnfitNodes()
        self.media = RayMedia(self._actors("media", 0, num_cpus=options.media_cpus), self._ends, self._unfit)
        self._encode_queued: Callable[[Queued], bytes] = encoder(Queued)
        self._encode_placed: Callable[[Placed], bytes] = encoder(Placed)
        self._encode_failed: Callable[[Failed], bytes] = encoder(Failed)

    def engine(self, load: Load, needed_mb: int) -> RayProcess:
        options = self._options
        create = self._actors(
            "engine",
            needed_mb,
            num_cpus=options.engine_cpus,
            num_gpus=options.engine_gpus,
            scheduling_strategy="SPREAD",
            labels=options.engine_labels,
        )
        return RayProcess(
            Actor(create, self._ends.start),
            queued=self._encode_queued(Queued()),
            placed=lambda node: self._encode_placed(Placed(node=node)),
            failed=lambda reason: self._encode_failed(Failed(id=None, kind="model", message=reason)),
            unfit=self._unfit,
        )

    def speakers(self) -> RayProcess:
        create = self._actors("speakers", 0, num_cpus=self._options.media_cpus)
        return RayProcess(Actor(create, self._ends.start), attach=Spools().read, unfit=self._unfit)

    def close(self) -> None:
        self.media.close()
        self._ends.wait()

    def _actors(
        self, kind: Any, needed_mb: int, *, labels: Mapping[str, str] | None = None, **resources: Any
    ) -> Callable[[], Any]:
        """Creates actors. An actor is never restarted by Ray: the runner knows what is to be done again."""
        node = replace(self._options.node, kind=kind, needed_mb=needed_mb, gpu=bool(resources.get("num_gpus")))
        remote = ray.remote(RayNodeChild)
        asked = {"max_restarts": 0, "max_concurrency": CALLS, **resources}

        def create() -> Any:
            place = self._unfit.placing(labels or {}, ray.nodes)
            return remote.options(**asked, **place).remote(__version__, pickle.dumps(node))

        return create


class RayNodeChild(NodeChild):
    """It is named by the address of its node, which Ray knows.

    `version`: that of the dispatcher. `options`: pickled `NodeOptions`, which another version could not read, and so
    could not say why.
    """

    def __init__(self, version: str, options: bytes) -> None:
        check_version(_node_address(), __version__, version)
        super().__init__(pickle.loads(options))

    def start(self) -> str:
        super().start()
        return _node_address()


class RayMedia:
    """Implements `MediaHost`. An actor that has prepared a recording is used again: a new one takes a second."""

    def __init__(self, create: Callable[[], Any], ends: Ends, unfit: UnfitNodes) -> None:
        self._create = create
        self._unfit = unfit
        self._ends = ends
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._open = False
        self._encode: Callable[[Queued], bytes] = encoder(Queued)
        self._encode_failed: Callable[[PreparationFailed], bytes] = encoder(PreparationFailed)

    def open(self) -> None:
        self._open = True

    def start(self) -> RayProcess:
        with self._lock:
            handle = self._idle.pop() if self._idle else None
        actor = Actor(self._create, self._ends.start, handle, self._keep)
        return RayProcess(actor, queued=self._encode(Queued()), failed=self._failed, unfit=self._unfit)

    def close(self) -> None:
        self._open = False
        with self._lock:
            idle, self._idle = self._idle, []
        for handle in idle:
            self._ends.start(handle)

    def _failed(self, reason: str) -> bytes:
        """The job is put off, as if this node did not reach the storage: another node, or a mended one, can do it."""
        return self._encode_failed(PreparationFailed(code=StorageUnreachable.code, message=reason))

    def _keep(self, handle: Any) -> None:
        with self._lock:
            if not self._open:
                self._ends.start(handle)
                return
            self._idle.append(handle)
        timer = threading.Timer(IDLE_S, self._drop, (handle,))
        timer.daemon = True
        timer.start()

    def _drop(self, handle: Any) -> None:
        """End an actor that was idle for a while, unless it is used again."""
        with self._lock:
            if handle not in self._idle:
                return
            self._idle.remove(handle)
        self._ends.start(handle)


class Actor:
    """Implements `NodeActor`. `handle`: an actor that is to be used again; None: a new one.

    Afterwards `keep` gets it, or `end`.
    """

    def __init__(
        self,
        create: Callable[[], Any],
        end: Callable[[Any], None],
        handle: Any = None,
        keep: Callable[[Any], None] | None = None,
    ) -> None:
        self._create = create
        self._end = end
        self._handle = handle
        self._keep = keep
        self._started: Any = None
        self._reading: Any = None
        self._released = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        with self._lock:
            if self._handle is None and not self._released:
                self._handle = self._create()
        if self._handle is None:
            raise NodeLost("it was killed before it ran")
        self._started = self._handle.start.remote()

    def place(self, timeout_s: float) -> str | None:
        node: str | None = _wait(self._started, timeout_s)
        return node

    def write(self, line: bytes, attachment: bytes | None) -> None:
        _get(self._handle.write.remote(line, attachment))

    def read(self, timeout_s: float) -> Lines | None:
        if self._reading is None:
            self._reading = self._handle.read.remote()
        lines: Lines | None = _wait(self._reading, timeout_s)
        if lines is not None:
            self._reading = None
        return lines

    def release(self, *, reusable: bool) -> None:
        with self._lock:
            self._released = True
            handle, keep = self._handle, self._keep
        if handle is None:
            return
        if reusable and keep is not None:
            keep(handle)
        else:
            self._end(handle)


class Spools:
    """The files of voices that go to the speakers child, with the requests that name them."""

    def __init__(self) -> None:
        self._parse: Callable[[bytes], VoiceRequest] = parser(VoiceRequest)

    def read(self, line: bytes) -> bytes | None:
        match request := self._parse(line):
            case NameSpeakers():
                with suppress(FileNotFoundError):  # the job has just been cancelled
                    return Path(request.path).read_bytes()
            case FindVoices():
                pass
        return None


class Ends:
    """Actors that are being ended, each on a thread of its own."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self, handle: Any) -> None:
        """End an actor, and with it its child. Returns at once."""
        thread = threading.Thread(target=self._end, args=(handle,), name="node-end", daemon=True)
        with self._lock:
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def wait(self) -> None:
        for thread in list(self._threads):
            thread.join(2 * CLOSE_S)

    def _end(self, handle: Any) -> None:
        with suppress(RayError, ValueError, RuntimeError):
            try:
                ray.wait([handle.close.remote()], timeout=CLOSE_S)
            finally:
                ray.kill(handle)


def _node_address() -> str:
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return address


def _wait(ref: Any, timeout_s: float) -> Any:
    """What the call returns; None: nothing yet. Raises `NodeLost`, and what an actor's start raises."""
    ready, _ = ray.wait([ref], timeout=timeout_s)
    return _get(ref) if ready else None


def _get(ref: Any) -> Any:
    try:
        return ray.get(ref)
    except RayActorError as error:
        if getattr(error, "actor_init_failed", False):
            raise
        raise NodeLost(_line(error)) from error
    except RayError as error:
        raise NodeLost(_line(error)) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
