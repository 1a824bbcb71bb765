"""The composition root: builds every part of the server in order. They are closed in reverse order."""

from __future__ import annotations

import logging
import secrets
import socket
import sys
import uuid
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from scrivano.api.app import HttpOptions, create_app
from scrivano.api.long_calls import LongCalls
from scrivano.api.middleware.body_limits import BodyRate, Uploading
from scrivano.api.middleware.request_telemetry import RequestTelemetryOptions
from scrivano.api.schemas import job_json
from scrivano.api.services import Services
from scrivano.auth.key_ring import KeyRing
from scrivano.auth.stream_tokens import StreamTokens
from scrivano.domain.errors import JobNotFound, JobUnfinished, StartError
from scrivano.engines.gpu_memory import MemoryReader
from scrivano.files.blobs import Blobs
from scrivano.files.disk_space import DiskSpace
from scrivano.files.prepared import PreparedFiles
from scrivano.files.staging import remove_stale_staging
from scrivano.housekeeping.local_copies import LocalCopies
from scrivano.housekeeping.orphans import Orphans
from scrivano.housekeeping.retention import Retention, forget
from scrivano.net.address_policy import AddressPolicy
from scrivano.net.guarded_transport import GuardedTransport
from scrivano.running.children import LocalChildren
from scrivano.running.engine_pool import PublishModelEvent
from scrivano.running.executor import Executor
from scrivano.running.model_event_log import ModelEventLog
from scrivano.running.remote_executor import RemoteExecutor
from scrivano.running.runner import Runner
from scrivano.server.blob_storage import open_blobs
from scrivano.server.devices import Device, choose_device, runner_options, served_models
from scrivano.server.gauges import gauges
from scrivano.server.lifespan import Lifespan, WyomingOptions
from scrivano.server.sampling import Sampling
from scrivano.server.settings import Settings
from scrivano.server.start_checks import check_start
from scrivano.server.stores import Stores, open_stores
from scrivano.server.watching import Watching, log_report
from scrivano.store.database import Database
from scrivano.store.sharing import SharedBuckets, shared_secret
from scrivano.store.wake_ups import MODEL, WakeUps
from scrivano.submission.admission import Admission
from scrivano.submission.enrolment import Enrolment
from scrivano.submission.fetch import Downloads
from scrivano.submission.folder_transcriber import FolderTranscriber
from scrivano.submission.job_intake import JobIntake
from scrivano.submission.model_names import ServedModels
from scrivano.submission.resumable_jobs import ResumableJobs
from scrivano.submission.resumable_uploads import ResumableUploads
from scrivano.submission.retries import Retries
from scrivano.submission.submissions import Submissions
from scrivano.submission.voice_samples import VoiceSamples
from scrivano.submission.waiter import Waiter
from scrivano.telemetry.events import Emit, emit_to
from scrivano.telemetry.history import History
from scrivano.telemetry.metrics import Metrics
from scrivano.telemetry.traces import Tracing
from scrivano.watch.watcher import Watcher, WatchOptions
from scrivano.webhooks.sender import SenderOptions, WebhookSender

__all__ = ["BuildOptions", "ChildCommands", "ServerParts", "build"]

logger = logging.getLogger(__name__)

# How often the outbox is read that several servers share: one of them may have ended before it could send.
SHARED_POLL_S = 5.0

