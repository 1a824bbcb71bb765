"""A data folder to one file, while a server uses it or not.

A job in the file has its recording. A running server deletes recordings and adds others meanwhile, so all recordings
are linked into a folder of their own before the database is copied, and again afterwards. A job may still have come
and gone between the two; then the database is copied once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scrivano.backup.archive import Manifest, check_name, write_archive
from scrivano.domain.errors import StartError
from scrivano.domain.job import utc
from scrivano.files.data_dir_lock import DataDirLock
from scrivano.files.staging import Staging
from scrivano.store.snapshot import Snapshot, take_snapshot
from scrivano.store.sqlite import DATABASE

__all__ = ["back_up"]

# How often the database is copied. A job that needs a recording and never had one would repeat it for ever.
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class _Collected:
    snapshot: Snapshot
    recordings: dict[str, Path]
    missing: tuple[str, ...]


def back_up(
    data_dir: Path, file: Path, *, version: str, now: Callable[[], datetime], blob_url: str | None = None
) -> Manifest:
    """Write a backup of the data folder to `file`. Returns what it contains. Raises `StartError`, `OSError`.

    `blob_url`: where the recordings of jobs are; they are not copied then.
    """
    if not (data_dir / DATABASE).is_file():
        raise StartError(
            f"{data_dir} is not the data folder of a server: it has no {DATABASE}; name it with --data-dir"
        )
    check_name(file)
    _check_place(file, data_dir)
    with ExitStack() as cleanup:
        live = not cleanup.enter_context(_locked(data_dir, now()))
        staging = cleanup.enter_context(Staging(data_dir))
        collected = _collect(data_dir, staging, live=live, elsewhere=blob_url is not None)
        manifest = Manifest(
            version=version,
            created_at=utc(now()),
            revision=collected.snapshot.revision,
            jobs=collected.snapshot.jobs,
            database_bytes=collected.snapshot.path.stat().st_size,
            recordings={name: path.stat().st_size for name, path in collected.recordings.items()},
            missing=collected.missing,
            blob_url=blob_url,
        )
        write_archive(file, manifest, collected.snapshot.path, collected.recordings)
    return manifest


def _check_place(file: Path, data_dir: Path) -> None:
    """A container may have no other place to write than the data folder itself; its subfolders are the server's."""
    folder = file.resolve().parent
    if folder != data_dir.resolve() and folder.is_relative_to(data_dir.resolve()):
        raise StartError(
            f"{file} would lie in {folder}, where the server deletes what it does not know: write it elsewhere, best of"
            " all to another disk"
        )


@contextmanager
def _locked(data_dir: Path, since: datetime) -> Iterator[bool]:
    """Keep servers from starting meanwhile. Yields False if one is running."""
    try:
        lock = DataDirLock(data_dir, since=since)
    except StartError:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _collect(data_dir: Path, staging: Staging, *, live: bool, elsewhere: bool) -> _Collected:
    """`elsewhere`: the recordings of jobs are not in the data folder."""
    staging.link()
    for _ in range(ROUNDS):
        snapshot = take_snapshot(data_dir / DATABASE, staging.folder / DATABASE, live=live)
        staging.link()
        # Not more than the jobs and uploads of the copy: a later job's recording would belong to nothing.
        of_jobs = frozenset[str]() if elsewhere else snapshot.needed | snapshot.others
        found = {name: _recording(staging, snapshot, name) for name in of_jobs | snapshot.uploads}
        missing = sorted(name for name in found if found[name] is None and name not in snapshot.others)
        if not missing:
            break
    recordings = {path.name: path for path in found.values() if path is not None}
    return _Collected(snapshot, dict(sorted(recordings.items())), tuple(missing))


def _recording(staging: Staging, snapshot: Snapshot, name: str) -> Path | None:
    """An upload in several requests loses its ending shortly before it becomes a job."""
    part = staging.find(f"{name}.part") if name in snapshot.uploads else None
    return part or staging.find(name)
