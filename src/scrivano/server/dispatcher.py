"""A dispatcher: runs the jobs of a shared database on the nodes of a Ray cluster. Its HTTP is for probes and metrics.

It is the same runner as that of a server, with children that are started elsewhere. If it dies, its leases run out, and
another dispatcher goes on with its jobs.
"""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import FrameType

from starlette.types import ASGIApp

from scrivano.api.dispatcher_app import create_dispatcher_app
from scrivano.cluster.node_child import NodeOptions
from scrivano.cluster.ray_options import RayOptions
from scrivano.domain.errors import ScrivanoError, StartError
from scrivano.engines.gpu_memory import NvmlReader
from scrivano.files.blob_url import open_audio
from scrivano.files.data_dir_lock import DataDirLock
from scrivano.files.disk_space import DiskSpace
from scrivano.housekeeping.orphans import Orphans
from scrivano.running.model_exchange import ModelExchange
from scrivano.running.runner import Runner
from scrivano.server.blob_storage import open_blobs
from scrivano.server.devices import Device, choose_cluster_device, runner_options, served_models
from scrivano.server.gauges import runner_gauges
from scrivano.server.http_server import ConnectionLimits
from scrivano.server.http_thread import HttpThread
from scrivano.server.settings import Settings
from scrivano.server.sockets import bind_all, host_and_port
from scrivano.server.start_checks import check_sharing
from scrivano.server.stores import open_stores
from scrivano.store.notices import Notices
from scrivano.store.wake_ups import WakeUps
from scrivano.submission.model_names import ServedModels
from scrivano.telemetry.events import emit_to
from scrivano.telemetry.metrics import Metrics

__all__ = ["MODULES", "dispatch"]

logger = logging.getLogger(__name__)

# The exit code after an internal error (EX_SOFTWARE), so that a supervisor starts the dispatcher again.
EXIT_FAILED = 70

# Prepared audio of jobs that have ended is looked for this often.
SWEEP_S = 1800.0

# Another dispatcher may have the model ready.
OTHERS_WAIT_S = 1.0

# Connections to DISPATCHER_LISTEN: of a supervisor, of Prometheus, of a person.
CONNECTIONS = 64

# The programs of the three kinds of children.
MODULES = {"media": "scrivano.media.child", "engine": "scrivano.engines.worker", "speakers": "scrivano.speakers.child"}


