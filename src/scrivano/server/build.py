"""The composition root: builds the server out of its parts, runs it, and closes it in reverse order."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from anyio.to_thread import run_sync
from fastapi import FastAPI

from scrivano.api.app import HttpOptions, create_app
from scrivano.api.middleware.body_limits import BodyRate
from scrivano.api.middleware.request_telemetry import RequestTelemetryOptions
from scrivano.api.services import Services
from scrivano.auth.key_ring import KeyRing
from scrivano.domain.decoding import DecodingOptions
from scrivano.domain.errors import ModelUnavailable, StartError
from scrivano.engines.catalog import default_model, find_model, vram_needed_mb, window_mb
from scrivano.engines.gpu_memory import MemoryReader, NvmlReader
from scrivano.files.blobs import Blobs
from scrivano.files.data_dir_lock import DataDirLock
from scrivano.files.disk_space import DiskSpace
from scrivano.housekeeping.retention import Retention
from scrivano.net.address_policy import AddressPolicy
from scrivano.net.guarded_transport import GuardedTransport
from scrivano.processes.messages import Load
from scrivano.running.engine_pool import ModelSpec, PoolOptions
from scrivano.running.engine_process import EngineLimits
from scrivano.running.job_runs import JobRunOptions
from scrivano.running.media_process import MediaLimits
from scrivano.running.model_state import Policy
from scrivano.running.runner import Runner, RunnerOptions
from scrivano.server.connections import ConnectionLimits, connection_class
from scrivano.server.gauges import gauges
from scrivano.server.settings import Settings
from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.uploads import UploadStore
from scrivano.store.wake_ups import DELIVERIES, MODEL, ModelEventLog, WakeUps
from scrivano.submission.admission import Admission
from scrivano.submission.fetch import Downloads
from scrivano.submission.job_intake import JobIntake
from scrivano.submission.resumable_jobs import ResumableJobs
from scrivano.submission.resumable_uploads import ResumableUploads
from scrivano.submission.submissions import Submissions
from scrivano.submission.waiter import Waiter
from scrivano.telemetry.events import Emit, JobEnded, TelemetryEvent
from scrivano.telemetry.metrics import Metrics
from scrivano.telemetry.traces import Tracing, tracing
from scrivano.webhooks.sender import SenderOptions, WebhookSender

logger = logging.getLogger(__name__)

# The exit code after a fault of the server's own (EX_SOFTWARE), so that a supervisor starts it again.
BROKEN = 70

# What open requests get to end by themselves.
SHUTDOWN_S = 5

# What the store, the jobs, their children and their webhooks need beside the connections, and those connections that
# are accepted only to be refused.
OWN_DESCRIPTORS = 512

# asyncio takes as many connections in a row before it lets the first of them be refused.
ACCEPTED_AT_ONCE = 64

# Connections that wait for that in the kernel.
BACKLOG = 512


@dataclass(frozen=True, slots=True)
class Children:
    """The commands that start child processes; tests put in ones that crash, hang and lie."""

    media: Sequence[str] = (sys.executable, "-m", "scrivano.media.child")
    engine: Sequence[str] = (sys.executable, "-m", "scrivano.engines.worker")


def run(settings: Settings, children: Children = Children(), memory: MemoryReader | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises `StartError` where the server cannot start.

    `memory` None: the GPU's, read through NVML.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    with ExitStack() as cleanup:
        lock = DataDirLock(settings.data_dir, since=_now())
        cleanup.callback(lock.release)
        listener = cleanup.enter_context(_bind(settings.host, settings.port))
        wyoming = _wyoming_listener(settings, cleanup)
        traces = tracing(os.environ)
        app = build(settings, children, memory or NvmlReader(), cleanup, wyoming, traces)
        host, port = listener.getsockname()[:2]
        lock.announce(host=host, port=port)
        services: Services = app.state.services
        config = uvicorn.Config(
            app,
            http=connection_class(_connection_limits(settings)),
            ws="none",
            backlog=ACCEPTED_AT_ONCE,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
            server_header=False,
        )
        if not ip_address(host).is_loopback and settings.api_keys_file is None:
            logger.warning("whoever can reach %s may use this server: it knows no passwords", host)
        logger.info("listening", extra={"url": _url(host, port), "data_dir": str(settings.data_dir)})
        server = _Server(config, services)
        services.runner.on_broken = server.give_up
        server.run(sockets=[listener])
        if services.runner.broken:
            raise SystemExit(BROKEN)


class _Server(uvicorn.Server):
    """Tells the calls that wait for a job, or they would hold up the server's end, and the runner, whose batches have
    the time until the calls have ended. Accepts a few connections at a time."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    def give_up(self) -> None:
        """End, as after a signal: a server without its runner can do nothing. Callable from any thread."""
        self.should_exit = True
        self._services.wake_ups.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)  # asyncio has one figure for both, and has set this to its own

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._services.wake_ups.stop()
        self._services.runner.drain()


