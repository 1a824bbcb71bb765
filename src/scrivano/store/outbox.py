"""The outbox: webhook deliveries to make, and the results of those that were made.

The transaction that ends a job also stores its delivery, so none is lost or sent too early. As in `store.jobs`, any
thread may call, a method returns after its commit, and methods that write may raise `StorageFull`.
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
from scrivano.domain.job import Job, JobStatus
from scrivano.domain.quality import meets
from scrivano.store.database import Database
from scrivano.store.tables import deliveries, jobs

__all__ = ["GUARANTEED_ATTEMPTS", "Delivery", "DeliveryStatus", "Outbox"]


class DeliveryStatus(StrEnum):
    """`failed`: no more attempts. `gone`: the receiver answered 410, so nothing more about this job is sent to it."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


# Attempts that are made even at a host that is being left alone: at 0, +1 s, +2 s, as the HTTP contract promises.
GUARANTEED_ATTEMPTS = 3

# With a shared database, the server that sends a delivery has it for so long: more than a call can take.
CLAIM_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook call. `kind` is `job` or the type of a model event.

    `payload` is the exact body; None: the job `job_id`, rendered when it is sent, so that a transcript is stored once.
    `attempts` counts the calls made so far. `host` includes the port. `last_error` and `last_status` belong to the last
    attempt: no error if it succeeded, no status if it had no response, neither before the first.
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
_PENDING = deliveries.c.status == DeliveryStatus.PENDING
# When it is due; while a server sends it, when that server has lost it.
_DUE_AT = case(
    (deliveries.c.claimed_until > deliveries.c.next_attempt_at, deliveries.c.claimed_until),
    else_=deliveries.c.next_attempt_at,
)

# Built once, because it runs at the end of every job.
_DELIVERIES = (
    select(func.count(), func.count().filter(deliveries.c.status == DeliveryStatus.GONE))
    .select_from(deliveries)
    .where(deliveries.c.job_id == bindparam("_job_id"))
)


