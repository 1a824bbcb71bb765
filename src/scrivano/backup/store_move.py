"""The jobs of a data folder into a PostgreSQL database, or back. Recordings stay where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from scrivano.domain.errors import StartError
from scrivano.domain.wording import counted
from scrivano.files.data_dir_lock import DataDirLock
from scrivano.store.copying import copy_store
from scrivano.store.postgres import PostgresDatabase
from scrivano.store.sqlite import DATABASE, SqliteDatabase

__all__ = ["move_store"]


def move_store(data_dir: Path, url: str, *, back: bool, now: Callable[[], datetime]) -> Mapping[str, int]:
    """Copy all jobs from the data folder to the database of the URL; `back`: from there to the data folder.

    Returns how many rows each table has. What is copied from stays as it is. Raises `StartError`: a server uses the
    data folder or the database, there is nothing to copy, or there are jobs already where it goes.
    """
    path = data_dir / DATABASE
    if not back and not path.is_file():
        raise StartError(f"{data_dir} is not the data folder of a server: it has no {DATABASE}; set DATA_DIR")
    with ExitStack() as cleanup:
        cleanup.callback(DataDirLock(data_dir, since=now()).release)
        shared = PostgresDatabase.open(url)
        cleanup.callback(shared.close)
        if running := shared.count_listeners():
            raise StartError(
                f"the PostgreSQL database is in use by {counted(running, 'process')}: stop all servers and"
                " dispatchers, then try again"
            )
        file = SqliteDatabase.open(path)
        cleanup.callback(file.close)
        return copy_store(shared, file) if back else copy_store(file, shared)
