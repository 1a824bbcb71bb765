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
from scrivano.server.stores import open_stores
from scrivano.server.watching import Watching, log_report
from scrivano.store.database import Database
from scrivano.store.dispatchers import DispatcherStore
from scrivano.store.jobs import JobStore
from scrivano.store.notices import Notices
from scrivano.store.outbox import Outbox
from scrivano.store.sharing import SharedBuckets, shared_secret
from scrivano.store.uploads import UploadStore
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
    runner: Executor
    wake_ups: WakeUps
    uploading: Uploading
    model: str

    def prepare_shutdown(self) -> None:
        """Refuse the uploads that are arriving, end the calls that wait for a job, and start no new batch: batches may
        end while the open requests end."""
        self.uploading.stop()
        self.wake_ups.stop()
        self.runner.drain()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    """What is stored, in DATA_DIR unless a setting says otherwise. See `Stores`."""

    database: Database
    now: Callable[[], datetime]
    outbox: Outbox
    uploads: UploadStore
    jobs: JobStore
    dispatchers: DispatcherStore | None
    notices: Callable[[Executor, Callable[[], None]], Notices] | None
    blobs: Blobs
    prepared: PreparedFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class _Submission:
    """How recordings become jobs, and callers wait for them."""

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
    metrics, history = Metrics(), History(_now)
    listeners = [metrics.emit, history.emit]
    emit = emit_to(listeners if traces is None else [*listeners, traces.emit])
    wake_ups = WakeUps()
    data = _open_data_dir(settings, wake_ups, emit, cleanup)
    keys = KeyRing(settings.api_keys_file) if settings.api_keys_file is not None else None
    # A server with keys has clients that are not trusted with the private network.
    address_policy = AddressPolicy.of(settings.allow_networks, private_by_default=keys is None)
    webhooks = _webhooks(settings, data, wake_ups, GuardedTransport(address_policy), emit)
    model_log = ModelEventLog(lambda: wake_ups.fire(MODEL))

    def announce(type: str, event: Mapping[str, Any]) -> None:
        model_log.append(type, event)
        webhooks.announce(type, event)

    device, models = choose_device(settings, memory), served_models(settings, memory)
    runner = _executor(settings, options, data, device, models, announce, emit)
    metrics.add(gauges(data.jobs, data.outbox, runner, memory, device.gpus, settings.data_dir))

    downloads = Downloads(GuardedTransport(address_policy), settings.fetch_timeout_secs)
    submission = _submission(settings, data, runner, webhooks, downloads, wake_ups, emit, models)
    services = Services(
        database=data.database,
        store=data.jobs,
        outbox=data.outbox,
        blobs=data.blobs,
        runner=runner,
        webhooks=webhooks,
        submissions=submission.submissions,
        resumable_jobs=submission.resumable_jobs,
        retries=submission.retries,
        waiter=submission.waiter,
        long_calls=LongCalls(waiter=submission.waiter, keepalive_after_s=settings.sync_keepalive_secs),
        wake_ups=wake_ups,
        enrolment=_enrolment(data, submission) if settings.voices else None,
        voice_samples=submission.voice_samples,
        model_log=model_log,
        stream_tokens=StreamTokens(_token_secret(data.database), data.now),
        metrics=metrics,
        history=history,
        read_gpu=lambda: memory.read(settings.cuda_device[0]),
        models=models,
    )
    sampling = Sampling(history=history, store=data.jobs, runner=runner, memory=memory, gpu=settings.cuda_device[0])
    tasks = [webhooks.run, sampling.run, submission.resumable_jobs.run, *_housekeeping(settings, data)]
    if settings.watch_folder is not None:
        tasks.append(_watching(settings, settings.watch_folder, submission, wake_ups).run)
    lifespan = Lifespan(
        wake_ups=wake_ups,
        runner=runner,
        notices=data.notices(runner, runner.look_at_models) if data.notices is not None else None,
        wyoming=WyomingOptions(
            listener=options.wyoming_listener,
            submissions=submission.submissions,
            waiter=submission.waiter,
            model=models[0],
        ),
        tasks=tasks if keys is None else [*tasks, keys.run],
        closers=[webhooks.close, downloads.close],
    )
    http_options = _http_options(settings, data, keys, emit, traces)
    return ServerParts(
        app=create_app(services, lifespan, http_options),
        runner=runner,
        wake_ups=wake_ups,
        uploading=http_options.uploading,
        model=models.names[0],
    )


def _webhooks(
    settings: Settings, data: _Data, wake_ups: WakeUps, transport: GuardedTransport, emit: Emit
) -> WebhookSender:
    options = SenderOptions(
        now=data.now,
        new_id=_new_id,
        secrets=[secret.get_secret_value() for secret in settings.webhook_secret or ()],
        emit=emit,
        poll_s=SHARED_POLL_S if data.database.shared else 60.0,
    )
    return WebhookSender(data.jobs, data.outbox, wake_ups, transport, job_json, options)


def _executor(
    settings: Settings,
    options: BuildOptions,
    data: _Data,
    device: Device,
    models: ServedModels,
    announce: PublishModelEvent,
    emit: Emit,
) -> Executor:
    if settings.executor == "dispatcher":
        assert data.dispatchers is not None
        return RemoteExecutor(models, data.jobs, data.dispatchers, data.blobs, announce, keep_audio=settings.keep_audio)
    commands = options.commands
    children = LocalChildren(
        media=commands.media,
        engine=commands.engine,
        speakers=(*commands.speakers, *(("--gpu", str(device.gpus[0])) if device.gpus else ())),
        environment={"ENGINE_MALLOC": settings.engine_malloc},
    )
    return Runner(
        data.jobs,
        data.blobs,
        data.prepared,
        children,
        options.memory,
        announce,
        data.now,
        runner_options(settings, device, models),
        emit,
        on_broken=options.on_runner_failed,
    )