class Outbox:
    """`on_delivery` is called after the commit that added a delivery, on the thread that wrote. It must return at once
    and never raise.

    Methods with an `owner` see only deliveries of this API key's jobs; None: all deliveries.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime], on_delivery: Callable[[], None] = lambda: None
    ) -> None:
        self.on_delivery = on_delivery
        self._database = database
        self._now = now

    def add(self, delivery_id: str, url: str, kind: str, payload: bytes) -> None:
        """Store a delivery that is due now; `payload` is the exact body."""
        with self._database.write() as db:
            _add(db, delivery_id, url, kind, self._now(), payload=payload)
        self.on_delivery()

    # Within transactions of `store.jobs`, which calls `on_delivery` after the commit ---------------------------

    def enqueue(self, db: Connection, job: Job, now: datetime) -> None:
        """Store the delivery of a job that has ended, if the job has a webhook URL, and its quality is as asked for.

        A job that is retried ends again and gets another delivery, unless its receiver has answered 410.
        """
        if job.webhook_url is None:
            return
        if job.status is JobStatus.DONE and job.webhook_if and not meets(job.quality, job.webhook_if):
            return
        earlier, gone = db.execute(_DELIVERIES, {"_job_id": job.id}).one()
        if not gone:
            delivery_id = f"msg_{job.id}.{earlier + 1}" if earlier else f"msg_{job.id}"
            _add(db, delivery_id, job.webhook_url, "job", now, job_id=job.id)

    def cancel(self, db: Connection, job_id: str, reason: str) -> None:
        """Fail the pending delivery of a job that is retried: the job is no longer at its end."""
        values = {"status": DeliveryStatus.FAILED, "last_error": reason}
        db.execute(update(deliveries).where(deliveries.c.job_id == job_id, _PENDING).values(values))

    # Due deliveries, and their results -------------------------------------------------------------------------

    def take_due(
        self,
        limit: int,
        *,
        per_url: int,
        per_host: int,
        busy_urls: Collection[str] = (),
        full_hosts: Collection[str] = (),
    ) -> list[Delivery]:
        """As `due`. With a shared database, nobody else gets these deliveries, or others for their URLs, until their
        outcome is stored, or for `CLAIM_S` if their server ends meanwhile."""
        if not self._database.shared:
            return self.due(limit, per_url=per_url, per_host=per_host, busy_urls=busy_urls, full_hosts=full_hosts)
        now = self._now()
        with self._database.write() as db:
            self._database.lock(db, "deliveries")
            claimed = select(deliveries.c.url).where(_PENDING, deliveries.c.claimed_until > now)
            busy = {*busy_urls, *db.scalars(claimed)}
            due = self.due(limit, per_url=per_url, per_host=per_host, busy_urls=busy, full_hosts=full_hosts)
            taken = deliveries.c.id.in_([delivery.id for delivery in due])
            db.execute(update(deliveries).where(taken).values(claimed_until=now + timedelta(seconds=CLAIM_S)))
        return due

    def due(
        self,
        limit: int,
        *,
        per_url: int | None = None,
        per_host: int | None = None,
        busy_urls: Collection[str] = (),
        full_hosts: Collection[str] = (),
    ) -> list[Delivery]:
        """Due deliveries: first the longest due of each host, then the second of each host, and so on.

        At most `per_url` for a URL and `per_host` for a host, none for `busy_urls` and `full_hosts`. For one URL,
        deliveries with fewer than `GUARANTEED_ATTEMPTS` attempts are first: a receiver that was unreachable for long
        gets new deliveries at once.
        """
        now = self._now()
        # Not by `_DUE_AT`: the index is of `next_attempt_at`.
        free = or_(deliveries.c.claimed_until.is_(None), deliveries.c.claimed_until <= now)
        due = and_(_PENDING, deliveries.c.next_attempt_at <= now, free)
        allowed = and_(deliveries.c.url.not_in(busy_urls), deliveries.c.host.not_in(full_hosts))
        of_url = _rank(deliveries.c, "url").label("of_url")
        ranked = select(*_DELIVERY, of_url).where(due, allowed).subquery()
        of_host = _rank(ranked.c, "host").label("of_host")
        query = select(ranked, of_host).where(ranked.c.of_url <= (per_url or limit)).subquery()
        rows = select(*(query.c[column.name] for column in _DELIVERY)).where(query.c.of_host <= (per_host or limit))
        order = (query.c.of_host, query.c.next_attempt_at, query.c.created_at, query.c.id)
        with self._database.read() as db:
            return [_delivery(row) for row in db.execute(rows.order_by(*order).limit(limit))]

    def count_pending(self) -> int:
        """Deliveries that have not succeeded and have attempts left."""
        with self._database.read() as db:
            return db.scalar(select(func.count()).select_from(deliveries).where(_PENDING)) or 0

    def next_due(self, after: datetime | None = None) -> datetime | None:
        """When the next pending delivery is due; None: none is pending. `after`: only those due later than this."""
        query = select(func.min(_DUE_AT)).where(_PENDING)
        if after is not None:
            query = query.where(after < _DUE_AT)
        with self._database.read() as db:
            due: datetime | None = db.scalar(query)
            return due

    def bring_forward(self, by: timedelta) -> None:
        """After the clock was set back: make waiting retries due `by` earlier."""
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

        With an `owner`, deliveries of model events are left out, because they have no owner.
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
        """Start a delivery again, whatever its status; it is due now.

        Raises `DeliveryNotFound`, and `JobUnfinished` if its job is being retried: it has no result to deliver.
        """
        values = {"status": DeliveryStatus.PENDING, "attempts": 0, "next_attempt_at": self._now()}
        values |= {"delivered_at": None, "claimed_until": None}
        same = deliveries.c.id == delivery_id
        with self._database.write() as db:
            row = db.execute(select(*_DELIVERY).where(same).with_for_update()).one_or_none()
            if row is None:
                raise DeliveryNotFound(delivery_id)
            if row.job_id is not None:
                _check_ended(db, row.job_id)
            db.execute(update(deliveries).where(same).values(host=_host(row.url), **values))
            found = _delivery(db.execute(select(*_DELIVERY).where(same)).one())
        self.on_delivery()
        return found

    def postpone(self, host: str, until: datetime) -> None:
        """Delay a host's pending deliveries beyond `GUARANTEED_ATTEMPTS`; this counts as no attempt."""
        late = and_(_PENDING, deliveries.c.host == host, deliveries.c.attempts >= GUARANTEED_ATTEMPTS)
        with self._database.write() as db:
            early = deliveries.c.next_attempt_at < until
            db.execute(update(deliveries).where(late, early).values(next_attempt_at=until))

    def delivered(self, delivery_id: str, status: int | None = None) -> None:
        """`status`: the HTTP status of the response, here and below."""
        self._attempted(
            delivery_id,
            status=DeliveryStatus.DELIVERED,
            delivered_at=self._now(),
            last_error=None,
            last_status=status,
        )

    def retry_at(self, delivery_id: str, when: datetime, error: str, status: int | None = None) -> None:
        self._attempted(delivery_id, next_attempt_at=when, last_error=error, last_status=status)

    def give_up(self, delivery_id: str, error: str, status: int | None = None, *, gone: bool = False) -> None:
        """`gone`: the receiver answered 410, so a retry of the job will not be delivered to it either."""
        ended = DeliveryStatus.GONE if gone else DeliveryStatus.FAILED
        self._attempted(delivery_id, status=ended, last_error=error, last_status=status)

    def purge(self, before: datetime) -> int:
        """Delete ended deliveries of model events created at `before` or earlier; returns how many.

        Deliveries of jobs are deleted with their job.
        """
        old = and_(deliveries.c.job_id.is_(None), deliveries.c.created_at <= before, ~_PENDING)
        with self._database.write() as db:
            return db.execute(delete(deliveries).where(old)).rowcount

    def _attempted(self, delivery_id: str, **values: object) -> None:
        pending = and_(deliveries.c.id == delivery_id, _PENDING)
        attempt = {"attempts": deliveries.c.attempts + 1, "attempted_at": self._now(), "claimed_until": None}
        with self._database.write() as db:
            db.execute(update(deliveries).where(pending).values(**attempt, **values))


def _check_ended(db: Connection, job_id: str) -> None:
    status = db.execute(select(jobs.c.status).where(jobs.c.id == job_id)).scalar_one()
    if not status.terminal:
        raise JobUnfinished(job_id, status)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**{**row._asdict(), "status": DeliveryStatus(row.status)})


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def _rank(columns: Any, name: str) -> ColumnElement[int]:
    """The position, from 1, of a due delivery among those with the same value in this column."""
    late = case((columns.attempts >= GUARANTEED_ATTEMPTS, 1), else_=0)
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
    row |= {"host": _host(url), "status": DeliveryStatus.PENDING, "attempts": 0}
    row |= {"next_attempt_at": now, "created_at": now}
    db.execute(insert(deliveries), row)
