"""The outbox: webhook calls that are to be made, and what became of those that were.

What a job's end has to tell is put in by the transaction that ends the job, so none is lost or told too early. As in
`store`, any thread may call, a method returns after its commit, and whatever writes may raise `StorageFull`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, case, delete, func, insert, or_, select, update

from scrivano.domain.errors import DeliveryNotFound, JobUnfinished
from scrivano.domain.job import Job
from scrivano.store.database import Database
from scrivano.store.tables import deliveries, jobs

__all__ = ["Delivery", "DeliveryStatus", "Outbox"]


class DeliveryStatus(StrEnum):
    """`failed`: given up. `gone`: the receiver wants no more of this job."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


# Attempts of a delivery that no rest delays: at 0, +1 s, +2 s.
ALWAYS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook call to make. `kind` is `job` or a model event's type.

    `payload` is the exact body; None: the job `job_id`, rendered when it is sent (a transcript is stored once).
    `attempts` counts the calls that were made, all without success while this is pending. `host` has the port with it.
    `last_error` and `last_status` are the last call's; None: it succeeded, or had no answer, or there was none.
    """

    id: str
    url: str
    kind: str
    job_id: str | None
    payload: bytes | None
    attempts: int
    next_attempt_at: datetime
    created_at: datetime
    host: str
    status: DeliveryStatus
    last_error: str | None
    last_status: int | None
    attempted_at: datetime | None
    delivered_at: datetime | None


_DELIVERY = [deliveries.c[name] for name in Delivery.__dataclass_fields__]
_PENDING = deliveries.c.status == "pending"

# Built once, for it runs at every job's end.
_DELIVERIES = (
    select(func.count(), func.count().filter(deliveries.c.status == "gone"))
    .select_from(deliveries)
    .where(deliveries.c.job_id == bindparam("_job_id"))
)


class Outbox:
    """`on_delivery` is called when a delivery was added, after the commit, on the thread that wrote, so it must return
    at once and never raise. It may be replaced before work begins.

    Where a method takes an `owner`, deliveries of jobs that are not this API key's are not there for it; None: all are.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self.on_delivery: Callable[[], None] = lambda: None
        self._database = database
        self._now = now

    def add(self, delivery_id: str, url: str, kind: str, payload: bytes) -> None:
        """A call to make now, of which `payload` is the exact body."""
        with self._database.write() as db:
            _add(db, delivery_id, url, kind, self._now(), payload=payload)
        self.on_delivery()

    # Within the transactions of `store`, which calls `on_delivery` after their commit --------------------------

    def owe(self, db: Connection, job: Job, now: datetime) -> None:
        """The job has ended: its receiver, if it has one, is to be told.

        A job ends once, unless it is tried again. A receiver that wants no more of it is told no more.
        """
        if job.webhook_url is None:
            return
        earlier, gone = db.execute(_DELIVERIES, {"_job_id": job.id}).one()
        if not gone:
            delivery_id = f"msg_{job.id}.{earlier + 1}" if earlier else f"msg_{job.id}"
            _add(db, delivery_id, job.webhook_url, "job", now, job_id=job.id)

    def void(self, db: Connection, job_id: str, why: str) -> None:
        """The job begins anew: what is still owed of its end is given up."""
        values = {"status": "failed", "last_error": why}
        db.execute(update(deliveries).where(deliveries.c.job_id == job_id, _PENDING).values(values))

    # What is to be done, and what came of it -------------------------------------------------------------------

    def due(
        self,
        limit: int,
        *,
        per_url: int | None = None,
        per_host: int | None = None,
        busy_urls: Collection[str] = (),
        full_hosts: Collection[str] = (),
    ) -> list[Delivery]:
        """Pending ones whose time has come: of each host the one that is longest due, then of each the second, …

        At most so many for a URL and for a host, none for those that are named. Of one URL, those that were tried
        less than `ALWAYS` times come first: a receiver that was away for long hears of what is new at once.
        """
        due = and_(_PENDING, deliveries.c.next_attempt_at <= self._now())
        open_ = and_(deliveries.c.url.not_in(busy_urls), deliveries.c.host.not_in(full_hosts))
        of_url = _rank(deliveries.c, "url").label("of_url")
        ranked = select(*_DELIVERY, of_url).where(due, open_).subquery()
        of_host = _rank(ranked.c, "host").label("of_host")
        query = select(ranked, of_host).where(ranked.c.of_url <= (per_url or limit)).subquery()
        rows = select(*(query.c[column.name] for column in _DELIVERY)).where(query.c.of_host <= (per_host or limit))
        order = (query.c.of_host, query.c.next_attempt_at, query.c.created_at, query.c.id)
        with self._database.read() as db:
            return [_delivery(row) for row in db.execute(rows.order_by(*order).limit(limit))]

    def count_pending(self) -> int:
        """Deliveries that were not made yet and are not given up."""
        with self._database.read() as db:
            return db.scalar(select(func.count()).select_from(deliveries).where(_PENDING)) or 0

    def next_due(self, after: datetime | None = None) -> datetime | None:
        """When the next pending delivery is due; None: nothing is pending. `after`: of those due later than that."""
        query = select(func.min(deliveries.c.next_attempt_at)).where(_PENDING)
        if after is not None:
            query = query.where(deliveries.c.next_attempt_at > after)
        with self._database.read() as db:
            due: datetime | None = db.scalar(query)
            return due

    def bring_forward(self, by: timedelta) -> None:
        """The clock was set back: retries that wait are due as much earlier."""
        waiting = and_(_PENDING, deliveries.c.next_attempt_at > self._now())
        with self._database.write() as db:
            for delivery_id, due in db.execute(
                select(deliveries.c.id, deliveries.c.next_attempt_at).where(waiting)
            ).all():
                db.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(next_attempt_at=due - by))

    def newest(
        self,
        limit: int,
        *,
        status: DeliveryStatus | None = None,
        job_id: str | None = None,
        before: tuple[datetime, str] | None = None,
        owner: str | None = None,
    ) -> list[Delivery]:
        """Newest first; `before`: only those older than the delivery with this `created_at` and id.

        To an `owner`, those of its own jobs only: news of the model are nobody's.
        """
        order = (deliveries.c.created_at.desc(), deliveries.c.id.desc())
        query = select(*_DELIVERY).order_by(*order).limit(limit)
        if status is not None:
            query = query.where(deliveries.c.status == status)
        if owner is not None:
            query = query.where(deliveries.c.job_id.in_(select(jobs.c.id).where(jobs.c.owner == owner)))
        if job_id is not None:
            query = query.where(deliveries.c.job_id == job_id)
        if before is not None:
            created_at, delivery_id = before
            same_time = and_(deliveries.c.created_at == created_at, deliveries.c.id < delivery_id)
            query = query.where(or_(deliveries.c.created_at < created_at, same_time))
        with self._database.read() as db:
            return [_delivery(row) for row in db.execute(query)]

    def redeliver(self, delivery_id: str) -> Delivery:
        """Begin a delivery's attempts anew, now, whatever became of it.

        Raises `DeliveryNotFound`, and `JobUnfinished` where its job is being tried again and has nothing to tell.
        """
        again = {"status": "pending", "attempts": 0, "next_attempt_at": self._now(), "delivered_at": None}
        one = deliveries.c.id == delivery_id
        with self._database.write() as db:
            row = db.execute(select(*_DELIVERY).where(one)).one_or_none()
            if row is None:
                raise DeliveryNotFound(delivery_id)
            if row.job_id is not None:
                _check_ended(db, row.job_id)
            db.execute(update(deliveries).where(one).values(host=_host(row.url), **again))
            found = _delivery(db.execute(select(*_DELIVERY).where(one)).one())
        self.on_delivery()
        return found

    def rest(self, host: str, until: datetime) -> None:
        """Put off a host's pending deliveries that were attempted `ALWAYS` times; no attempt counts for that."""
        late = and_(_PENDING, deliveries.c.host == host, deliveries.c.attempts >= ALWAYS)
        with self._database.write() as db:
            early = deliveries.c.next_attempt_at < until
            db.execute(update(deliveries).where(late, early).values(next_attempt_at=until))

    def delivered(self, delivery_id: str, status: int | None = None) -> None:
        """`status`: the answer's; so, too, below."""
        now = self._now()
        self._attempted(delivery_id, status="delivered", delivered_at=now, last_error=None, last_status=status)

    def retry_at(self, delivery_id: str, when: datetime, error: str, status: int | None = None) -> None:
        self._attempted(delivery_id, next_attempt_at=when, last_error=error, last_status=status)

    def give_up(self, delivery_id: str, error: str, status: int | None = None, *, gone: bool = False) -> None:
        """`gone`: the receiver wants no more, so this job will not be told again, should it be tried again."""
        ended = "gone" if gone else "failed"
        self._attempted(delivery_id, status=ended, last_error=error, last_status=status)

    def purge(self, before: datetime) -> int:
        """Forget ended deliveries of model events made at that time or earlier; returns how many. Jobs keep theirs."""
        old = and_(deliveries.c.job_id.is_(None), deliveries.c.created_at <= before, ~_PENDING)
        with self._database.write() as db:
            return db.execute(delete(deliveries).where(old)).rowcount

    def _attempted(self, delivery_id: str, **values: object) -> None:
        pending = and_(deliveries.c.id == delivery_id, _PENDING)
        once_more = {"attempts": deliveries.c.attempts + 1, "attempted_at": self._now()}
        with self._database.write() as db:
            db.execute(update(deliveries).where(pending).values(**once_more, **values))


def _check_ended(db: Connection, job_id: str) -> None:
    status = db.execute(select(jobs.c.status).where(jobs.c.id == job_id)).scalar_one()
    if not status.terminal:
        raise JobUnfinished(job_id, status)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**{**row._asdict(), "status": DeliveryStatus(row.status)})


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def _rank(columns: Any, name: str) -> ColumnElement[int]:
    """The place of a due delivery among those with the same value of this column, from 1."""
    late = case((columns.attempts >= ALWAYS, 1), else_=0)
    order = (late, columns.next_attempt_at, columns.created_at, columns.id)
    return func.row_number().over(partition_by=columns[name], order_by=order)


def _add(
    db: Connection,
    delivery_id: str,
    url: str,
    kind: str,
    now: datetime,
    *,
    job_id: str | None = None,
    payload: bytes | None = None,
) -> None:
    row: dict[str, object] = {"id": delivery_id, "url": url, "kind": kind, "job_id": job_id, "payload": payload}
    row |= {"host": _host(url)}
    row |= {"status": "pending", "attempts": 0, "next_attempt_at": now, "created_at": now}
    db.execute(insert(deliveries), row)
