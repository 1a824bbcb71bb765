"""Opens what is stored in a database: a file in DATA_DIR, or PostgreSQL, which several servers share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from scrivano.domain.job import Job, JobStatus
from scrivano.running.executor import Executor
from scrivano.server.settings import Settings
from scrivano.store.database import Database
from scrivano.store.dispatchers import DispatcherStore
from scrivano.store.jobs import JobStore
from scrivano.store.notices import NoticeHandlers, Notices, OutgoingNotices
from scrivano.store.outbox import Outbox
from scrivano.store.postgres import PostgresDatabase
from scrivano.store.sqlite import DATABASE, SqliteDatabase
from scrivano.store.sqlite import start_errors as sqlite_start_errors
from scrivano.store.uploads import UploadStore
from scrivano.store.wake_ups import DELIVERIES, WakeUps
from scrivano.telemetry.events import Emit, JobEnded

__all__ = ["Stores", "check_database", "open_stores", "start_errors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """`now`: the time; of the database server, if several servers share it. `dispatchers` and `notices`, which connect
    an executor, and what hears about models, with the other servers: None if there are none.
    """

    database: Database
    now: Callable[[], datetime]
    outbox: Outbox
    uploads: UploadStore
    jobs: JobStore
    dispatchers: DispatcherStore | None
    notices: Callable[[Executor, Callable[[], None]], Notices] | None


def check_database(settings: Settings) -> str:
    """Where jobs are kept, and its state; changes nothing. Raises `StartError`."""
    if settings.database_url is None:
        return SqliteDatabase.check(_database_file(settings))
    return PostgresDatabase.check(settings.database_url.get_secret_value())


def start_errors(settings: Settings) -> AbstractContextManager[None]:
    """For what reads the database before the server listens: raises `StartError` if the file is damaged."""
    return nullcontext() if settings.database_url is not None else sqlite_start_errors(_database_file(settings))


def open_stores(
    settings: Settings,
    wake_ups: WakeUps,
    emit: Emit,
    on_full: Callable[[], None],
    cleanup: ExitStack,
    *,
    sends_webhooks: bool = True,
) -> Stores:
    """`on_full`: see `SqliteDatabase.open`. `sends_webhooks`: this process does; else it tells others that some wait.

    Raises `StartError`.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        return _open_postgres(url, wake_ups, emit, cleanup, sends_webhooks=sends_webhooks)
    database = SqliteDatabase.open(_database_file(settings), on_full=on_full)
    cleanup.callback(database.close)
    now = partial(datetime.now, UTC)
    outbox = Outbox(database, now, on_delivery=lambda: wake_ups.fire(DELIVERIES))

    def job_ended(job: Job) -> None:
        emit(JobEnded(job))

    jobs = JobStore(database, outbox, now, on_change=wake_ups.fire, on_end=job_ended)
    uploads = UploadStore(database, now)
    return Stores(database=database, now=now, outbox=outbox, uploads=uploads, jobs=jobs, dispatchers=None, notices=None)


def _open_postgres(url: str, wake_ups: WakeUps, emit: Emit, cleanup: ExitStack, *, sends_webhooks: bool) -> Stores:
    """What this server does, it tells the others."""
    database = PostgresDatabase.open(url)
    cleanup.callback(database.close)
    now, outgoing = database.clock, OutgoingNotices()
    cleanup.callback(outgoing.close)

    def delivery_waits() -> None:
        if sends_webhooks:
            wake_ups.fire(DELIVERIES)
        else:
            outgoing.deliveries()

    outbox = Outbox(database, now, on_delivery=delivery_waits)

    def job_changed(job_id: str) -> None:
        wake_ups.fire(job_id)
        outgoing.changed(job_id)

    def job_ended(job: Job) -> None:
        emit(JobEnded(job))
        if job.status is JobStatus.CANCELLED:
            outgoing.cancelled(job.id)

    jobs = JobStore(database, outbox, now, on_change=job_changed, on_end=job_ended, on_queued=outgoing.queued)

    def notices(executor: Executor, models: Callable[[], None]) -> Notices:
        handlers = NoticeHandlers(
            changed=wake_ups.fire,
            cancelled=executor.cancelled_elsewhere,
            look=executor.look,
            models=models,
            deliveries=lambda: wake_ups.fire(DELIVERIES),
            watched=wake_ups.watched,
        )
        return Notices(database, outgoing, handlers)

    return Stores(
        database=database,
        now=now,
        outbox=outbox,
        uploads=UploadStore(database, now),
        jobs=jobs,
        dispatchers=DispatcherStore(database, now, outgoing.models),
        notices=notices,
    )


def _database_file(settings: Settings) -> Path:
    return settings.data_dir / DATABASE
