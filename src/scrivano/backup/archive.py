"""The file of a backup: a tar archive of a manifest, the database and the recordings.

The manifest comes first, so that a reader knows what must follow: an archive that was cut short is noticed.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from scrivano.domain.errors import StartError
from scrivano.store.sqlite import DATABASE

__all__ = ["Manifest", "Member", "check_name", "read_archive", "write_archive"]

MANIFEST, UPLOADS = "manifest.json", "uploads/"
FORMAT = 1

READ_BYTES = 1024 * 1024

COMPRESSED = (".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`created_at`: ISO 8601. `revision`: of the database's schema. `recordings`: bytes of each, by file name.

    `missing`: jobs that would need a recording and had none when the backup was made. `blob_url`: where the
    recordings of jobs are instead; None: in this file.
    """

    version: str
    created_at: str
    revision: str
    jobs: int
    database_bytes: int
    recordings: Mapping[str, int]
    missing: tuple[str, ...] = ()
    blob_url: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the archive. `recording` None: the database. `content` raises `StartError`."""

    recording: str | None
    content: Iterator[bytes]
    size_bytes: int


def check_name(file: Path) -> None:
    """Raises `StartError` for an ending of another kind of file than the one that would be written."""
    if not file.name.endswith((".tar", *COMPRESSED)):
        raise StartError(
            f"a backup is a tar archive, and {file.name!r} does not end like one: choose a name that ends in .tar, or"
            " in .tar.gz or .tgz for a compressed one"
        )


def write_archive(file: Path, manifest: Manifest, database: Path, recordings: Mapping[str, Path]) -> None:
    """Write the archive under another name, and rename it when it is complete and on disk. For this user only. What
    was written before an error is deleted: the disk may be full of it.

    Of each recording as many bytes are written as the manifest says: an unfinished upload may grow meanwhile.
    """
    part = file.with_name(f"{file.name}.part")
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(fd, "wb") as output:
            with _opened(file, output) as tar:
                text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1).encode()
                _add(tar, MANIFEST, io.BytesIO(text), len(text))
                with database.open("rb") as content:
                    _add(tar, DATABASE, content, manifest.database_bytes)
                for name, size_bytes in manifest.recordings.items():
                    with recordings[name].open("rb") as content:
                        _add(tar, UPLOADS + name, content, size_bytes)
            output.flush()
            os.fsync(output.fileno())
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def read_archive(file: Path) -> Iterator[tuple[Manifest, Iterator[Member]]]:
    """The manifest, and the files in their order. Raises `StartError`, also while the files are read."""
    with _read_errors(file):
        tar = tarfile.open(file, mode="r|*")  # noqa: SIM115  # errors of the caller's block are not errors of the file
    with closing(tar):
        with _read_errors(file):
            manifest = _manifest(file, tar)
        yield manifest, _members(file, tar)


@contextmanager
def _read_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise StartError(f"{file} is not a complete backup of Scrivano ({error})") from error
    except OSError as error:
        raise StartError(f"cannot read the backup {file} ({error.strerror or error})") from error


def _opened(file: Path, output: IO[bytes]) -> tarfile.TarFile:
    if file.name.endswith(COMPRESSED):
        return tarfile.open(fileobj=output, mode="w:gz")
    return tarfile.open(fileobj=output, mode="w")


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size_bytes: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size_bytes, 0o600
    tar.addfile(info, content)


def _manifest(file: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == MANIFEST else None
    if content is None:
        raise StartError(f"{file} is not a backup of Scrivano: it does not begin with {MANIFEST}")
    try:
        values = json.loads(content.read())
        if values.pop("format") != FORMAT:
            raise StartError(f"{file} was made by a later version of Scrivano: restore it with that version")
        return Manifest(**{**values, "missing": tuple(values.get("missing", ()))})
    except (ValueError, TypeError, KeyError) as error:
        raise StartError(f"{file} is not a backup of Scrivano: its {MANIFEST} is damaged ({error})") from error


def _members(file: Path, tar: tarfile.TarFile) -> Iterator[Member]:
    while (info := _next(file, tar)) is not None:
        content = tar.extractfile(info) if info.isreg() else None
        known = info.name == DATABASE or info.name.startswith(UPLOADS)
        if content is None or not known:
            raise StartError(f"{file} is not a backup of Scrivano: it contains {info.name!r}")
        yield Member(
            None if info.name == DATABASE else info.name.removeprefix(UPLOADS), _blocks(file, content), info.size
        )


def _next(file: Path, tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    with _read_errors(file):
        return tar.next()


def _blocks(file: Path, content: IO[bytes]) -> Iterator[bytes]:
    while True:
        with _read_errors(file):
            data = content.read(READ_BYTES)
        if not data:
            return
        yield data
