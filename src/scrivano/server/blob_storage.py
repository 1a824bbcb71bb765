"""Which implementation of `Blobs` the settings choose."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scrivano.domain.errors import StartError, StorageFull, StorageUnreachable
from scrivano.files.blobs import Blobs
from scrivano.files.disk_space import DiskSpace
from scrivano.files.folder_blobs import FolderBlobs
from scrivano.server.settings import Settings

__all__ = ["open_blobs"]

logger = logging.getLogger(__name__)


def open_blobs(settings: Settings, disk_space: DiskSpace) -> Blobs:
    """The recordings of a server; the caller closes them. `disk_space`: of DATA_DIR.

    What is not in DATA_DIR is checked. If it only cannot be reached now, the server starts all the same: jobs wait for
    it. Raises `StartError` if it can never be used like this.
    """
    if settings.blob_url is None:
        return FolderBlobs(settings.data_dir, disk_space=disk_space)
    if settings.blob_url.startswith("file:"):
        blobs: Blobs = _shared_folder(settings.blob_url, settings.min_free_bytes)
    else:
        blobs = _object_store(settings, settings.blob_url, disk_space)
    try:
        blobs.check()
    except (StorageUnreachable, StorageFull) as error:
        logger.warning("starting although no recording can be stored now: %s", error)
    except BaseException:
        blobs.close()
        raise
    return blobs


def _shared_folder(url: str, min_free_bytes: int) -> Blobs:
    folder = Path(unquote(urlsplit(url).path))
    if not folder.is_dir():  # not created here: it may be on a disk that is not mounted
        raise StartError(f"BLOB_URL is {url!r}: there is no such folder, or this user may not see it")
    return FolderBlobs(folder, shared=True, disk_space=DiskSpace(folder, min_free_bytes=min_free_bytes))


def _object_store(settings: Settings, url: str, disk_space: DiskSpace) -> Blobs:
    try:
        # Extras, which may not be installed; and nobody else should wait for the import.
        from scrivano.files.bucket import Bucket
        from scrivano.files.object_blobs import ObjectBlobs
    except ImportError as error:
        raise StartError(f"BLOB_URL is {url!r}, which needs an extra: pip install 'scrivano[s3]'") from error
    return ObjectBlobs(
        Bucket(url),
        settings.data_dir,
        cache_bytes=settings.blob_cache_bytes,
        disk_space=disk_space,
        redirect_s=settings.blob_redirect_secs,
    )
