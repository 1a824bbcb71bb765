"""Uploads that come in several requests: how far each is, and what job it has become.

As in `store`, any thread may call, a method returns after its commit, and whatever writes may raise `StorageFull`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, true, update

from scrivano.domain.errors import UploadNotFound
from scrivano.store.database import Database
from scrivano.store.tables import uploads

__all__ = ["PartialUpload", "UploadStore", "become", "job_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialUpload:
    """A recording that comes in several requests, and becomes the job of the same id when it is whole.

    `offset_bytes` of its `size_bytes` have been acknowledged: they are on disk. `metadata` is what the client wrote at
    its beginning. `job_id`: the job, as soon as there is one. `owner`: the API key that the job will be of.
    """

    id: str
    size_bytes: int
    offset_bytes: int
    metadata: str
    created_at: datetime
    expires_at: datetime
    job_id: str | None = None
    owner: str | None = None

    @property
    def whole(self) -> bool:
        return self.offset_bytes == self.size_bytes


_UPLOAD = [uploads.c[name] for name in PartialUpload.__dataclass_fields__]


class UploadStore:
    """Where a method takes an `owner`, uploads that are not this API key's are not there for it; None: all are."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def add(self, upload: PartialUpload) -> None:
        with self._database.write() as db:
            db.execute(insert(uploads), {column.name: getattr(upload, column.name) for column in _UPLOAD})

    def get(self, upload_id: str, *, owner: str | None = None) -> PartialUpload:
        """Raises `UploadNotFound`, also where its time is over."""
        with self._database.read() as db:
            return _upload(db, upload_id, self._now(), owner)

    def received(self, upload_id: str, offset_bytes: int, expires_at: datetime) -> None:
        """So many bytes are on disk, fsynced. Raises `UploadNotFound`."""
        values = {"offset_bytes": offset_bytes, "expires_at": expires_at}
        with self._database.write() as db:
            if not db.execute(update(uploads).where(uploads.c.id == upload_id).values(values)).rowcount:
                raise UploadNotFound(upload_id)

    def pending(self) -> list[PartialUpload]:
        """Those that are not a job yet, oldest first."""
        with self._database.read() as db:
            query = select(*_UPLOAD).where(uploads.c.job_id.is_(None)).order_by(uploads.c.created_at, uploads.c.id)
            return [PartialUpload(**row._asdict()) for row in db.execute(query)]

    def delete(self, upload_id: str) -> PartialUpload:
        """Forget it; the job that it became stays. Returns what it was. Raises `UploadNotFound`."""
        with self._database.write() as db:
            upload = _upload(db, upload_id, self._now())
            db.execute(delete(uploads).where(uploads.c.id == upload_id))
        return upload

    def expire(self, limit: int) -> list[PartialUpload]:
        """Forget those whose time is over, at most so many; returns what they were."""
        over = select(*_UPLOAD).where(uploads.c.expires_at <= self._now()).order_by(uploads.c.expires_at).limit(limit)
        with self._database.write() as db:
            gone = [PartialUpload(**row._asdict()) for row in db.execute(over)]
            db.execute(delete(uploads).where(uploads.c.id.in_([upload.id for upload in gone])))
        return gone


# Within the transaction of `store` that adds the job.


def job_of(db: Connection, upload_id: str, now: datetime) -> str | None:
    """The job that the upload has become, if it has. Raises `UploadNotFound`, also where its time is over."""
    return _upload(db, upload_id, now).job_id


def become(db: Connection, upload_id: str, job_id: str) -> None:
    db.execute(update(uploads).where(uploads.c.id == upload_id).values(job_id=job_id))


def _upload(db: Connection, upload_id: str, now: datetime, owner: str | None = None) -> PartialUpload:
    whose = true() if owner is None else uploads.c.owner == owner
    query = select(*_UPLOAD).where(uploads.c.id == upload_id, uploads.c.expires_at > now, whose)
    row = db.execute(query).one_or_none()
    if row is None:
        raise UploadNotFound(upload_id)
    return PartialUpload(**row._asdict())
