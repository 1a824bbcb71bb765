"""What the runs of jobs write, as one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

from scrivano.domain.errors import WriteConflict
from scrivano.running.job_messages import CountCrash, Fail, Publish, StoreChunk, StoreGuess, StorePlan
from scrivano.running.job_run import JobRun
from scrivano.running.speaker_run import StoreVoices
from scrivano.store.jobs import Decoded, JobStore
from scrivano.text.assembly import segments_json

__all__ = ["Write", "store_writes"]

Write = StoreChunk | StorePlan | StoreVoices | StoreGuess | CountCrash | Decoded | Publish | Fail

Ended = list[tuple[JobRun, Publish | Fail]]


def store_writes(store: JobStore, writes: Sequence[tuple[JobRun, Write]], *, tries: int = 1) -> tuple[set[str], Ended]:
    """Returns the jobs whose attempt may no longer write, and the runs that have ended, each with how.

    `tries`: how often it is tried if another transaction is in the way. Raises what the store does; nothing was written
    then.
    """
    for _ in range(tries - 1):
        with suppress(WriteConflict):
            return _store(store, writes)
    return _store(store, writes)


def _store(store: JobStore, writes: Sequence[tuple[JobRun, Write]]) -> tuple[set[str], Ended]:
    """By kind, in the order in which they depend on each other."""
    ended: Ended = []
    with store.transaction():
        refused = {run.job.id for run, write in writes if not _store_part(store, run, write)}
        decoded = [write for _, write in writes if isinstance(write, Decoded)]
        accepted = store.store_results(decoded) if decoded else []
        refused.update(write.job_id for write, stored in zip(decoded, accepted, strict=True) if not stored)
        for run, write in writes:
            job_id = run.job.id
            if job_id in refused:
                continue
            if isinstance(write, StoreGuess):  # after the segments that it names
                store.store_guess(job_id, run.job.attempt, write.speakers, write.segments)
            elif isinstance(write, Publish | Fail):
                if _store_end(store, run, write):
                    ended.append((run, write))
                else:
                    refused.add(job_id)
    return refused, ended


def _store_part(store: JobStore, run: JobRun, write: Write) -> bool:
    """Store what precedes the text of chunks; returns whether the attempt may still write. Others are stored later."""
    job_id, attempt = run.job.id, run.job.attempt
    match write:
        case StoreChunk(chunk, duration_s, restarts_log):
            rows = store.add_chunks(job_id, attempt, [chunk], duration_secs=duration_s, restarts_log=restarts_log)
            return rows is not None
        case StorePlan(chunks_total, duration_s, audio, warnings, waveform):
            return store.plan_complete(
                job_id,
                attempt,
                chunks_total=chunks_total,
                duration_secs=duration_s,
                audio=None if audio is None else asdict(audio),
                warnings=[asdict(warning) for warning in warnings],
                waveform=waveform,
            )
        case StoreVoices(index, voices):
            return store.store_voices(job_id, attempt, index, voices)
        case CountCrash(index):
            store.count_crashes([(job_id, attempt, index)])
    return True


def _store_end(store: JobStore, run: JobRun, end: Publish | Fail) -> bool:
    job_id, attempt = run.job.id, run.job.attempt
    if isinstance(end, Fail):
        return store.publish_failed(job_id, attempt, end.code, end.message)
    return store.publish_done(
        job_id,
        attempt,
        segments_json(end.segments),
        language=end.language,
        duration_secs=end.duration_s,
        decoded_by=run.model,
        quality=end.quality,
        text=" ".join(segment.text for segment in end.segments),
        speakers=end.speakers,
        warnings=[asdict(warning) for warning in end.warnings],
    )