def build(
    settings: Settings,
    children: Children,
    memory: MemoryReader,
    cleanup: ExitStack,
    wyoming: socket.socket | None = None,
    traces: Tracing | None = None,
) -> FastAPI:
    """The application; what must be closed after it has ended is pushed onto `cleanup`. `wyoming`: one more socket."""
    if traces is not None:
        cleanup.callback(traces.close)
    cleanup.callback(memory.close)
    models = _model_names(settings, memory)
    wake_ups = WakeUps()
    kept = _open_data_dir(settings, wake_ups, cleanup)
    model_log = ModelEventLog(lambda: wake_ups.fire(MODEL))
    ring = KeyRing(settings.api_keys_file) if settings.api_keys_file is not None else None
    address_policy = AddressPolicy.of(settings.allow_networks, private_by_default=ring is None)
    secrets = [secret.get_secret_value() for secret in settings.webhook_secret or ()]
    metrics = Metrics()
    emit = _to_all([metrics.emit] if traces is None else [metrics.emit, traces.emit])
    sender_options = SenderOptions(now=_now, new_id=_new_id, secrets=secrets, emit=emit)
    transport = GuardedTransport(address_policy)
    webhooks = WebhookSender(kept.store, kept.outbox, wake_ups, transport, sender_options)

    def announce(type: str, data: Mapping[str, Any]) -> None:
        model_log.append(type, data)
        webhooks.announce(type, data)

    options = _runner_options(settings, children, memory, models)
    runner = Runner(kept.store, kept.blobs, memory, announce, _now, options, emit)
    metrics.add(gauges(kept.store, kept.outbox, runner, memory, options.pool.gpus, settings.data_dir))
    kept.store.on_end = lambda job: emit(JobEnded(job))
    admission = Admission(
        store=kept.store,
        runner=runner,
        webhooks=webhooks,
        models=models,
        queue_always=settings.admission == "queue",
        max_queue=settings.max_queue,
        gpu_poll_interval_secs=settings.gpu_poll_interval_secs,
    )
    intake = JobIntake(
        store=kept.store, blobs=kept.blobs, runner=runner, emit=emit, now=_now, max_queue=settings.max_queue
    )
    services = Services(
        database=kept.database,
        store=kept.store,
        outbox=kept.outbox,
        blobs=kept.blobs,
        runner=runner,
        webhooks=webhooks,
        submissions=Submissions(
            blobs=kept.blobs,
            runner=runner,
            downloads=Downloads(GuardedTransport(address_policy), settings.fetch_timeout_secs),
            admission=admission,
            intake=intake,
            new_id=_new_id,
            models=models,
            max_upload_bytes=settings.max_upload_bytes,
        ),
        resumable_jobs=ResumableJobs(
            uploads=ResumableUploads(kept.partials, kept.blobs, _now, timedelta(hours=settings.upload_expiry_hours)),
            admission=admission,
            intake=intake,
            runner=runner,
            wake_ups=wake_ups,
            new_id=_new_id,
            models=models,
            max_upload_bytes=settings.max_upload_bytes,
        ),
        waiter=Waiter(store=kept.store, runner=runner, wake_ups=wake_ups),
        wake_ups=wake_ups,
        model_log=model_log,
        memory=memory,
        metrics=metrics,
        gpu=settings.cuda_device[0],
        models=models,
    )
    telemetry = RequestTelemetryOptions(
        emit=emit, new_id=_new_id, log=settings.access_log, start_span=traces.start_request if traces else None
    )
    http = HttpOptions(
        keys=ring,
        origins=settings.cors_origins or (),
        docs=settings.docs,
        body_rate=BodyRate(settings.upload_idle_secs, settings.upload_min_bytes_per_sec),
        telemetry=telemetry,
    )
    return create_app(services, _lifespan(services, _retention(settings, kept), wyoming, ring), http)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the data folder holds."""

    database: Database
    outbox: Outbox
    partials: UploadStore
    store: JobStore
    blobs: Blobs


def _open_data_dir(settings: Settings, wake_ups: WakeUps, cleanup: ExitStack) -> _Kept:
    room = DiskSpace(settings.data_dir, min_free_bytes=settings.min_free_bytes, reserve_bytes=settings.reserve_bytes)
    room.settle()  # before anything is written: what it gives up may be needed for that
    blobs = Blobs(settings.data_dir, disk_space=room)
    database = Database.open(settings.data_dir / "scrivano.db", on_full=room.release)
    cleanup.callback(database.close)
    outbox = Outbox(database, _now, on_delivery=lambda: wake_ups.fire(DELIVERIES))
    partials = UploadStore(database, _now)
    store = JobStore(database, outbox, _now)
    store.on_change = wake_ups.fire
    unfinished = [upload.id for upload in partials.pending()]
    blobs.sweep(store.with_audio(ended=settings.keep_audio), unfinished)
    return _Kept(database=database, outbox=outbox, partials=partials, store=store, blobs=blobs)


def _to_all(listeners: Sequence[Emit]) -> Emit:
    """An `Emit` that calls each of these. A fault in telemetry must not stop the work that is measured."""

    def emit(event: TelemetryEvent) -> None:
        try:
            for listener in listeners:
                listener(event)
        except Exception:
            logger.exception("a telemetry event was lost: %s", type(event).__name__)

    return emit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    """What the models run on. `gpus`: indices; empty on a CPU. For the others see `PoolOptions`."""

    compute_type: str
    batch_size: int
    batch_s: float
    calm_s: float
    in_flight: int
    urgent_slot: bool = False
    gpus: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return "cuda" if self.gpus else "cpu"


# On a CPU only the decoder gains from batches, and urgent work is decoded beside them, since cores can be shared: how
# long they take matters for the progress that is shown. On a GPU the next batch waits in the engine's pipe, so that
# urgent work waits for two of them.
CPU = _Device(compute_type="int8", batch_size=8, batch_s=1.5, calm_s=30.0, in_flight=1, urgent_slot=True)
GPU = _Device(compute_type="float16", batch_size=16, batch_s=0.2, calm_s=6.0, in_flight=2)


def _device(settings: Settings, memory: MemoryReader) -> _Device:
    gpus = settings.cuda_device
    seen = settings.device == "auto" and any(memory.read(gpu) is not None for gpu in gpus)
    device = replace(GPU, gpus=gpus) if seen or settings.device == "cuda" else CPU
    if settings.whisper_model_path is not None and settings.whisper_model_path.is_file():
        device = replace(device, batch_size=1, urgent_slot=False)  # whisper.cpp decodes one after the other
    return replace(
        device,
        compute_type=device.compute_type if settings.compute_type == "auto" else settings.compute_type,
        batch_size=settings.batch_size or device.batch_size,
    )


def _model_names(settings: Settings, memory: MemoryReader) -> tuple[str, ...]:
    """The model that is meant where none is named, then the others. Raises `StartError` for a name without meaning."""
    first = _first_model(settings, memory)
    others = [name for name in settings.models or () if name != first]
    names = others if settings.whisper_model_path is not None else [first, *others]
    try:
        for name in names:
            find_model(name)
    except ModelUnavailable as error:
        raise StartError(str(error)) from error
    return tuple(dict.fromkeys((first, *others)))


def _first_model(settings: Settings, memory: MemoryReader) -> str:
    if settings.whisper_model_path is not None:
        path = settings.whisper_model_path
        return settings.whisper_model or (path.stem if path.is_file() else path.name)
    gpu = memory.read(settings.cuda_device[0]) if settings.device != "cpu" else None
    return settings.whisper_model or default_model(gpu.total_mb if gpu else None)


def _runner_options(
    settings: Settings, children: Children, memory: MemoryReader, models: Sequence[str]
) -> RunnerOptions:
    device = _device(settings, memory)
    paths = dict.fromkeys(models[:1], settings.whisper_model_path)
    return RunnerOptions(
        media_command=children.media,
        pool=PoolOptions(
            engine_command=children.engine,
            models=[_model_spec(settings, device, name, paths.get(name)) for name in models],
            gpus=device.gpus,
            limits=EngineLimits(chunk_s=settings.chunk_timeout_secs),
            batch_size=device.batch_size,
            batch_s=device.batch_s,
            calm_s=device.calm_s,
            in_flight=device.in_flight,
            urgent_slot=device.urgent_slot,
            environment={"ENGINE_MALLOC": settings.engine_malloc},
        ),
        jobs=JobRunOptions(
            decoding=DecodingOptions(beam_size=settings.beam_size, word_timestamps=settings.word_timestamps),
            jobs_open=max(4, 2 * device.batch_size),
            keep_audio=settings.keep_audio,
        ),
        media=MediaLimits(
            max_audio_s=settings.max_audio_secs,
            max_chunk_s=settings.max_chunk_secs,
            timeout_s=settings.media_timeout_secs,
        ),
    )


def _model_spec(settings: Settings, device: _Device, name: str, path: Path | None) -> ModelSpec:
    return ModelSpec(
        name=name,
        load=Load(
            model=name,
            path=str(path) if path else None,
            device=device.name,
            compute_type=device.compute_type,
            cpu_threads=settings.cpu_threads,
            fast=settings.latency == "fast",
        ),
        policy=Policy(
            idle_timeout_s=(settings.keep_alive or {}).get(name, settings.idle_timeout_secs),
            poll_interval_s=settings.gpu_poll_interval_secs,
        ),
        needed_mb=vram_needed_mb(name, path=path, compute_type=device.compute_type) or 0,
        window_mb=window_mb(name, settings.beam_size),
    )


def _connection_limits(settings: Settings) -> ConnectionLimits:
    """As many connections as are set, and as the descriptors allow that the process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + OWN_DESCRIPTORS
    may_have = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < may_have:
        resource.setrlimit(resource.RLIMIT_NOFILE, (may_have, hard))
    if may_have < wanted:
        logger.warning("only %d open files are allowed, so fewer than MAX_CONNECTIONS are taken", may_have)
    return ConnectionLimits(
        connections=max(1, may_have - OWN_DESCRIPTORS),
        head_secs=settings.header_timeout_secs,
        linger_secs=settings.upload_idle_secs,
        linger_bytes=settings.upload_min_bytes_per_sec,
    )


