"""Work that is due because time has passed.

May import: domain, files, store.

Modules, each may import only those below it:

    local_copies delete this machine's copies of recordings that another server has ended
    orphans      delete recordings that belong to no job
    retention    delete ended jobs after RETENTION_HOURS, and expired uploads
    unneeded     what nothing has needed for some time
    clock_jumps  detect jumps of the wall clock
"""

__all__ = ["clock_jumps", "local_copies", "orphans", "retention"]
