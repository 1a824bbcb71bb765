"""Which implementation of `Blobs` the settings choose."""

from __future__ import annotations

import logging

from scrivano.domain.errors import StorageFull, StorageUnreachable
from scrivano.files.blob_url import open_recordings
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
    blobs = open_recordings(
        settings.blob_url,
        settings.data_dir,
        cache_bytes=settings.blob_cache_bytes,
        disk_space=disk_space,
        min_free_bytes=settings.min_free_bytes,
        redirect_s=settings.blob_redirect_secs,
    )
    try:
        blobs.check()
    except (StorageUnreachable, StorageFull) as error:
        logger.warning("starting although no recording can be stored now: %s", error)
    except BaseException:
        blobs.close()
        raise
    return blobs