# It runs until it is cancelled.
BackgroundTask = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class ChildCommands:
    """The commands that start child processes. Tests replace them with processes that crash, hang or send nonsense."""

    media: Sequence[str] = (sys.executable, "-m", "scrivano.media.child")
    engine: Sequence[str] = (sys.executable, "-m", "scrivano.engines.worker")
    speakers: Sequence[str] = (sys.executable, "-m", "scrivano.speakers.child")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What the server gets from its process. `build` closes `memory` and `traces`.

    `on_runner_failed` is called once, on the runner's thread, when the runner has ended because of an error.
    """

    memory: MemoryReader
    commands: ChildCommands = field(default_factory=ChildCommands)
    wyoming_listener: socket.socket | None = None
    traces: Tracing | None = None
    on_runner_failed: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerParts:
    """The built server. It starts to work when the lifespan of `app` starts. `model`: the default one."""

    app: FastAPI
    executor: Executor
    wake_ups: WakeUps
    uploading: Uploading
    model: str

    def prepare_shutdown(self) -> None:
        """Refuse the uploads that are arriving, end the calls that wait for a job, and start no new batch: batches may
        end while the open requests end."""
        self.uploading.stop()
        self.wake_ups.stop()
        self.executor.drain()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """What most parts are built from. What is stored is in DATA_DIR, unless a setting says otherwise."""

    settings: Settings
    stores: Stores
    blobs: Blobs
    prepared: PreparedFiles
    wake_ups: WakeUps
    emit: Emit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Submission:
    """How recordings become jobs, and callers wait for them."""

    downloads: Downloads
    submissions: Submissions
    resumable_jobs: ResumableJobs
    retries: Retries
    waiter: Waiter
    voice_samples: VoiceSamples


def build(settings: Settings, options: BuildOptions, cleanup: ExitStack) -> ServerParts:
    """What must be closed after the application has ended is pushed onto `cleanup`. Raises `StartError`.

    Each part is complete when it is built: the parts that it uses and calls back are built before it.
    """
    traces, memory = options.traces, options.memory
    if traces is not None:
        cleanup.callback(traces.close)
    cleanup.callback(memory.close)
    check_start(settings, memory)
    metrics, history = Metrics(), History(partial(datetime.now, UTC))
    listeners = [metrics.emit, history.emit]
    base = _base(settings, emit_to(listeners if traces is None else [*listeners, traces.emit]), cleanup)
    keys = KeyRing(settings.api_keys_file) if settings.api_keys_file is not None else None
    # A server with keys has clients that are not trusted with the private network.
    address_policy = AddressPolicy.of(settings.allow_networks, private_by_default=keys is None)
    webhooks = _webhooks(base, GuardedTransport(address_policy))
    model_log = ModelEventLog(lambda: base.wake_ups.fire(MODEL))

    def announce(type: str, event: Mapping[str, Any]) -> None:
        model_log.append(type, event)
        webhooks.announce(type, event)

    device, models = choose_device(settings, memory), served_models(settings, memory)
    executor = _executor(base, options, device, models, announce)
    metrics.add(gauges(base.stores.jobs, base.stores.outbox, executor, memory, device.gpus, settings.data_dir))
    submission = _submission(base, executor, webhooks, GuardedTransport(address_policy), models)
    gpu = settings.cuda_device[0]
    services = Services(
        database=base.stores.database,
        store=base.stores.jobs,
        outbox=base.stores.outbox,
        blobs=base.blobs,
        executor=executor,
        webhooks=webhooks,
        submissions=submission.submissions,
        resumable_jobs=submission.resumable_jobs,
        retries=submission.retries,
        waiter=submission.waiter,
        long_calls=LongCalls(waiter=submission.waiter, keepalive_after_s=settings.sync_keepalive_secs),
        wake_ups=base.wake_ups,
        enrolment=_enrolment(base, submission) if settings.voices else None,
        voice_samples=submission.voice_samples,
        model_log=model_log,
        stream_tokens=StreamTokens(_token_secret(base.stores.database), base.stores.now),
        metrics=metrics,
        history=history,
        read_gpu=lambda: memory.read(gpu),
        models=models,
    )
    sampling = Sampling(history=history, store=base.stores.jobs, executor=executor, memory=memory, gpu=gpu)
    background = [sampling.run] if keys is None else [sampling.run, keys.run]
    lifespan = _lifespan(base, services, submission, options.wyoming_listener, background)
    http_options = _http_options(base, keys, traces)
    return ServerParts(
        app=create_app(services, lifespan, http_options),
        executor=executor,
        wake_ups=base.wake_ups,
        uploading=http_options.uploading,
        model=models[0],
    )


def _base(settings: Settings, emit: Emit, cleanup: ExitStack) -> _Base:
    wake_ups = WakeUps()
    disk_space = DiskSpace(
        settings.data_dir, min_free_bytes=settings.min_free_bytes, reserve_bytes=settings.reserve_bytes
    )
    disk_space.settle()  # Before anything is written: on a full disk, it may have to give up its reserve for that.
    remove_stale_staging(settings.data_dir)
    blobs = open_blobs(settings, disk_space)
    cleanup.callback(blobs.close)
    prepared = PreparedFiles(settings.data_dir, disk_space)
    stores = open_stores(settings, wake_ups, emit, disk_space.release, cleanup)
    prepared.sweep()
    unfinished = [upload.id for upload in stores.uploads.pending()]
    blobs.sweep(stores.jobs.with_audio(ended=settings.keep_audio), unfinished)
    return _Base(settings=settings, stores=stores, blobs=blobs, prepared=prepared, wake_ups=wake_ups, emit=emit)


def _webhooks(base: _Base, transport: GuardedTransport) -> WebhookSender:
    stores = base.stores
    options = SenderOptions(
        now=stores.now,
        new_id=_new_id,
        secrets=[secret.get_secret_value() for secret in base.settings.webhook_secret or ()],
        emit=base.emit,
        poll_s=SHARED_POLL_S if stores.database.shared else 60.0,
    )
    return WebhookSender(stores.jobs, stores.outbox, base.wake_ups, transport, job_json, options)


def _executor(
    base: _Base, options: BuildOptions, device: Device, models: ServedModels, announce: PublishModelEvent
) -> Executor:
    settings, stores = base.settings, base.stores
    if settings.executor == "dispatcher":
        assert stores.dispatchers is not None
        return RemoteExecutor(
            models, stores.jobs, stores.dispatchers, base.blobs, announce, keep_audio=settings.keep_audio
        )
    commands = options.commands
    children = LocalChildren(
        media=commands.media,
        engine=commands.engine,
        speakers=(*commands.speakers, *(("--gpu", str(device.gpus[0])) if device.gpus else ())),
        environment={"ENGINE_MALLOC": settings.engine_malloc},
    )
    return Runner(
        stores.jobs,
        base.blobs,
        base.prepared,
        children,
        options.memory,
        announce,
        stores.now,
        runner_options(settings, device, models),
        base.emit,
        on_broken=options.on_runner_failed,
    )


def _submission(
    base: _Base, executor: Executor, webhooks: WebhookSender, transport: GuardedTransport, models: ServedModels
) -> _Submission:
    settings, blobs, jobs = base.settings, base.blobs, base.stores.jobs
    max_queue = settings.max_queue
    admission = Admission(
        store=jobs,
        executor=executor,
        webhooks=webhooks,
        models=models,
        queue_always=settings.admission == "queue",
        max_queue=max_queue,
        gpu_poll_interval_secs=settings.gpu_poll_interval_secs,
    )
    intake = JobIntake(
        store=jobs, blobs=blobs, executor=executor, emit=base.emit, now=base.stores.now, max_queue=max_queue
    )
    downloads = Downloads(transport, settings.fetch_timeout_secs)
    submissions = Submissions(
        blobs=blobs,
        executor=executor,
        downloads=downloads,
        admission=admission,
        intake=intake,
        new_id=_new_id,
        models=models,
        max_upload_bytes=settings.max_upload_bytes,
    )
    waiter = Waiter(store=jobs, executor=executor, wake_ups=base.wake_ups, gpu_wait_s=settings.gpu_wait_secs or None)
    return _Submission(
        downloads=downloads,
        submissions=submissions,
        resumable_jobs=_resumable_jobs(base, executor, admission, intake, models),
        retries=Retries(store=jobs, blobs=blobs, executor=executor, models=models, max_queue=max_queue),
        waiter=waiter,
        voice_samples=_voice_samples(base, submissions, waiter),
    )


def _resumable_jobs(
    base: _Base, executor: Executor, admission: Admission, intake: JobIntake, models: ServedModels
) -> ResumableJobs:
    settings, stores = base.settings, base.stores
    expiry = timedelta(hours=settings.upload_expiry_hours)
    return ResumableJobs(
        uploads=ResumableUploads(stores.uploads, base.blobs, stores.now, expiry, shared=stores.database.shared),
        admission=admission,
        intake=intake,
        executor=executor,
        wake_ups=base.wake_ups,
        new_id=_new_id,
        models=models,
        max_upload_bytes=settings.max_upload_bytes,
    )


def _voice_samples(base: _Base, submissions: Submissions, waiter: Waiter) -> VoiceSamples:
    store = base.stores.jobs

    def delete(job_id: str) -> None:
        with suppress(JobNotFound, JobUnfinished):
            forget(store, base.blobs, job_id)

    return VoiceSamples(submissions=submissions, waiter=waiter, store=store, forget=delete, new_id=_new_id)


def _enrolment(base: _Base, submission: _Submission) -> Enrolment:
    return Enrolment(
        submissions=submission.submissions, samples=submission.voice_samples, store=base.stores.jobs, new_id=_new_id
    )


def _lifespan(
    base: _Base,
    services: Services,
    submission: _Submission,
    wyoming_listener: socket.socket | None,
    background: Sequence[BackgroundTask],
) -> Lifespan:
    executor, stores, folder = services.executor, base.stores, base.settings.watch_folder
    return Lifespan(
        wake_ups=base.wake_ups,
        executor=executor,
        notices=stores.notices(executor, executor.look_at_models) if stores.notices is not None else None,
        wyoming=WyomingOptions(
            listener=wyoming_listener,
            submissions=submission.submissions,
            waiter=submission.waiter,
            model=services.model,
        ),
        tasks=[
            services.webhooks.run,
            submission.resumable_jobs.run,
            *background,
            *_housekeeping(base),
            *([_watching(base, folder, submission).run] if folder is not None else ()),
        ],
        closers=[services.webhooks.close, submission.downloads.close],
    )


def _housekeeping(base: _Base) -> list[BackgroundTask]:
    settings, stores = base.settings, base.stores
    keep = None if settings.retention_hours is None else timedelta(hours=settings.retention_hours)
    tasks = [Retention(stores.jobs, stores.outbox, stores.uploads, base.blobs, keep, stores.now).run]
    if settings.blob_url is not None:  # what else a server leaves in DATA_DIR goes at its next start
        needed = partial(_needed_recordings, base)
        tasks += [Orphans(base.blobs, needed).run, LocalCopies(base.blobs, needed).run]
    return tasks


def _watching(base: _Base, folder: Path, submission: _Submission) -> Watching:
    """Raises `StartError`."""
    if not folder.is_dir():
        raise StartError(f"WATCH_FOLDER is {str(folder)!r}: there is no such folder, or this user may not see it")
    settings = base.settings

    def stopping() -> bool:
        return base.wake_ups.stopping

    transcriber = FolderTranscriber(submission.submissions, submission.waiter, stopping)
    options = WatchOptions(formats=settings.watch_formats, settle_s=settings.watch_settle_secs)
    watcher = Watcher(folder, transcriber, options, log_report, stopping=stopping)
    return Watching(watcher, poll_s=min(5.0, settings.watch_settle_secs))


def _token_secret(database: Database) -> bytes:
    """Tokens last minutes, so they need not outlive the process, but they must be valid at all servers."""
    return shared_secret(database, "stream tokens") if database.shared else secrets.token_bytes(32)


def _http_options(base: _Base, keys: KeyRing | None, traces: Tracing | None) -> HttpOptions:
    settings, stores = base.settings, base.stores
    shared = SharedBuckets(stores.database, stores.now).take if stores.database.shared else None
    return HttpOptions(
        keys=keys,
        origins=settings.cors_origins or (),
        frame_ancestors=settings.page_frame_ancestors or (),
        docs=settings.docs,
        page=settings.page,
        shared_take=shared,
        audio_origin=base.blobs.client_origin(),
        body_rate=BodyRate(settings.upload_idle_secs, settings.upload_min_bytes_per_sec),
        telemetry=RequestTelemetryOptions(
            emit=base.emit, new_id=_new_id, log=settings.access_log, start_span=traces.start_request if traces else None
        ),
    )


def _needed_recordings(base: _Base, among: Collection[str] | None = None) -> set[str]:
    """The ids of all recordings that belong to a job or an unfinished upload. `among`: as in `with_audio`."""
    pending = {upload.id for upload in base.stores.uploads.pending()}
    return base.stores.jobs.with_audio(ended=base.settings.keep_audio, among=among) | pending


def _new_id() -> str:
    return str(uuid.uuid4())
