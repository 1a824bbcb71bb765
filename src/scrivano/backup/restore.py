"""A backup to a data folder.

The recordings are put in place first, and then the database, by one rename. A restore that is interrupted before it
leaves the data folder as it was, except for recordings that belong to no job, which the server deletes when it starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from scrivano.backup.archive import Manifest, Member, read_archive
from scrivano.backup.locked_folder import locked_folder
from scrivano.domain.errors import StartError
from scrivano.files.disk import sync, sync_folder
from scrivano.files.folder_blobs import UPLOADS, FolderBlobs
from scrivano.store.snapshot import check_snapshot
from scrivano.store.sqlite import DATABASE, discard_wal

__all__ = ["restore"]

SUFFIX = ".restoring"


def restore(
    file: Path, data_dir: Path, *, force: bool, now: Callable[[], datetime], blob_url: str | None = None
) -> Manifest:
    """Put a backup into a data folder that no server uses. `force`: also if it has a database, which is replaced.

    `blob_url`: where the server looks for recordings, None: in the data folder. Raises `StartError`: the folder is in
    use or not empty, or the backup is damaged or has its recordings elsewhere; the folder is then as it was. Raises
    `StorageFull`, `OSError`: the folder cannot be written to.
    """
    with locked_folder(data_dir, now):
        database = data_dir / DATABASE
        if database.exists() and not force:
            raise StartError(
                f"{data_dir} has a database already: restore to another folder (--data-dir), or replace all of its"
                " jobs with --force"
            )
        new = database.with_name(DATABASE + SUFFIX)
        try:
            manifest = _extract_all(file, FolderBlobs(data_dir), new, blob_url)
            check_snapshot(new, f"the database in {file}")
            sync_folder(data_dir / UPLOADS, sync)
            discard_wal(database)
            new.replace(database)
            sync_folder(data_dir, sync)
        finally:
            new.unlink(missing_ok=True)
    return manifest


def _extract_all(file: Path, blobs: FolderBlobs, new_database: Path, blob_url: str | None) -> Manifest:
    with read_archive(file) as (manifest, members):
        if manifest.blob_url != blob_url:
            raise StartError(
                f"the recordings of this backup are {_place(manifest.blob_url)}, and this server looks for them"
                f" {_place(blob_url)}: set BLOB_URL as it was when the backup was made"
            )
        present = {_extract(member, blobs, new_database) for member in members}
    lacking = {DATABASE, *manifest.recordings} - present
    if lacking:
        raise StartError(f"{file} is not a complete backup: it lacks {', '.join(sorted(lacking))}")
    return manifest


def _place(blob_url: str | None) -> str:
    return "in the file itself" if blob_url is None else f"in {blob_url}"


def _extract(member: Member, blobs: FolderBlobs, new_database: Path) -> str:
    """Write one file of the archive. Returns its name there, without the folder."""
    if member.recording is None:
        _write(member, new_database)
        return DATABASE
    name, dot, ending = member.recording.partition(".")
    try:
        path = blobs.path(name)
    except ValueError as error:
        raise StartError(f"the backup contains a recording with the name {member.recording!r}") from error
    if dot and ending != "part":
        raise StartError(f"the backup contains a recording with the name {member.recording!r}")
    target = path.with_name(member.recording)
    written = target.with_name(target.name + SUFFIX)
    try:
        _write(member, written)
        written.replace(target)
    finally:
        written.unlink(missing_ok=True)  # The disk may be full of it.
    return member.recording


def _write(member: Member, path: Path) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as output:
        output.writelines(member.content)
        output.flush()
        sync(output.fileno())
    if path.stat().st_size != member.size_bytes:
        raise StartError(f"the backup was cut short: {path.name} is not complete")
