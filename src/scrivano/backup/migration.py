"""The jobs of an earlier server into a data folder that no server uses. Jobs that are there already stay."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from scrivano.backup.earlier_server import EarlierJob, read_job
from scrivano.backup.locked_folder import locked_folder
from scrivano.domain.errors import StartError
from scrivano.files.blob_writer import Blob
from scrivano.files.blobs import Blobs
from scrivano.store.database import Database
from scrivano.store.imports import import_job
from scrivano.store.sqlite import DATABASE, SqliteDatabase
from scrivano.text.assembly import segments_json

__all__ = ["Migration", "migrate"]

READ_BYTES = 1024 * 1024


@dataclass(slots=True)
class Migration:
    """`migrated`, `present`: numbers of jobs. `refused`: the files that are not jobs, and why."""

    migrated: int = 0
    recordings: int = 0
    present: int = 0
    refused: dict[Path, str] = field(default_factory=dict)


def migrate(source: Path, data_dir: Path, open_blobs: Callable[[], Blobs], *, now: Callable[[], datetime]) -> Migration:
    """Add the jobs of the earlier server's data folder `source`, which is only read, and their recordings to the
    blobs. May be repeated. Where there is no job that can be read, nothing is written.

    Raises `StartError`: a server uses one of the folders, or there are no jobs.
    """
    files = list(_job_files(source))
    if not files:
        raise StartError(f"{source} has no jobs of the earlier server: no files that are named like {{job id}}.json")
    if source.resolve() == data_dir.resolve():
        raise StartError(f"{source} is this server's own data folder: name another folder with --data-dir")
    done = Migration()
    if not any(_read(file, done) for file in files):
        return done
    with ExitStack() as cleanup:
        cleanup.enter_context(locked_folder(data_dir, now))
        blobs = cleanup.enter_context(closing(open_blobs()))
        database = cleanup.enter_context(closing(SqliteDatabase.open(data_dir / DATABASE)))
        for file in files:
            earlier = _read(file, done)
            if earlier is not None:
                _add(database, blobs, file, earlier, done)
    return done


def _read(file: Path, done: Migration) -> EarlierJob | None:
    try:
        return read_job(file.read_bytes(), file.stem)
    except (ValueError, OSError) as error:
        done.refused[file] = str(error)
        return None


def _add(database: Database, blobs: Blobs, file: Path, earlier: EarlierJob, done: Migration) -> None:
    """The recording first: a job in the database has its recording, however this ends."""
    recording = _recording(file)
    blob = _store(blobs, earlier.job.id, recording) if recording is not None else Blob(hashlib.sha256().hexdigest(), 0)
    if import_job(
        database, earlier.job, segments_json(earlier.segments), audio_sha256=blob.sha256, audio_bytes=blob.size_bytes
    ):
        done.migrated += 1
        done.recordings += recording is not None
    else:
        done.present += 1


def _job_files(folder: Path) -> Iterator[Path]:
    """In the folder or its subfolders: files that are named like a job id."""
    if not folder.is_dir():
        raise StartError(f"{folder} is not a folder: name the DATA_DIR of the earlier server")
    yield from (path for path in sorted(folder.rglob("*.json")) if len(path.stem) == 36 and path.stem.count("-") == 4)


def _recording(file: Path) -> Path | None:
    """The recording of a job, if the earlier server has kept it: the file of the same name with another ending."""
    beside = sorted(file.parent.glob(f"{file.stem}*"))
    return next((path for path in beside if path != file and path.is_file() and path.stat().st_size), None)


def _store(blobs: Blobs, job_id: str, recording: Path) -> Blob:
    with suppress(FileNotFoundError), closing(blobs.open(job_id)) as stored:  # by a migration that was interrupted
        digest = hashlib.sha256()
        for start in range(0, stored.size_bytes, READ_BYTES):
            digest.update(stored.read(start, READ_BYTES))
        return Blob(digest.hexdigest(), stored.size_bytes)
    with recording.open("rb") as source, blobs.create(job_id) as writer:
        while data := source.read(READ_BYTES):
            writer.write(data)
        return writer.commit()