def _submission(
    settings: Settings,
    data: _Data,
    runner: Executor,
    webhooks: WebhookSender,
    downloads: Downloads,
    wake_ups: WakeUps,
    emit: Emit,
    models: ServedModels,
) -> _Submission:
    admission = Admission(
        store=data.jobs,
        runner=runner,
        webhooks=webhooks,
        models=models,
        queue_always=settings.admission == "queue",
        max_queue=settings.max_queue,
        gpu_poll_interval_secs=settings.gpu_poll_interval_secs,
    )
    intake = JobIntake(
        store=data.jobs, blobs=data.blobs, runner=runner, emit=emit, now=data.now, max_queue=settings.max_queue
    )
    submissions = Submissions(
        blobs=data.blobs,
        runner=runner,
        downloads=downloads,
        admission=admission,
        intake=intake,
        new_id=_new_id,
        models=models,
        max_upload_bytes=settings.max_upload_bytes,
    )
    resumable_jobs = ResumableJobs(
        uploads=ResumableUploads(
            data.uploads,
            data.blobs,
            data.now,
            timedelta(hours=settings.upload_expiry_hours),
            shared=data.database.shared,
        ),
        admission=admission,
        intake=intake,
        runner=runner,
        wake_ups=wake_ups,
        new_id=_new_id,
        models=models,
        max_upload_bytes=settings.max_upload_bytes,
    )
    retries = Retries(store=data.jobs, blobs=data.blobs, runner=runner, models=models, max_queue=settings.max_queue)
    waiter = Waiter(store=data.jobs, runner=runner, wake_ups=wake_ups, gpu_wait_s=settings.gpu_wait_secs or None)

    def delete(job_id: str) -> None:
        with suppress(JobNotFound, JobUnfinished):
            forget(data.jobs, data.blobs, job_id)

    samples = VoiceSamples(submissions=submissions, waiter=waiter, store=data.jobs, forget=delete, new_id=_new_id)
    return _Submission(
        submissions=submissions,
        resumable_jobs=resumable_jobs,
        retries=retries,
        waiter=waiter,
        voice_samples=samples,
    )


def _enrolment(data: _Data, submission: _Submission) -> Enrolment:
    return Enrolment(
        submissions=submission.submissions,
        samples=submission.voice_samples,
        store=data.jobs,
        new_id=_new_id,
    )


def _housekeeping(settings: Settings, data: _Data) -> list[Callable[[], Coroutine[Any, Any, None]]]:
    keep = None if settings.retention_hours is None else timedelta(hours=settings.retention_hours)
    tasks = [Retention(data.jobs, data.outbox, data.uploads, data.blobs, keep, data.now).run]
    if settings.blob_url is not None:  # what else a server leaves in DATA_DIR goes at its next start
        needed = partial(_needed_recordings, settings, data)
        tasks += [Orphans(data.blobs, needed).run, LocalCopies(data.blobs, needed).run]
    return tasks


def _watching(settings: Settings, folder: Path, submission: _Submission, wake_ups: WakeUps) -> Watching:
    """Raises `StartError`."""
    if not folder.is_dir():
        raise StartError(f"WATCH_FOLDER is {str(folder)!r}: there is no such folder, or this user may not see it")

    def stopping() -> bool:
        return wake_ups.stopping

    transcriber = FolderTranscriber(submission.submissions, submission.waiter, stopping)
    options = WatchOptions(formats=settings.watch_formats, settle_s=settings.watch_settle_secs)
    watcher = Watcher(folder, transcriber, options, log_report, stopping=stopping)
    return Watching(watcher, poll_s=min(5.0, settings.watch_settle_secs))


def _token_secret(database: Database) -> bytes:
    """Tokens last minutes, so they need not outlive the process, but they must be valid at all servers."""
    return shared_secret(database, "stream tokens") if database.shared else secrets.token_bytes(32)


def _http_options(
    settings: Settings, data: _Data, keys: KeyRing | None, emit: Emit, traces: Tracing | None
) -> HttpOptions:
    return HttpOptions(
        keys=keys,
        origins=settings.cors_origins or (),
        frame_ancestors=settings.page_frame_ancestors or (),
        docs=settings.docs,
        page=settings.page,
        shared_take=SharedBuckets(data.database, data.now).take if data.database.shared else None,
        audio_origin=data.blobs.client_origin(),
        body_rate=BodyRate(settings.upload_idle_secs, settings.upload_min_bytes_per_sec),
        telemetry=RequestTelemetryOptions(
            emit=emit, new_id=_new_id, log=settings.access_log, start_span=traces.start_request if traces else None
        ),
    )


def _open_data_dir(settings: Settings, wake_ups: WakeUps, emit: Emit, cleanup: ExitStack) -> _Data:
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
    return _Data(
        database=stores.database,
        now=stores.now,
        outbox=stores.outbox,
        uploads=stores.uploads,
        jobs=stores.jobs,
        dispatchers=stores.dispatchers,
        notices=stores.notices,
        blobs=blobs,
        prepared=prepared,
    )


def _needed_recordings(settings: Settings, data: _Data, among: Collection[str] | None = None) -> set[str]:
    """The ids of all recordings that belong to a job or an unfinished upload. `among`: as in `with_audio`."""
    pending = {upload.id for upload in data.uploads.pending()}
    return data.jobs.with_audio(ended=settings.keep_audio, among=among) | pending


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())
