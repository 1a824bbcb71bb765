"""What a BLOB_URL means: a folder that several machines have mounted, or a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from scrivano.domain.errors import StartError
from scrivano.files.audio_objects import AudioObjects, BucketAudio, FolderAudio
from scrivano.files.blobs import Blobs
from scrivano.files.disk_space import DiskSpace
from scrivano.files.folder_blobs import FolderBlobs

if TYPE_CHECKING:
    from scrivano.files.bucket import Bucket

__all__ = ["folder_of", "open_audio", "open_recordings"]


def open_recordings(
    url: str,
    root: Path,
    *,
    cache_bytes: int,
    disk_space: DiskSpace,
    min_free_bytes: int = 0,
    redirect_s: float | None = None,
) -> Blobs:
    """The recordings at a URL; the caller closes them. `root`: a folder of this process, and `disk_space`: of its disk;
    `min_free_bytes`: of that of a shared folder. For the others see `ObjectBlobs`. Raises `StartError`.
    """
    if url.startswith("file:"):
        folder = _folder(url)
        return FolderBlobs(folder, shared=True, disk_space=DiskSpace(folder, min_free_bytes=min_free_bytes))
    bucket = _bucket(url)
    from scrivano.files.object_blobs import ObjectBlobs

    return ObjectBlobs(bucket, root, cache_bytes=cache_bytes, disk_space=disk_space, redirect_s=redirect_s)


def open_audio(url: str) -> AudioObjects:
    """The prepared audio at a URL; the caller closes it. Raises `StartError`."""
    return AudioObjects(FolderAudio(_folder(url)) if url.startswith("file:") else BucketAudio(_bucket(url)))


def folder_of(url: str) -> Path:
    """What a `file:` URL means."""
    return Path(unquote(urlsplit(url).path))


def _folder(url: str) -> Path:
    folder = folder_of(url)
    if not folder.is_dir():  # not created here: it may be on a disk that is not mounted
        raise StartError(f"BLOB_URL is {url!r}: there is no such folder, or this user may not see it")
    return folder


def _bucket(url: str) -> Bucket:
    try:
        # An extra, which may not be installed; and nobody else should wait for the import.
        from scrivano.files.bucket import Bucket
    except ImportError as error:
        raise StartError(f"BLOB_URL is {url!r}, which needs an extra: pip install 'scrivano[s3]'") from error
    return Bucket(url)
