"""What is read of jobs. Any thread may call.

A method that takes an `owner` (the id of an API key) sees only the jobs of that owner; None: all jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, exists, func, or_, select, true

from scrivano.auth.keys import UNLIMITED, Limits
from scrivano.domain.job import VOICE_SAMPLE, Job, JobStatus, Priority
from scrivano.domain.job_event import JobEvent
from scrivano.domain.recording import Waveform
from scrivano.domain.speakers import NamedVoice, RememberedSpeaker, Speaker, Turn, default_name
from scrivano.store import chunk_rows, diarizations, job_rows, quotas, search, versions, voices
from scrivano.store.chunk_rows import StoredChunk
from scrivano.store.database import Database
from scrivano.store.event_log import last_seqs
from scrivano.store.tables import events, jobs, results, waveforms
from scrivano.store.voices import EnrolledVoice

__all__ = ["JobQueries"]

# Databases limit the parameters of a query.
IDS_A_QUERY = 500


class JobQueries:
    """Each method is one read, of what is committed."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def get_job(self, job_id: str, *, owner: str | None = None) -> Job:
        """Raises `JobNotFound`."""
        with self._database.read() as db:
            return job_rows.find(db, job_id, owner)

    def get_result(self, job_id: str) -> bytes | None:
        """The `segments` of the job as JSON bytes; None unless it is done (or if there is no such job)."""
        with self._database.read() as db:
            return db.scalar(select(results.c.segments).where(results.c.job_id == job_id))

    def queue_depth(self) -> int:
        """Waiting jobs; running ones do not count."""
        with self._database.read() as db:
            return quotas.count_waiting(db)

    def count_unfinished(self) -> dict[tuple[JobStatus, Priority], int]:
        """How many jobs wait and run, by priority; zero counts are left out."""
        priority = func.coalesce(jobs.c.options["priority"].as_string(), Priority.NORMAL.value)
        waiting = select(jobs.c.status, priority.label("priority")).where(job_rows.UNFINISHED).subquery()
        query = select(waiting, func.count()).group_by(*waiting.c)
        with self._database.read() as db:
            return {(status, Priority(kind)): count for status, kind, count in db.execute(query)}

    @property
    def shared(self) -> bool:
        """Whether other servers may run jobs of this store."""
        return self._database.shared

    def claimable(self, models: Collection[str | None], created_before: datetime) -> set[Priority]:
        """The priorities of which `claim_next` would find a job for these models: one that was created by then, or one
        whose attempt has lost its lease."""
        waiting = and_(jobs.c.status == JobStatus.QUEUED, jobs.c.created_at <= created_before)
        found = [
            exists().where(state, job_rows.of_class(models, priority))
            for priority in Priority
            for state in (waiting, job_rows.ABANDONED)
        ]
        with self._database.read() as db:
            states = db.execute(select(*found), {"_now": self._now()}).one()
        return {priority for number, priority in enumerate(Priority) if any(states[2 * number : 2 * number + 2])}

    def unfinished(self) -> list[Job]:
        """Queued and running jobs, oldest first."""
        query = select(*job_rows.COLUMNS).where(job_rows.UNFINISHED).order_by(jobs.c.created_at, jobs.c.id)
        with self._database.read() as db:
            return [Job(**row._asdict()) for row in db.execute(query)]

    def list_jobs(
        self,
        limit: int,
        *,
        status: JobStatus | None = None,
        before: tuple[datetime, str] | None = None,
        owner: str | None = None,
        terms: Sequence[str] = (),
    ) -> list[Job]:
        """Newest first, without versions. `before`: only jobs older than the one with this `created_at` and id.

        `terms`: only jobs whose transcript or file name has all of these, which are folded (`search_terms`).
        """
        query = select(*job_rows.COLUMNS).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
        # Not `version_of IS NULL`: SQLite would take the index of versions, and sort all jobs.
        query = query.where(job_rows.owned_by(owner), func.coalesce(jobs.c.version_of, "") == "")
        if status is not None:
            query = query.where(jobs.c.status == status)
        if terms:
            query = query.where(search.matches(terms))
        if before is not None:
            created_at, job_id = before
            # With a bound of its own, so that the index is entered there and not read from its end.
            query = query.where(jobs.c.created_at <= created_at)
            query = query.where(or_(jobs.c.created_at < created_at, jobs.c.id < job_id))
        with self._database.read() as db:
            return [Job(**row._asdict()) for row in db.execute(query)]

    def excerpts(self, job_ids: Sequence[str], terms: Sequence[str]) -> dict[str, str]:
        """For each of these jobs with one of the folded terms in its transcript: the text around the first."""
        with self._database.read() as db:
            return search.excerpts(db, job_ids, terms)

    def progress_of(self, job_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The data of the newest `progress` event of each of these jobs that has one."""
        told = and_(events.c.job_id.in_(job_ids), events.c.type == "progress")
        newest = select(events.c.job_id, func.max(events.c.seq).label("seq")).where(told).group_by(events.c.job_id)
        last = newest.subquery()
        joined = and_(events.c.job_id == last.c.job_id, events.c.seq == last.c.seq)
        with self._database.read() as db:
            rows = db.execute(select(events.c.job_id, events.c.data).join(last, joined)) if job_ids else ()
            return {str(job_id): data for job_id, data in rows}

    def with_audio(self, *, ended: bool, among: Collection[str] | None = None) -> set[str]:
        """Jobs whose upload may still be needed: unfinished and failed ones, those with such a version, and those that
        keep it. `ended`: whether done and cancelled jobs keep it that do not say so themselves. `among`: only these
        jobs, which are found without reading all rows."""
        needed = jobs.c.status.not_in([JobStatus.DONE, JobStatus.CANCELLED])
        kept = func.coalesce(jobs.c.options["keep_audio"].as_boolean(), ended)
        query = select(func.coalesce(jobs.c.version_of, jobs.c.id)).where(or_(needed, kept))
        with self._database.read() as db:
            if among is None:
                return set(db.scalars(query))
            parts = [query.where(or_(jobs.c.id.in_(ids), jobs.c.version_of.in_(ids))) for ids in _parts(list(among))]
            return {job_id for part in parts for job_id in db.scalars(part)}

    def expired(self, before: datetime, limit: int) -> list[str]:
        """Jobs that ended at that time or earlier, oldest end first. A job with versions ended with the newest one.

        Versions are deleted with their job.
        """
        whole = and_(jobs.c.version_of.is_(None), versions.no_version_unfinished())
        with self._database.read() as db:
            query = select(jobs.c.id).where(job_rows.ENDED, jobs.c.completed_at <= before, whole)
            return list(db.scalars(query.order_by(jobs.c.completed_at, jobs.c.id).limit(limit)))

    def voice_samples(self, since: datetime | None, before: datetime) -> list[str]:
        """Samples of voices that ended then (None: ever); `before` itself included."""
        samples = jobs.c.options["purpose"].as_string() == VOICE_SAMPLE
        after = true() if since is None else jobs.c.completed_at > since
        query = select(jobs.c.id).where(job_rows.ENDED, jobs.c.completed_at <= before, after, samples)
        with self._database.read() as db:
            return list(db.scalars(query))

    def check_capacity(self, max_queue: int | None, owner: str | None = None, limits: Limits = UNLIMITED) -> None:
        """Whether a job of this owner would be accepted now. Raises `QueueFull`, `LimitReached` like `add_job`."""
        with self._database.read() as db:
            quotas.check_queue(db, max_queue)
            quotas.check_owner(db, owner, limits, self._now())

    def versions(self, job_id: str, *, owner: str | None = None) -> tuple[Job, list[Job]]:
        """The job and all its versions, oldest first. The id of a version means its job. Raises `JobNotFound`."""
        with self._database.read() as db:
            job = job_rows.find_whole(db, job_id, owner)
            return job, versions.of_job(db, job)

    def version(self, job_id: str, number: int, *, owner: str | None = None) -> Job:
        """One version of a job. Raises `JobNotFound`, `VersionNotFound`."""
        with self._database.read() as db:
            return versions.find(db, job_rows.find_whole(db, job_id, owner), number)

    def events_after(self, job_id: str, seq: int) -> list[JobEvent]:
        """In order; `seq` 0: all of them."""
        columns = (events.c.job_id, events.c.seq, events.c.type, events.c.data)
        later = and_(events.c.job_id == job_id, events.c.seq > seq)
        with self._database.read() as db:
            return [JobEvent(*row) for row in db.execute(select(*columns).where(later).order_by(events.c.seq))]

    def count_segments(self, job_id: str) -> int:
        """The segments in the event log."""
        told = and_(events.c.job_id == job_id, events.c.type == "segment")
        with self._database.read() as db:
            return int(db.execute(select(func.count()).select_from(events).where(told)).scalar_one())

    def last_seq(self, job_id: str) -> int:
        """0 while the log is empty."""
        with self._database.read() as db:
            return last_seqs(db, [job_id])[job_id]

    def chunks(self, job_id: str) -> list[StoredChunk]:
        """The chunks of the job, in order; none after its end."""
        with self._database.read() as db:
            return chunk_rows.read(db, job_id)

    def waveform(self, job_id: str) -> Waveform | None:
        """None until the recording was read, and for jobs of versions that drew none."""
        query = select(waveforms.c.peak_secs, waveforms.c.peaks).where(waveforms.c.job_id == job_id)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
        return None if row is None else Waveform(*row)

    def turns(self, job_id: str) -> tuple[Turn, ...]:
        """Who speaks when, ordered by time; empty unless the job is done and has speakers."""
        with self._database.read() as db:
            return diarizations.read_turns(db, job_id)

    def known_speakers(self, job_id: str) -> list[tuple[Speaker, bytes]]:
        """The speakers of a job that is done, each with the voice; none if there is no such job."""
        with self._database.read() as db:
            centres = diarizations.read_centres(db, job_id)
            stored = db.scalar(select(jobs.c.speakers).where(jobs.c.id == job_id)) if centres else None
        speakers = [Speaker(**one) for one in stored or ()]
        return [(speaker, centres[speaker.id]) for speaker in speakers if speaker.id in centres]

    def remembered_speakers(self, job_id: str, *, sides: bool) -> list[RememberedSpeaker]:
        """The speakers of all versions of a job, each as in the newest version that has it.

        `sides`: of the versions whose sides are the speakers; else of the others.
        """
        with self._database.read() as db:
            rows = versions.with_speakers(db, job_id, sides=sides)
        return diarizations.remembered((row.speakers, row.centres) for row in rows)

    def voices(self, owner: str | None) -> list[EnrolledVoice]:
        """The voices that were enrolled with an API key; None: without one."""
        with self._database.read() as db:
            return voices.of_owner(db, owner)

    def all_voices(self) -> list[EnrolledVoice]:
        """The voices of all API keys."""
        with self._database.read() as db:
            return voices.all_voices(db)

    def known_voices(self, job_id: str) -> list[NamedVoice]:
        """The voices that came with a job."""
        with self._database.read() as db:
            return voices.known_to(db, job_id)

    def side_names(self, job_id: str) -> dict[str, str]:
        """The names that people gave to the speakers of a job, by id, in its newest version whose sides are the
        speakers."""
        with self._database.read() as db:
            rows = versions.with_speakers(db, job_id, sides=True)
        speakers = rows[0].speakers if rows else ()
        return {one["id"]: one["name"] for one in speakers if one["name"] != default_name(one["id"])}


def _parts(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + IDS_A_QUERY] for start in range(0, len(ids), IDS_A_QUERY)]
