"""Writes to a store as fast as it can until it is killed, and prints what was committed."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.job import Job, JobStatus, Task
from scrivano.store.jobs import Decoded, JobStore
from scrivano.store.outbox import Outbox
from scrivano.store.sqlite import SqliteDatabase


def now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    database = SqliteDatabase.open(Path(sys.argv[1]))
    store = JobStore(database, Outbox(database, now), now)
    for number in count():
        _run(store, f"job-{number}")


def _run(store: JobStore, job_id: str) -> None:
    job = Job(id=job_id, status=JobStatus.QUEUED, task=Task.TRANSCRIBE, created_at=now(), webhook_url="http://a.test")
    store.add_job(job, audio_sha256="", audio_bytes=0)
    _say("queued", job_id)
    store.claim(job_id, 60)
    _say("running", job_id)
    store.add_chunks(job_id, 1, [Chunk(index, (Piece(index, index + 1),)) for index in range(3)])
    _say("planned", job_id)
    progress = {"percent": 33, "chunk": 1, "chunks_total": 3}
    store.store_results(
        [Decoded(job_id=job_id, attempt=1, index=index, result=b"x" * 5000, progress=progress) for index in range(3)]
    )
    _say("decoded", job_id)
    store.publish_done(job_id, 1, b"y" * 20_000, language="en", duration_secs=1.0)
    _say("done", job_id)


def _say(step: str, job_id: str) -> None:
    print(step, job_id, flush=True)


if __name__ == "__main__":
    main()
