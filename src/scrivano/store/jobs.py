"""Jobs, each with its chunks, event log and transcript: the single source of truth about them.

Any thread may call. A method returns, and a hook is called, after the commit (inside `JobStore.transaction`: after that
of the block): from then on a power cut loses nothing.
A method that writes may raise `StorageFull`; with PostgreSQL, every method may raise `DatabaseUnreachable`.

A run of a job is an *attempt*: `claim` numbers it, and every write of the runner carries the number. If another attempt
has started, or the job has ended, such a write changes nothing and returns False or None.

A method that takes an `owner` (the id of an API key) sees only the jobs of that owner; None: all jobs.

`outbox` and `uploads` store the rest of the database; the other modules run within the transactions of this one. The
reading methods are in `job_queries`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Update, delete, insert, select, update

from scrivano.auth.keys import UNLIMITED, Limits
from scrivano.domain.chunk import Chunk
from scrivano.domain.errors import (
    JobNotRetriable,
    JobTerminal,
    JobUnfinished,
    TooManyVoices,
    VoiceNotFound,
)
from scrivano.domain.job import NEXT_STATUSES, Job, JobStatus, Priority
from scrivano.domain.recording import Waveform
from scrivano.domain.speakers import Diarization, NamedVoice
from scrivano.store import (
    chunk_rows,
    diarizations,
    idempotency,
    job_rows,
    quotas,
    search,
    transcript_edits,
    uploads,
    versions,
    voices,
)
from scrivano.store.chunk_rows import StoredChunk
from scrivano.store.database import Database
from scrivano.store.decoded import Decoded, store_decoded
from scrivano.store.event_log import EventLog
from scrivano.store.idempotency import RequestIdentity
from scrivano.store.job_queries import JobQueries
from scrivano.store.outbox import Outbox
from scrivano.store.tables import events, jobs, results, waveforms
from scrivano.store.voices import EnrolledVoice

__all__ = ["Decoded", "JobStore"]

# Of an API key; each is compared with the speakers of a job.
MOST_VOICES = 200

_ADD_JOB, _ADD_RESULT = insert(jobs), insert(results)


class JobStore(JobQueries):
    """The end of a job and its webhook deliveries, which go into `outbox`, are one transaction.

    `on_change` is called with the id of a job whose event log has grown, `on_end` with a job that is done, failed or
    cancelled, `on_queued` when a job waits to be claimed. They are called after the commit, on the thread that wrote:
    they must return at once and never raise.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        now: Callable[[], datetime],
        *,
        on_change: Callable[[str], None] = lambda job_id: None,
        on_end: Callable[[Job], None] = lambda job: None,
        on_queued: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_change = on_change
        self._on_end = on_end
        self._on_queued = on_queued
        super().__init__(database, now)
        self._outbox = outbox
        # Hooks that wait for the commit of the running `transaction`; only its thread touches them.
        self._after_commit: list[Callable[[], None]] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """The calls that this thread makes in the block become one transaction; hooks are called after its commit."""
        try:
            with self._database.write():
                yield
            hooks = list(self._after_commit)
        finally:
            self._after_commit.clear()
        for hook in hooks:
            hook()

    def _committed(self, hook: Callable[[], None]) -> None:
        """Call a hook: now, or after the commit of the transaction that this thread is in."""
        if self._database.in_transaction:
            self._after_commit.append(hook)
        else:
            hook()

    # Jobs: accepting, claiming ---------------------------------------------------------------------------------

    def add_job(
        self,
        job: Job,
        *,
        audio_sha256: str,
        audio_bytes: int,
        idempotency_key: str | None = None,
        duplicates_since: datetime | None = None,
        max_queue: int | None = None,
        limits: Limits = UNLIMITED,
        upload_id: str | None = None,
        known_voices: Sequence[NamedVoice] = (),
    ) -> str:
        """Store a new job whose audio is already in its final place, fsynced; returns its id.

        With the key of an earlier job nothing is stored: that job's id is returned, or `KeyReused` raised if its
        recording or parameters differ. (The file name does not matter.) Without a key, and with `duplicates_since`, the
        same holds for a job that was accepted since then for the same recording and parameters, unless it failed or was
        cancelled. Both consider jobs of the same owner only, so that no caller can find out what others have sent.

        Raises `QueueFull` if `max_queue` jobs are waiting already, and `LimitReached` if the owner has reached one of
        its `limits`.

        With `upload_id` that upload becomes the job, once. Raises `UploadNotFound`.

        `known_voices`: the speakers are compared with them.
        """
        row = {column.name: getattr(job, column.name) for column in job_rows.COLUMNS}
        row |= {"options": dict(job.options), "audio_sha256": audio_sha256, "audio_bytes": audio_bytes}
        identity = idempotency.identify(job, audio_sha256, idempotency_key)
        with self._database.write() as db:
            if upload_id is not None and (job_id := uploads.job_of(db, upload_id, self._now())) is not None:
                return job_id
            self._lock_admission(db, identity, job.owner, duplicates_since, max_queue, limits)
            earlier = idempotency.find_earlier(db, identity, job.owner, duplicates_since)
            if earlier is None:
                quotas.check_queue(db, max_queue)
                quotas.check_owner(db, job.owner, limits, self._now())
                db.execute(_ADD_JOB, row | identity._asdict())
                voices.add_known(db, job.id, known_voices)
            if upload_id is not None:
                uploads.set_job(db, upload_id, earlier or job.id)
        if earlier is None:
            self._committed(self._on_queued)
        return earlier or job.id

    def _lock_admission(
        self,
        db: Connection,
        identity: RequestIdentity | None,
        owner: str | None,
        duplicates_since: datetime | None,
        max_queue: int | None,
        limits: Limits,
    ) -> None:
        """Of two equal requests, the second sees the first; two requests never get the same last place."""
        names = []
        if identity is not None and identity.idempotency_key is not None:
            names.append(f"key {identity.idempotency_key}")
        elif identity is not None and duplicates_since is not None:
            names.append(f"request {identity.request_sha256}")
        if max_queue is not None:
            names.append("queue")
        if owner is not None and limits != UNLIMITED:
            names.append(f"owner {owner}")
        self._database.lock(db, *names)

    def claim(self, job_id: str, lease_secs: float) -> Job | None:
        """Start the next attempt at a job that waits, or whose attempt has lost its lease; else None.

        The chunks and results of earlier attempts stay.
        """
        now = self._now()
        lease = {"_job_id": job_id, "_now": now, "_until": now + timedelta(seconds=lease_secs)}
        with self._database.write() as db:
            return job_rows.find(db, job_id) if db.execute(job_rows.CLAIM, lease).rowcount else None

    def claim_next(self, models: Collection[str | None], priority: Priority, lease_secs: float) -> Job | None:
        """Start the next attempt at one of the jobs that may be claimed, whichever no other server is claiming now.

        First one whose attempt has lost its lease, then the oldest that waits, for one of these models; None: for the
        default one.
        """
        now = self._now()
        times = {"_now": now, "_until": now + timedelta(seconds=lease_secs)}
        with self._database.write() as db:
            for state in (job_rows.ABANDONED, jobs.c.status == JobStatus.QUEUED):
                query = select(jobs.c.id).where(state, job_rows.of_class(models, priority))
                query = query.order_by(jobs.c.created_at, jobs.c.id).limit(1).with_for_update(skip_locked=True)
                job_id: str | None = db.scalar(query, times)
                if job_id is not None and db.execute(job_rows.CLAIM, {"_job_id": job_id, **times}).rowcount:
                    return job_rows.find(db, job_id)
        return None

    def release_leases(self) -> int:
        """End every lease. For the start, when no other process can hold one: the data folder is locked.

        Returns how many jobs were running.
        """
        with self._database.write() as db:
            query = update(jobs).where(jobs.c.status == JobStatus.RUNNING).values(lease_expires_at=None)
            return db.execute(query).rowcount

    def renew(self, job_id: str, attempt: int, lease_secs: float) -> bool:
        with self._database.write() as db:
            return job_rows.set_columns(
                db, job_id, attempt, lease_expires_at=self._now() + timedelta(seconds=lease_secs)
            )

    def release(self, job_id: str, attempt: int) -> bool:
        """An attempt gives up its lease without ending its job, so that the next attempt need not wait for it."""
        with self._database.write() as db:
            return job_rows.set_columns(db, job_id, attempt, lease_expires_at=None)

    # Chunks ----------------------------------------------------------------------------------------------------

    def add_chunks(
        self,
        job_id: str,
        attempt: int,
        plan: Sequence[Chunk],
        *,
        duration_secs: float | None = None,
        restarts_log: bool = False,
    ) -> list[StoredChunk] | None:
        """Store the next chunks of the plan, ascending; returns them as stored.

        `duration_secs`: seconds as the container claims. A chunk that an earlier attempt cut in the same way keeps its
        result. From the first one that differs, the earlier plan is void: that chunk and all later ones are dropped,
        and the plan is no longer complete. `restarts_log`: their text is in the event log, which starts again.
        """
        with self._database.write() as db:
            job = job_rows.held(db, job_id, attempt)
            if job is None:
                return None
            stored = chunk_rows.read(db, job_id, [chunk.index for chunk in plan])
            same = chunk_rows.common_start(plan, stored)
            values: dict[str, object] = {}
            if duration_secs is not None and duration_secs != job.duration_secs:
                values["duration_secs"] = duration_secs
            if same < len(plan):
                chunk_rows.replace_from(db, job_id, plan[same:], earlier_plan=same < len(stored))
                values |= {} if job.chunks_total is None else {"chunks_total": None}
            if values:
                job_rows.set_columns(db, job_id, attempt, **values)
            if restarts_log:
                self._restart_log(db, job)
        if restarts_log:
            self._changed(job_id)
        return stored[:same] + [StoredChunk(chunk, None, 0) for chunk in plan[same:]]

    def plan_complete(
        self,
        job_id: str,
        attempt: int,
        *,
        chunks_total: int,
        duration_secs: float,
        audio: Mapping[str, Any] | None = None,
        warnings: Sequence[Mapping[str, Any]] = (),
        waveform: Waveform | None = None,
    ) -> bool:
        """No more chunks follow; those of a longer earlier plan are dropped. `duration_secs`: decoded seconds.

        `audio` and `warnings`: see `Job`. `waveform` takes the place of that of an earlier attempt.
        """
        values = {"chunks_total": chunks_total, "duration_secs": duration_secs}
        with self._database.write() as db:
            accepted = job_rows.set_columns(db, job_id, attempt, **values, audio=audio, warnings=list(warnings))
            if accepted:
                chunk_rows.drop_from(db, job_id, chunks_total)
                db.execute(delete(waveforms).where(waveforms.c.job_id == job_id))
                if waveform is not None:
                    row = {"job_id": job_id, "peak_secs": waveform.peak_secs, "peaks": waveform.peaks}
                    db.execute(insert(waveforms), row)
            return accepted

    def store_voices(self, job_id: str, attempt: int, index: int, voices: bytes) -> bool:
        """Store the voices that were found in a chunk."""
        with self._database.write() as db:
            return job_rows.held(db, job_id, attempt) is not None and chunk_rows.set_voices(db, job_id, index, voices)

    def store_guess(self, job_id: str, attempt: int, found: Diarization, segments: Sequence[str | None]) -> bool:
        """Store the speakers so far, and an event `speakers` about them. `segments`: the speaker of each segment in the
        event log, in order."""
        speakers = [asdict(speaker) for speaker in found.speakers]
        with self._database.write() as db:
            job = job_rows.held(db, job_id, attempt)
            if job is not None:
                job_rows.set_columns(db, job_id, attempt, speakers=speakers)
                diarizations.add(db, job_id, replace(found, centres={}))
                self._append(db, job, "speakers", {"speakers": speakers, "segments": list(segments)})
        if job is not None:
            self._changed(job_id)
        return job is not None

    def add_voice(self, voice_id: str, owner: str | None, name: str, centre: bytes) -> EnrolledVoice:
        """Enrol a voice. Raises `TooManyVoices`."""
        voice = EnrolledVoice(id=voice_id, owner=owner, name=name, centre=centre, created_at=self._now())
        with self._database.write() as db:
            self._database.lock(db, f"voices {owner}")
            if voices.count(db, owner) >= MOST_VOICES:
                raise TooManyVoices(MOST_VOICES)
            voices.add(db, voice)
        return voice

    def delete_voice(self, voice_id: str, sees: str | None) -> None:
        """`sees`: as in `Caller`. Raises `VoiceNotFound`."""
        with self._database.write() as db:
            if not voices.drop(db, voice_id, sees):
                raise VoiceNotFound(voice_id)

    def change_speakers(
        self, job_id: str, *, names: Mapping[str, str | None], merge: Mapping[str, str], owner: str | None = None
    ) -> Job:
        """Merge speakers (one into another, by id), then name them; None and blank: the first name again.

        Raises `JobNotFound`, `NoSpeakers`, and `BadRequest` for an id that the job does not have.
        """
        with self._database.write() as db:
            same = transcript_edits.change_speakers(db, job_rows.find(db, job_id, owner, lock=True), names, merge)
            changed_job = job_rows.find(db, job_id)
        for one in same:
            self._changed(one)
        return changed_job

    def store_results(self, batch: Sequence[Decoded]) -> list[bool]:
        """Store the results of a batch in one transaction; returns which were accepted, in the order given.

        A result is refused alone: if its attempt has lost its lease, or its chunk is no longer in the plan.
        """
        with self._database.write() as db:
            running = job_rows.running(db, {decoded.job_id for decoded in batch})
            log = EventLog(db, running.values(), self._now())
            accepted = [store_decoded(db, running, log, decoded) for decoded in batch]
            log.write()
        spoke = [
            item
            for item, stored in zip(batch, accepted, strict=True)
            if stored and (item.progress or item.segments or item.detected)
        ]
        for job_id in {item.job_id for item in spoke}:
            self._changed(job_id)
        return accepted

    def count_crashes(self, suspects: Sequence[tuple[str, int, int]]) -> list[int]:
        """Count one more crash for each chunk `(job_id, attempt, index)` over which an engine died.

        Returns their counts; 0 if the attempt no longer runs, or the chunk is gone.
        """
        with self._database.write() as db:
            return [
                chunk_rows.count_crash(db, job_id, index) if job_rows.held(db, job_id, attempt) else 0
                for job_id, attempt, index in suspects
            ]

    # A job's end -----------------------------------------------------------------------------------------------

    def publish_done(
        self,
        job_id: str,
        attempt: int,
        segments_json: bytes,
        *,
        language: str | None,
        duration_secs: float,
        decoded_by: str | None = None,
        quality: Mapping[str, Any] | None = None,
        text: str = "",
        speakers: Diarization | None = None,
        warnings: Sequence[Mapping[str, Any]] = (),
    ) -> bool:
        """Store the transcript, the status, the final event and the webhook delivery, in one transaction.

        `segments_json`: the JSON array that is served from now on; `text`: its text, to be searched. `quality`: see
        `Job`. `language` None keeps the known one. `warnings` are added to those that the job has. A version becomes
        what its job shows, unless that shows a newer version.
        """
        values: dict[str, object] = {"status": JobStatus.DONE, "progress": 100, "duration_secs": duration_secs}
        values |= {"decoded_by": decoded_by, "quality": quality}
        if language is not None:
            values["language"] = language
        with self._database.write() as db:
            if speakers is not None:
                values["speakers"] = [asdict(speaker) for speaker in speakers.speakers]
            if warnings:
                values["warnings"] = [*(job_rows.find(db, job_id).warnings or ()), *warnings]
            job = self._finish(db, job_rows.RUNNING, {"_job_id": job_id, "_attempt": attempt}, values)
            if job is not None:
                db.execute(_ADD_RESULT, {"job_id": job_id, "segments": segments_json})
                if speakers is not None:
                    diarizations.add(db, job_id, speakers)
                search.store_text(db, job_id, text)
                if job.version_of is not None and versions.promote(db, job):
                    search.store_text(db, job.version_of, text)
        return self._finished(job)

    def publish_failed(self, job_id: str, attempt: int | None, code: str, message: str) -> bool:
        """End the job with an error. `attempt` None: a job that still waits."""
        fence = job_rows.QUEUED if attempt is None else job_rows.RUNNING
        with self._database.write() as db:
            values = {"status": JobStatus.FAILED, "error": message, "error_code": code}
            job = self._finish(db, fence, {"_job_id": job_id, "_attempt": attempt}, values)
        return self._finished(job)

    def edit_segment(
        self, job_id: str, index: int, edit: Callable[[Mapping[str, Any]], dict[str, Any]], *, owner: str | None = None
    ) -> dict[str, Any]:
        """Change one segment of a transcript, a JSON object, and store it; returns it as it is now.

        Raises `JobNotFound`, `TranscriptNotReady`, `SegmentNotFound`.
        """
        with self._database.write() as db:
            return transcript_edits.edit_segment(db, job_rows.find(db, job_id, owner, lock=True), index, edit)

    def cancel(self, job_id: str, *, owner: str | None = None) -> Job:
        """End a job that waits or runs, whatever attempt runs it. Raises `JobNotFound`, `JobTerminal`."""
        with self._database.write() as db:
            fence = job_rows.CANCELLABLE.where(job_rows.owned_by(owner))
            job = self._finish(db, fence, {"_job_id": job_id}, {"status": JobStatus.CANCELLED})
            if job is None:
                raise JobTerminal(job_id, job_rows.find(db, job_id, owner).status)
        self._finished(job)
        return job

    def retry(
        self,
        job_id: str,
        *,
        owner: str | None = None,
        limits: Limits = UNLIMITED,
        changes: Mapping[str, Any] | None = None,
    ) -> Job:
        """Queue a failed or cancelled job for another attempt. Its audio must still be there.

        `changes`: columns that are different from now on: `task`, `language`, `options`, `webhook_url`.

        Its event log starts again, at the next number. A webhook that was not yet called for its end is called for the
        next one. Raises `JobNotFound`, `JobNotRetriable`, and `LimitReached` like `add_job`.
        """
        may = jobs.c.status.in_([status for status in JobStatus if JobStatus.QUEUED in NEXT_STATUSES[status]])
        with self._database.write() as db:
            unknown = dict.fromkeys(job_rows.OUTCOME)
            values = {"status": JobStatus.QUEUED, "progress": 0, **unknown, **(changes or {})}
            key = job_rows.find(db, job_id, owner).owner
            self._lock_admission(db, None, key, None, None, limits)
            quotas.check_owner(db, key, limits, self._now())
            if not db.execute(update(jobs).where(jobs.c.id == job_id, may).values(values)).rowcount:
                status = job_rows.find(db, job_id).status
                raise JobNotRetriable(f"job {job_id} is {status}; only failed and cancelled jobs can be tried again")
            job = job_rows.find(db, job_id)
            self._restart_log(db, job)
            self._outbox.cancel(db, job_id, "the job is tried again")
        self._changed(job_id)
        self._committed(self._on_queued)
        return job

    def add_version(
        self,
        job_id: str,
        changes: Mapping[str, Any],
        *,
        owner: str | None = None,
        max_queue: int | None = None,
        limits: Limits = UNLIMITED,
    ) -> Job:
        """Queue another transcription of a job that is done; `changes` as in `retry`. Its audio must still be there.

        Until the new version is done, the job stays as it is. Raises `JobNotFound`, `JobNotRetriable` for a job that is
        not done or is a version itself, and `QueueFull`, `LimitReached` like `add_job`.
        """
        with self._database.write() as db:
            job = job_rows.find(db, job_id, owner, lock=True)
            if job.status is not JobStatus.DONE or job.version_of is not None:
                raise JobNotRetriable(f"job {job_id} is {job.status}; only jobs that are done have versions")
            self._lock_admission(db, None, job.owner, None, max_queue, limits)
            quotas.check_queue(db, max_queue)
            quotas.check_owner(db, job.owner, limits, self._now())
            version = job_rows.find(db, versions.add(db, job, changes, self._now()))
        self._committed(self._on_queued)
        return version

    def purge(self, job_id: str) -> None:
        """Delete an ended job: its row, events, transcript, versions, deliveries and idempotency key. `Blobs` has its
        files.

        Raises `JobNotFound`, `JobUnfinished`, `VersionOfJob`.
        """
        with self._database.write() as db:
            versions.check_purgeable(db, job_rows.find(db, job_id, lock=True))
            versions.purge(db, job_id)
            # The foreign keys cascade to everything that belongs to the job.
            if not db.execute(delete(jobs).where(jobs.c.id == job_id, job_rows.ENDED)).rowcount:
                raise JobUnfinished(job_id, job_rows.find(db, job_id).status)

    def _finish(
        self, db: Connection, fence: Update, which: Mapping[str, object], values: Mapping[str, object]
    ) -> Job | None:
        """The only place where a job ends: its row, its chunks, its last event, its webhook delivery."""
        now, job_id = self._now(), str(which["_job_id"])
        # The speakers so far were a guess.
        values = {"speakers": None, **values, "completed_at": now, "lease_expires_at": None}
        if not db.execute(fence, {**which, **values}).rowcount:
            return None
        diarizations.drop(db, job_id)
        job = job_rows.find(db, job_id)
        if job.owner is not None and job.duration_secs:
            self._database.lock(db, f"usage {job.owner}")
            quotas.add_usage(db, job.owner, job.duration_secs * job.progress / 100, now)
        chunk_rows.drop_from(db, job_id, 0)
        if job.status is JobStatus.FAILED:
            self._append(db, job, "error", {"message": job.error, "code": job.error_code})
        else:
            self._append(db, job, "done", {})
        self._outbox.enqueue(db, job, now)
        return job

    def _finished(self, job: Job | None) -> bool:
        if job is None:
            return False
        self._changed(job.id)
        if job.webhook_url is not None:
            self._committed(self._outbox.on_delivery)
        self._committed(partial(self._on_end, job))
        return True

    def _changed(self, job_id: str) -> None:
        self._committed(partial(self._on_change, job_id))

    # Events ----------------------------------------------------------------------------------------------------

    def _restart_log(self, db: Connection, job: Job) -> None:
        """The event `retry` in place of all others; the language of the job follows it, if it is still known."""
        of_job = events.c.job_id == job.id
        told = select(events.c.data).where(of_job, events.c.type == "language").order_by(events.c.seq.desc()).limit(1)
        language = db.execute(told).scalar()
        seq = self._append(db, job, "retry", {})
        db.execute(delete(events).where(of_job, events.c.seq < seq))
        if language is not None and language["language"] == job.language:
            self._append(db, job, "language", language)

    def _append(self, db: Connection, job: Job, kind: str, data: Mapping[str, Any]) -> int:
        """Returns the `seq` of the event."""
        log = EventLog(db, [job], self._now())
        seq = log.add(job.id, kind, data)
        log.write()
        return seq