def dispatch(settings: Settings, modules: Mapping[str, str] = MODULES) -> None:
    """Run jobs until SIGTERM or SIGINT. Raises `StartError`, and `SystemExit` if the runner fails.

    `modules`: as `MODULES`; a benchmark has an engine of its own.

    If the head of the Ray cluster is gone for a minute, Ray ends this process.
    """
    url = _check(settings)
    with ExitStack() as cleanup:
        cleanup.callback(DataDirLock(settings.data_dir, since=datetime.now(UTC)).release)
        listeners = _bind(settings, cleanup)
        machine = _join_cluster(settings, cleanup)
        end = _End()
        _end_at_signals(end)  # after Ray, which sets handlers of its own
        parts = _build(settings, url, machine, modules, end, cleanup)
        parts.start()
        try:
            _answer_probes(settings, parts.app, listeners, cleanup)
            device = machine.device
            shown = {"models": list(machine.models), "engines": device.engines, "device": device.name}
            logger.info("dispatching", extra=shown)
            _sweep_until(end, parts.orphans)
        finally:
            parts.stop()
            logger.info("stopped")
        if end.failed:
            raise SystemExit(EXIT_FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """What engines run on, and which models. `memory`: of this machine, which need not have a GPU."""

    memory: NvmlReader
    models: ServedModels
    device: Device


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    runner: Runner
    exchange: ModelExchange
    notices: Notices
    orphans: Orphans
    app: ASGIApp

    def start(self) -> None:
        for part in (self.runner, self.notices, self.exchange):
            part.start()

    def stop(self) -> None:
        for part in (self.runner, self.exchange, self.notices):
            part.stop()


class _End:
    """Whether the dispatcher is to end, and why. Any thread, and a signal handler, may set it."""

    def __init__(self) -> None:
        self.failed = False
        self._event = threading.Event()

    def stop(self) -> None:
        self._event.set()

    def fail(self) -> None:
        self.failed = True
        self._event.set()

    def stopping(self) -> bool:
        """Whether it ends because it was told to."""
        return self._event.is_set() and not self.failed

    def wait(self, timeout_s: float) -> bool:
        return self._event.wait(timeout_s)


def _join_cluster(settings: Settings, cleanup: ExitStack) -> _Machine:
    """Raises `StartError`."""
    try:
        from scrivano.cluster import ray_children  # Ray is an extra, and takes a second to import.
    except ImportError as error:
        raise StartError("a dispatcher needs an extra: pip install 'scrivano[ray]'") from error
    memory = NvmlReader()
    cleanup.callback(memory.close)
    models = served_models(settings, memory)
    device = choose_cluster_device(settings, has_gpus=ray_children.connect(settings.ray_address or "auto"))
    cleanup.callback(ray_children.disconnect)
    return _Machine(memory=memory, models=models, device=device)


def _build(
    settings: Settings, url: str, machine: _Machine, modules: Mapping[str, str], end: _End, cleanup: ExitStack
) -> _Parts:
    """`url`: BLOB_URL. Raises `StartError`."""
    from scrivano.cluster import files_of_jobs, ray_children

    disk_space = DiskSpace(settings.data_dir, min_free_bytes=settings.min_free_bytes)
    blobs, audio = open_blobs(settings, disk_space), open_audio(url)
    cleanup.callback(blobs.close)
    cleanup.callback(audio.close)
    metrics = Metrics()
    emit = emit_to([metrics.emit])
    stores = open_stores(settings, WakeUps(), emit, disk_space.release, cleanup, sends_webhooks=False)
    assert stores.dispatchers is not None
    assert stores.notices is not None
    prepared = files_of_jobs.RemotePrepared(settings.data_dir, audio, disk_space)
    prepared.sweep()
    children = ray_children.RayChildren(_ray_options(settings, url, machine.device, modules))
    cleanup.callback(children.close)
    runner = Runner(
        stores.jobs,
        files_of_jobs.NamedRecordings(blobs),
        prepared,
        children,
        machine.memory,
        lambda type, data: None,
        stores.now,
        replace(runner_options(settings, machine.device, machine.models), others_wait_s=OTHERS_WAIT_S),
        emit,
        on_broken=end.fail,
    )
    metrics.add(runner_gauges(runner, settings.data_dir))
    exchange = ModelExchange(stores.dispatchers, runner)
    return _Parts(
        runner=runner,
        exchange=exchange,
        notices=stores.notices(runner, exchange.wake),
        orphans=Orphans(audio, lambda: {job.id for job in stores.jobs.unfinished()}, guarded=False),
        app=create_dispatcher_app(metrics, runner, stores.database, end.stopping),
    )


def _check(settings: Settings) -> str:
    """Returns BLOB_URL. Raises `StartError`."""
    if settings.database_url is None:
        raise StartError("a dispatcher needs DATABASE_URL and BLOB_URL, the same as its servers have")
    if not (settings.whisper_model or settings.whisper_model_path):
        raise StartError("a dispatcher needs WHISPER_MODEL, the same as its servers have")
    check_sharing(settings)
    assert settings.blob_url is not None
    return settings.blob_url


def _bind(settings: Settings, cleanup: ExitStack) -> Sequence[socket.socket]:
    """Where probes will be answered, if anywhere. Raises `StartError`."""
    if settings.dispatcher_listen is None:
        return ()
    host, port = settings.dispatcher_listen
    return bind_all(host, port, cleanup, "DISPATCHER_LISTEN")


def _answer_probes(settings: Settings, app: ASGIApp, listeners: Sequence[socket.socket], cleanup: ExitStack) -> None:
    """Until `cleanup`, so that they hear of a dispatcher that is stopping."""
    if not listeners:
        return
    limits = ConnectionLimits(
        connections=CONNECTIONS,
        head_s=settings.header_timeout_secs,
        keep_alive_s=settings.http_keep_alive_secs,
        drain_interval_s=settings.upload_idle_secs,
        drain_bytes_per_s=settings.upload_min_bytes_per_sec,
    )
    http = HttpThread(app, listeners, limits)
    http.start()
    cleanup.callback(http.stop)
    logger.info("answering probes", extra={"url": f"http://{host_and_port(listeners[0])}"})


def _ray_options(settings: Settings, blob_url: str, device: Device, modules: Mapping[str, str]) -> RayOptions:
    gpu = device.name == "cuda"
    node = NodeOptions(
        kind="engine",
        modules=modules,
        blob_url=blob_url,
        folder=settings.node_dir,
        environment={"ENGINE_MALLOC": settings.engine_malloc},
        min_free_bytes=settings.min_free_bytes,
    )
    return RayOptions(
        node=node,
        engine_cpus=settings.engine_cpus,
        engine_gpus=(1.0 if gpu else 0.0) if settings.engine_gpus is None else settings.engine_gpus,
        engine_labels=settings.engine_labels or {},
        media_cpus=settings.media_cpus,
    )


def _end_at_signals(end: _End) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        end.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def _sweep_until(end: _End, orphans: Orphans) -> None:
    """Delete what killed dispatchers have left."""
    while True:
        try:
            orphans.sweep()
        except (ScrivanoError, OSError) as error:
            logger.warning("prepared audio without a job could not be looked for: %s", error)
        if end.wait(SWEEP_S):
            return
