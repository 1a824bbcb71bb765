"""A data folder as one file and back again, and the jobs of an earlier server.

May import: domain, files, store, text.

Modules, each may import only those below it:

    backup          a data folder, used by a server or not, to one file
    restore         such a file to a data folder
    migration       the jobs of an earlier server into a data folder
    store_move      the jobs of a data folder into a PostgreSQL database, or back
    locked_folder   a data folder that is as it was before if a command fails
    archive         the file: a manifest, the database and the recordings
    earlier_server  the files of an earlier server (pure)
"""

__all__ = ["backup", "migration", "restore", "store_move"]
