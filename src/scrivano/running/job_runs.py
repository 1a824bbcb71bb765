"""The jobs that run: feeds each `JobRun` and carries out its commands, with the store, files, children and engines.

What the runs write when an inbox was handled is one transaction.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from scrivano.domain.errors import (
    DatabaseUnreachable,
    JobNotFound,
    ScrivanoError,
    StorageFull,
    StorageUnreachable,
)
from scrivano.domain.job import Job, JobStatus, Priority
from scrivano.files.blobs import LocalCopy, Recordings
from scrivano.files.prepared import PreparedFiles
from scrivano.processes.child import Child, Exited
from scrivano.processes.messages import MediaMessage, Placed, PreparationFailed, Prepared, Preparing, Queued
from scrivano.running import job_messages, speaker_run
from scrivano.running.chunk_run import ResultCodec
from scrivano.running.engine_pool import BatchLost, BatchOutcome, BatchRefused, BatchResults, EnginePool
from scrivano.running.job_choices import JobDefaults
from scrivano.running.job_messages import Command, Fail, Publish
from scrivano.running.job_queue import JobQueue
from scrivano.running.job_run import Earlier, JobRun
from scrivano.running.job_writes import Write, store_writes
from scrivano.running.media_process import MediaPool, MediaProcess
from scrivano.running.recording_fetches import Fetched, RecordingFetches
from scrivano.running.recordings import is_spent
from scrivano.running.voice_process import VoiceOutcome, VoicePool
from scrivano.running.voice_requests import VoiceRequests, message_of
from scrivano.store.jobs import JobStore
from scrivano.telemetry.events import Emit, JobTranscribed, MediaProcessLost, StageEnded

__all__ = ["JobRunOptions", "JobRuns"]

logger = logging.getLogger(__name__)

# How often a transaction is tried again that was in the way of another one.
CONFLICT_TRIES = 3

# A job is put off by at most so many times `put_off_s`.
LONGEST_PUT_OFF = 6

# A job that has met a full disk in so many attempts fails: its preparation may take the very space that its end needs.
FULL_DISK_TRIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRunOptions:
    """`defaults`: for what a job does not say. `jobs_open`: how many jobs of a model may run at once, not counting less
    urgent ones. `preparations`: media children at work at once, likewise. `lease_s`: another server may take a job over
    when its server has not renewed its lease for so long. `keep_audio`: done and cancelled jobs keep their upload,
    unless they say otherwise. `put_off_s`: after this time a job starts again that has met a full disk, or whose
    recording could not be read."""

    defaults: JobDefaults = field(default_factory=JobDefaults)
    jobs_open: int = 16
    preparations: int = 2
    lease_s: float = 60.0
    keep_audio: bool = False
    put_off_s: float = 5.0


class JobRuns:
    """One run for each job. Whatever goes wrong in one of them ends or puts off that job alone."""

    def __init__(
        self,
        store: JobStore,
        blobs: Recordings,
        prepared: PreparedFiles,
        pool: EnginePool,
        fetches: RecordingFetches,
        media: MediaPool,
        voices: VoicePool,
        queue: JobQueue,
        options: JobRunOptions,
        emit: Emit,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._prepared = prepared
        self._pool = pool
        self._fetches = fetches
        self._media = media
        self._voices = voices
        self._queue = queue
        self._voice_requests = VoiceRequests(store, prepared, voices, enrolled=options.defaults.voices)
        self._options = options
        self._emit = emit
        self._codec = ResultCodec()
        self._runs: dict[str, JobRun] = {}
        # Jobs whose recordings are on their way to a local file, and their attempts.
        self._fetching: dict[str, int] = {}
        self._preparing: dict[str, MediaProcess] = {}
        self._writes: list[tuple[JobRun, Write]] = []
        self._renew_at = 0.0
        # How many attempts at a job have met a full disk.
        self._full_disks: Counter[str] = Counter()
        # How many attempts at a job could not read its recording.
        self._unreachable: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._runs)

    def models(self) -> set[str]:
        """The models of the running jobs."""
        return {run.model for run in self._runs.values()}

    def admitted(self, model: str) -> list[Priority]:
        """The classes of which another job may start. Less urgent jobs do not count against more urgent ones."""
        admitted: list[Priority] = []
        runs: list[JobRun] = []
        for priority in Priority:
            runs += [run for run in self._runs.values() if run.priority is priority]
            preparing = sum(run.job.id in self._preparing or run.job.id in self._fetching for run in runs)
            of_model = sum(run.model == model for run in runs)
            if preparing < self._options.preparations and of_model < self._options.jobs_open:
                admitted.append(priority)
        return admitted

    def start(self, job: Job, model: str) -> None:
        """Run a job that was claimed, with this model."""
        if job.id in self._runs:  # an attempt that has lost its lease
            self.close(job.id, keep_files=True)
        run = JobRun(
            job,
            model,
            self._options.defaults,
            self._earlier(job),
            self._codec,
            time.monotonic(),
            max_chunk_s=self._pool.max_chunk_s(model),
        )
        self._runs[job.id] = run
        self._pool.open_job(job.id, job.attempt)
        logger.info("job running", extra=_about(run))
        self._carry_out(run, run.start)

    def _earlier(self, job: Job) -> Earlier:
        chunks = self._store.chunks(job.id) if job.attempt > 1 else []
        return Earlier(
            chunks=chunks,
            logged=self._store.count_segments(job.id) if chunks else 0,
            side_names={} if job.version_of is None else self._store.side_names(job.version_of),
            merges=self._voice_requests.merges(job, sides=False),
            side_merges=self._voice_requests.merges(job, sides=True),
        )

    def close(self, job_id: str, *, keep_files: bool = False, status: JobStatus | None = None) -> None:
        """Drop a job: its child, its chunks, its files. Unknown ids are fine. `status`: that of the job, if known."""
        run = self._runs.pop(job_id, None)
        self._pool.remove_job(job_id)
        self._voices.remove_job(job_id)
        self._fetching.pop(job_id, None)
        if (process := self._end_preparing(job_id)) is not None:
            self._media.stop(process)
        if keep_files:
            return
        self._queue.remove(job_id)
        self._full_disks.pop(job_id, None)
        self._unreachable.pop(job_id, None)
        if run is not None:
            self._prepared.delete(job_id, run.job.attempt, sides=run.may_split)
        if self._upload_is_spent(job_id, run, status):
            self._blobs.delete(job_id)

    def close_running(self, job_id: str) -> None:
        """Drop a job that has ended, if it runs here."""
        if job_id in self._runs:
            self.close(job_id)

    def abandon(self) -> None:
        """Drop all jobs; the next start of the server, or another server at once, goes on with them."""
        for job_id, run in list(self._runs.items()):
            self.close(job_id, keep_files=True)
            if self._store.shared:
                with suppress(StorageFull, DatabaseUnreachable):  # then the lease runs out
                    self._store.release(job_id, run.job.attempt)

    def renew_leases(self) -> None:
        now = time.monotonic()
        if now < self._renew_at:
            return
        self._renew_at = now + self._options.lease_s / 3
        for job_id, run in list(self._runs.items()):
            if not self._store.renew(job_id, run.job.attempt, self._options.lease_s):
                self.close(job_id)

    # Messages --------------------------------------------------------------------------------------------------

    def recording_fetched(self, fetched: Fetched) -> None:
        """A recording is a local file, or cannot be. That of a job or attempt that was dropped is ignored."""
        job_id, run = fetched.job_id, self._runs.get(fetched.job_id)
        if run is None or self._fetching.get(job_id) != fetched.attempt:
            fetched.close()
            return
        del self._fetching[job_id]
        match fetched.result:
            case FileNotFoundError():
                self._step(run, job_messages.RecordingMissing())
            case StorageFull() as error:
                self._disk_is_full(run, str(error))
            case StorageUnreachable() as error:
                self._recording_is_unreachable(run, error.reason)
            case Exception() as error:
                self._writes.append((run, self._fault(run, error)))
            case source:
                self._carry_out(run, lambda: self._start_media(run, source))

    def media_sent(self, child: Child[MediaMessage], message: MediaMessage) -> None:
        """Messages about jobs that were dropped are ignored."""
        for job_id, process in list(self._preparing.items()):
            if process.child is not child:
                continue
            process.made_progress()
            if isinstance(message, Queued | Placed):
                process.queued()
                continue
            if isinstance(message, Prepared | PreparationFailed):
                self._end_preparing(job_id)
            if isinstance(message, Prepared):
                self._emit(StageEnded(job_id, "prepare", time.monotonic() - process.started_at))
            if isinstance(message, PreparationFailed) and message.code == StorageFull.code:
                self._prepared.disk_space.release()
                self._disk_is_full(self._runs[job_id], message.message)
            elif isinstance(message, PreparationFailed) and message.code == StorageUnreachable.code:
                self._recording_is_unreachable(self._runs[job_id], message.message)
            elif not isinstance(message, Preparing):
                self._step(self._runs[job_id], message)

    def media_exited(self, exited: Exited[MediaMessage]) -> None:
        """A media child, or the fork server, has ended."""
        self._media.forget(exited.child)
        for job_id, process in list(self._preparing.items()):
            if process.child is exited.child:
                self._end_preparing(job_id)
                self._emit(MediaProcessLost(job_id))
                about = _about(self._runs[job_id])
                logger.warning("the media process ended with %s", exited.reason, extra=about)
                self._step(self._runs[job_id], job_messages.MediaDied(exited.reason))

    def postpone(self, seconds: float) -> None:
        """This process was stopped for so long: what media children sent meanwhile is still to be read."""
        for process in self._preparing.values():
            process.postpone(seconds)

    def fail_late_media(self, now_s: float) -> None:
        for job_id, process in list(self._preparing.items()):
            if now_s > process.deadline:
                self._step(self._runs[job_id], job_messages.MediaLate())

    def engine_returned(self, outcome: BatchOutcome) -> None:
        """What became of chunks; those of jobs that were dropped are ignored."""
        match outcome:
            case BatchResults(items, results):
                for item, result in zip(items, results, strict=True):
                    if self._pool.is_open(item):
                        self._step(self._runs[item.job_id], job_messages.ChunkDecoded(item.index, result))
            case BatchRefused(items, message):
                for item in filter(self._pool.is_open, reversed(items)):
                    refused = job_messages.ChunkRefused(item.index, message, alone=len(items) == 1)
                    self._step(self._runs[item.job_id], refused)
            case BatchLost(items, message, killed):
                for item in filter(self._pool.is_open, reversed(items)):
                    lost = job_messages.ChunkLost(item.index, message, alone=len(items) == 1, killed=killed)
                    self._step(self._runs[item.job_id], lost)

    def voices_returned(self, outcome: VoiceOutcome) -> None:
        """What became of a request about voices; those of jobs and attempts that were dropped are ignored."""
        task, run = outcome.task, self._runs.get(outcome.task.job_id)
        if run is not None and run.job.attempt == task.attempt:
            self._step(run, message_of(outcome))

    def decode(self) -> None:
        """Give every engine that waits its next batch."""
        while (batch := self._pool.next_batch()) is not None:
            requests = []
            for item in batch.items:
                path = self._prepared.audio_path(item.job_id, item.attempt)
                requests.append(self._runs[item.job_id].request(item.index, str(path)))
            self._pool.start(batch, requests)

    # Commands --------------------------------------------------------------------------------------------------

    def _step(self, run: JobRun, message: job_messages.Message) -> None:
        self._carry_out(run, lambda: run.step(message, time.monotonic()))

    def _carry_out(self, run: JobRun, step: Callable[[], Sequence[Command]]) -> None:
        """A fault in the handling of one job fails that job alone."""
        try:
            for command in step():
                match command:
                    case job_messages.StartPreparing():
                        self._start_preparing(run)
                    case job_messages.Enqueue(items, first):
                        self._pool.add(run.model, items, first=first)
                    case job_messages.AllEnqueued():
                        self._pool.all_added(run.model, run.job.id, run.chunks_total or 0)
                    case speaker_run.FindVoices():
                        self._voice_requests.find(run.job, command)
                    case speaker_run.NameSpeakers() | speaker_run.GuessSpeakers():
                        self._ask_for_speakers(run, command)
                    case _:
                        self._writes.append((run, command))
        except DatabaseUnreachable as error:
            logger.warning("job put off: %s", error, extra=_about(run))
            self._put_off(run)
        except Exception as error:
            self._writes.append((run, self._fault(run, error)))

    def _start_preparing(self, run: JobRun) -> None:
        self._fetching[run.job.id] = run.job.attempt
        self._fetches.start(run.job)

    def _start_media(self, run: JobRun, source: LocalCopy) -> Sequence[Command]:
        target = self._prepared.audio_path(run.job.id, run.job.attempt)
        self._preparing[run.job.id] = self._media.start(
            run.job,
            source,
            target,
            run.channels,
            max_chunk_s=run.max_chunk_s,
            speakers=run.speakers_given,
            voices=run.finds_voices,
        )
        return ()

    def _end_preparing(self, job_id: str) -> MediaProcess | None:
        """The media child of a job needs the recording no more, if it has one; returns it."""
        process = self._preparing.pop(job_id, None)
        if process is not None:
            process.source.close()
        return process

    def _ask_for_speakers(self, run: JobRun, command: speaker_run.NameSpeakers | speaker_run.GuessSpeakers) -> None:
        try:
            self._voice_requests.tell_apart(run.job, command)
        except OSError as error:
            lost = speaker_run.VoicesLost(None, f"their voices could not be written: {error}", False)
            self._step(run, speaker_run.GuessLost() if isinstance(command, speaker_run.GuessSpeakers) else lost)

    # Writes ----------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Store what the runs have to write, in one transaction."""
        writes = [(run, write) for run, write in self._writes if self._runs.get(run.job.id) is run]
        self._writes.clear()
        if writes:
            self._commit(writes)

    def _commit(self, writes: Sequence[tuple[JobRun, Write]]) -> None:
        try:
            try:
                self._write(writes, tries=CONFLICT_TRIES)
            except StorageFull:
                # Nothing of the first try was kept. Meanwhile the reserve may have been released; the prepared audio of
                # jobs that end is not needed any more.
                self._delete_prepared_of_ended(writes)
                self._write(writes)
        except StorageFull as error:
            for run in _runs_of(writes):
                self._disk_is_full(run, str(error))
        except DatabaseUnreachable as error:
            # Whether it was stored is not known. The next attempt reads what there is.
            for run in _runs_of(writes):
                logger.warning("job put off: %s", error, extra=_about(run))
                self._put_off(run)
        except Exception as error:
            if len(runs := _runs_of(writes)) > 1:  # find the one at fault
                for run in runs:
                    self._commit([(owner, write) for owner, write in writes if owner is run])
            else:
                self._fail(runs[0], self._fault(runs[0], error))

    def _write(self, writes: Sequence[tuple[JobRun, Write]], *, tries: int = 1) -> None:
        started_at = time.monotonic()
        refused, ended = store_writes(self._store, writes, tries=tries)
        for job_id in refused:  # another attempt runs, or the job has ended
            self.close(job_id)
        for run, end in ended:
            self._ended(run, end, started_at)

    def _ended(self, run: JobRun, end: Publish | Fail, assembled_from: float) -> None:
        job_id, now = run.job.id, time.monotonic()
        if isinstance(end, Fail):
            logger.warning("job failed: %s", end.message, extra={**_about(run), "code": end.code})
            self.close(job_id)
            return
        self._emit(StageEnded(job_id, "assemble", now - assembled_from))
        self._emit(JobTranscribed(job_id, end.duration_s, now - run.started_at, whole=not run.resumed))
        logger.info("job done", extra={**_about(run), "duration_secs": end.duration_s, "chunks": run.chunks_total})
        self.close(job_id, status=JobStatus.DONE)

    def _fault(self, run: JobRun, error: Exception) -> Fail:
        logger.error("a fault of the server fails this job", extra=_about(run), exc_info=error)
        code = error.code if isinstance(error, ScrivanoError) else "internal"
        return Fail(code, f"the server could not go on with this job: {error}")

    def _fail(self, run: JobRun, fail: Fail) -> None:
        try:
            self._write([(run, fail)])
        except Exception:  # not even the failure can be stored
            self._put_off(run)

    # A full disk -----------------------------------------------------------------------------------------------

    def _disk_is_full(self, run: JobRun, reason: str) -> None:
        """Try the job again a little later, and fail it if that does not help."""
        job_id = run.job.id
        self._full_disks[job_id] += 1
        if self._full_disks[job_id] < FULL_DISK_TRIES:
            logger.error("job put off: %s", reason, extra=_about(run))
            self._put_off(run)
            return
        self._end_attempt(run)
        advice = f"free some and try the job again (POST /jobs/{job_id}/retry)"
        self._fail(run, Fail(StorageFull.code, f"the server has no disk space for this job; {advice}"))

    def _put_off(self, run: JobRun) -> None:
        """End the attempt; what it has stored remains, and the next one starts a little later."""
        self._end_attempt(run)
        self.put_off(run.job)

    def put_off(self, job: Job, times: int = 1) -> None:
        """The job does not run; start it a little later. `times`: how often it was put off for this reason."""
        self._queue.put_off(job, time.monotonic() + self._options.put_off_s * min(times, LONGEST_PUT_OFF))

    def _recording_is_unreachable(self, run: JobRun, reason: str) -> None:
        """Try the job again, however long that takes: the recording is stored, and others wait for it, too."""
        self._unreachable[run.job.id] += 1
        logger.warning("job put off: %s", reason, extra=_about(run))
        self._end_attempt(run)
        self.put_off(run.job, self._unreachable[run.job.id])

    def _end_attempt(self, run: JobRun) -> None:
        self.close(run.job.id, keep_files=True)
        with suppress(OSError):
            self._prepared.delete(run.job.id, run.job.attempt)  # it is made again, and may be what filled the disk

    def _delete_prepared_of_ended(self, writes: Sequence[tuple[JobRun, Write]]) -> None:
        for run, write in writes:
            if isinstance(write, Publish | Fail):
                with suppress(OSError):
                    self._prepared.delete(run.job.id, run.job.attempt)

    # A job's end -----------------------------------------------------------------------------------------------

    def _upload_is_spent(self, job_id: str, run: JobRun | None, status: JobStatus | None) -> bool:
        try:
            job = run.job if run is not None and status is not None else self._store.get_job(job_id)
        except JobNotFound:
            return True
        return is_spent(job, status or job.status, self._options.keep_audio)


def _runs_of(writes: Sequence[tuple[JobRun, Write]]) -> list[JobRun]:
    return list({run.job.id: run for run, _ in writes}.values())


def _about(run: JobRun) -> dict[str, Any]:
    return {"job_id": run.job.id, "attempt": run.job.attempt}
