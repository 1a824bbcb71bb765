"""Resumable uploads: how many bytes of each are stored, and which job it became.

As in `store.jobs`, any thread may call, a method returns after its commit, and methods that write may raise
`StorageFull`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, true, update

from scrivano.domain.errors import UploadNotFound
from scrivano.store.database import Database
from scrivano.store.tables import uploads

__all__ = ["PartialUpload", "UploadStore", "job_of", "set_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialUpload:
    """A recording that arrives in several requests, and becomes the job of the same id when it is complete.

    `offset_bytes` of its `size_bytes` are on disk and have been acknowledged. `metadata` is the client's
    `Upload-Metadata`, unparsed. `job_id`: the job that it became; None: it is not complete. `owner`: the id of the API
    key that created it, and that owns the job.
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
    """Methods with an `owner` see only uploads of this API key; None: all uploads."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def add(self, upload: PartialUpload) -> None:
        with self._database.write() as db:
            db.execute(insert(uploads), {column.name: getattr(upload, column.name) for column in _UPLOAD})

    def get(self, upload_id: str, *, owner: str | None = None) -> PartialUpload:
        """Raises `UploadNotFound`, also if the upload has expired."""
        with self._database.read() as db:
            return _upload(db, upload_id, self._now(), owner)

    def set_offset(self, upload_id: str, offset_bytes: int, expires_at: datetime) -> None:
        """Record how many bytes are on disk, fsynced, and a new expiry. Raises `UploadNotFound`."""
        values = {"offset_bytes": offset_bytes, "expires_at": expires_at}
        with self._database.write() as db:
            if not db.execute(update(uploads).where(uploads.c.id == upload_id).values(values)).rowcount:
                raise UploadNotFound(upload_id)

    def pending(self) -> list[PartialUpload]:
        """Uploads that have not become a job, oldest first."""
        with self._database.read() as db:
            query = select(*_UPLOAD).where(uploads.c.job_id.is_(None)).order_by(uploads.c.created_at, uploads.c.id)
            return [PartialUpload(**row._asdict()) for row in db.execute(query)]

    def delete(self, upload_id: str) -> PartialUpload:
        """Delete an upload and return it; the job that it became stays. Raises `UploadNotFound`."""
        with self._database.write() as db:
            upload = _upload(db, upload_id, self._now(), lock=True)
            db.execute(delete(uploads).where(uploads.c.id == upload_id))
        return upload

    def expire(self, limit: int) -> list[PartialUpload]:
        """Delete expired uploads, at most `limit`, and return them."""
        query = select(*_UPLOAD).where(uploads.c.expires_at <= self._now()).order_by(uploads.c.expires_at).limit(limit)
        query = query.with_for_update(skip_locked=True)
        with self._database.write() as db:
            expired = [PartialUpload(**row._asdict()) for row in db.execute(query)]
            db.execute(delete(uploads).where(uploads.c.id.in_([upload.id for upload in expired])))
        return expired


# These two run within the transaction of `store.jobs` that adds the job, so that an upload becomes one job only.


def job_of(db: Connection, upload_id: str, now: datetime) -> str | None:
    """The job that the upload became, if any. Raises `UploadNotFound`, also if the upload has expired."""
    return _upload(db, upload_id, now, lock=True).job_id


def set_job(db: Connection, upload_id: str, job_id: str) -> None:
    db.execute(update(uploads).where(uploads.c.id == upload_id).values(job_id=job_id))


def _upload(
    db: Connection, upload_id: str, now: datetime, owner: str | None = None, *, lock: bool = False
) -> PartialUpload:
    visible = true() if owner is None else uploads.c.owner == owner
    query = select(*_UPLOAD).where(uploads.c.id == upload_id, uploads.c.expires_at > now, visible)
    row = db.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise UploadNotFound(upload_id)
    return PartialUpload(**row._asdict())
