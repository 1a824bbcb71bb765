"""The only writing of files under DATA_DIR.

May import: domain.

Modules, each may import only those below it:

    blobs       recordings, prepared audio, and the lock of the data folder
    disk_space  free space and the reserve
"""

__all__ = ["blobs", "disk_space"]