def _retention(settings: Settings, kept: _Kept) -> Retention:
    keep = None if settings.retention_hours is None else timedelta(hours=settings.retention_hours)
    return Retention(kept.store, kept.outbox, kept.partials, kept.blobs, keep, _now)


def _lifespan(
    services: Services, retention: Retention, wyoming: socket.socket | None, ring: KeyRing | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services.wake_ups.attach(asyncio.get_running_loop())
        services.runner.start()
        work = (services.webhooks.run(), retention.run(), services.resumable_jobs.finish_pending())
        tasks = [asyncio.create_task(one) for one in work]
        if ring is not None:
            tasks.append(asyncio.create_task(ring.run()))
        try:
            async with _wyoming(services, wyoming):
                yield
        finally:
            await run_sync(services.runner.stop)
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await services.webhooks.close()
            await services.submissions.downloads.close()

    return lifespan


def _wyoming_listener(settings: Settings, cleanup: ExitStack) -> socket.socket | None:
    """Raises `StartError` where Wyoming is asked for and cannot be served."""
    if settings.wyoming_port is None:
        return None
    if find_spec("wyoming") is None:
        raise StartError("WYOMING_PORT needs the package wyoming: pip install 'scrivano[wyoming]', or unset it")
    listener = cleanup.enter_context(
        _bind(settings.wyoming_host or settings.host, settings.wyoming_port, "WYOMING_PORT")
    )
    host, port = listener.getsockname()[:2]
    if settings.api_keys_file is not None and not ip_address(host).is_loopback:
        # A warning would be read by nobody, and the keys would keep out only those who ask for HTTP.
        raise StartError(
            f"Wyoming has no keys, so with API_KEYS_FILE it cannot listen on {host}: set WYOMING_HOST=127.0.0.1, or run"
            " a second server for it"
        )
    logger.info("listening for Wyoming", extra={"uri": f"tcp://{_authority(host, port)}"})
    return listener


def _wyoming(services: Services, listener: socket.socket | None) -> AbstractAsyncContextManager[None]:
    if listener is None:
        return nullcontext()
    from scrivano.wyoming.server import WyomingServer  # an extra: it may not be installed

    server = WyomingServer(submissions=services.submissions, waiter=services.waiter, model=services.model)
    return server.serve(listener)


def _end(number: int, frame: FrameType | None) -> None:
    """Before and after uvicorn, which catches signals while it serves and raises them again when it has ended.

    Its way out would be the signal itself, past everything that is still to be closed.
    """
    raise SystemExit(0)


def _bind(host: str, port: int, setting: str = "PORT or --port") -> socket.socket:
    """A listening socket, before anything else is begun. Raises `StartError`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartError(f"cannot listen on {host} port {port} {_why_not(error, setting)}") from error
    # Accepted sockets inherit it. Without it, an answer's head and body are 40 ms apart: asyncio sets it only for
    # sockets that were made with the protocol's number.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _why_not(error: OSError, setting: str) -> str:
    """`strerror` of `create_server` repeats the address; that of a name which is not found has no errno of its own."""
    if error.errno == errno.EADDRINUSE:
        return f"({os.strerror(error.errno)}): is another server running there? Set {setting} to a free one (0: any)"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "(this machine has no such address): set SCRIVANO_HOST or --host to one of its own"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"({reason}): set {setting} to another one (0: any)"


def _url(host: str, port: int) -> str:
    return f"http://{_authority(host, port)}"


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())
