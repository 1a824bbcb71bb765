"""Opens what is stored in a database: a file in DATA_DIR, or PostgreSQL, which several servers share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from scrivano.domain.job import Job, JobStatus
from scrivano.running.runner import Runner
from scrivano.server.settings import Settings
from scrivano.store.database import Database
from scrivano.store.jobs import JobStore
from scrivano.store.notices import NoticeHandlers, Notices, OutgoingNotices
from scrivano.store.outbox import Outbox
from scrivano.store.postgres import PostgresDatabase
from scrivano.store.sqlite import SqliteDatabase
from scrivano.store.uploads import UploadStore
from scrivano.store.wake_ups import DELIVERIES, WakeUps
from scrivano.telemetry.events import Emit, JobEnded

__all__ = ["Stores", "open_stores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """`now`: the time; of the database server, if several servers share it. `notices` connects a runner with the other
    servers; None: there are none."""

    database: Database
    now: Callable[[], datetime]
    outbox: Outbox
    uploads: UploadStore
    jobs: JobStore
    notices: Callable[[Runner], Notices] | None


def open_stores(
    settings: Settings, wake_ups: WakeUps, emit: Emit, on_full: Callable[[], None], cleanup: ExitStack
) -> Stores:
    """`on_full`: see `SqliteDatabase.open`. Raises `StartError`."""
    if settings.database_url is not None:
        return _open_postgres(settings.database_url.get_secret_value(), wake_ups, emit, cleanup)
    database = SqliteDatabase.open(settings.data_dir / "scrivano.db", on_full=on_full)
    cleanup.callback(database.close)
    outbox = Outbox(database, _now, on_delivery=lambda: wake_ups.fire(DELIVERIES))

    def job_ended(job: Job) -> None:
        emit(JobEnded(job))

    jobs = JobStore(database, outbox, _now, on_change=wake_ups.fire, on_end=job_ended)
    uploads = UploadStore(database, _now)
    return Stores(database=database, now=_now, outbox=outbox, uploads=uploads, jobs=jobs, notices=None)


def _open_postgres(url: str, wake_ups: WakeUps, emit: Emit, cleanup: ExitStack) -> Stores:
    """What this server does, it tells the others."""
    database = PostgresDatabase.open(url)
    cleanup.callback(database.close)
    now, outgoing = database.clock, OutgoingNotices()
    cleanup.callback(outgoing.close)
    outbox = Outbox(database, now, on_delivery=lambda: wake_ups.fire(DELIVERIES))

    def job_changed(job_id: str) -> None:
        wake_ups.fire(job_id)
        outgoing.changed(job_id)

    def job_ended(job: Job) -> None:
        emit(JobEnded(job))
        if job.status is JobStatus.CANCELLED:
            outgoing.cancelled(job.id)

    jobs = JobStore(database, outbox, now, on_change=job_changed, on_end=job_ended, on_queued=outgoing.queued)

    def notices(runner: Runner) -> Notices:
        handlers = NoticeHandlers(
            changed=wake_ups.fire, cancelled=runner.cancelled_elsewhere, look=runner.look, watched=wake_ups.watched
        )
        return Notices(database, outgoing, handlers)

    uploads = UploadStore(database, now)
    return Stores(database=database, now=now, outbox=outbox, uploads=uploads, jobs=jobs, notices=notices)


def _now() -> datetime:
    return datetime.now(UTC)
