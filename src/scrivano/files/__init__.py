"""Recordings, free space and the lock of the data folder, under DATA_DIR.

May import: domain.

Modules, each may import only those below it:

    data_dir_lock  one server per data folder
    staging        recordings that a backup keeps meanwhile
    prepared       the files of running attempts
    blob_url       what a BLOB_URL means
    object_blobs   recordings as objects in a bucket
    blob_cache     such recordings as files on this machine
    folder_blobs   recordings as files in a folder
    audio_objects  parts of prepared audio, for other machines
    bucket         a prefix in a bucket of an S3 server
    blobs          where recordings are stored: the interface
    blob_writer    the bytes of an upload on their way to disk
    disk_space     free space and the reserve
    ownership      what root makes in another user's folder
    disk           folders, fsync, and errors of a full disk
"""

__all__ = [
    "audio_objects",
    "blob_url",
    "blob_writer",
    "blobs",
    "data_dir_lock",
    "disk",
    "disk_space",
    "folder_blobs",
    "ownership",
    "prepared",
    "staging",
]
