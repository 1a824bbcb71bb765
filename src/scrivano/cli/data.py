"""`scrivano backup`, `restore`, `migrate` and `migrate-store`: the data folder as a whole."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scrivano import __version__
from scrivano.cli.console import ExitCode, end_as_exception, exit_on_start_error, fail, stderr_console
from scrivano.domain.wording import counted

if TYPE_CHECKING:
    from scrivano.server.settings import Settings

__all__ = ["backup", "migrate", "migrate_store", "restore"]

DataDir = Annotated[Path | None, typer.Option(help="The server's data folder.  [default: DATA_DIR]")]


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write: NAME.tar, or compressed NAME.tar.gz.")],
    data_dir: DataDir = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write all jobs and recordings to one file. The server may go on working.

    The file contains transcripts and recordings; only this user may read it. API_KEYS_FILE is not in it.
    """
    from scrivano.backup.backup import back_up

    if file.exists() and not force:
        fail(f"{file} exists: choose another name, or use --force")
    settings = _settings(data_dir)
    with _errors(file, settings):
        manifest = back_up(settings.data_dir, file, version=__version__, now=_now, blob_url=settings.blob_url)
    contents = f"{counted(manifest.jobs, 'job')}, {counted(len(manifest.recordings), 'recording')}"
    print(f"wrote {file}: {contents}, {file.stat().st_size / 1e6:.1f} MB")
    if file.resolve().parent == settings.data_dir.resolve():
        stderr_console().print(
            "it lies in the data folder itself, and is lost together with it: copy it elsewhere", soft_wrap=True
        )
    if manifest.blob_url is not None:
        stderr_console().print(
            f"the recordings of jobs are in {manifest.blob_url}, and not in this file: back them up there",
            soft_wrap=True,
        )
    if manifest.missing:
        stderr_console().print(
            f"jobs whose recordings had been lost before: {', '.join(manifest.missing)}", soft_wrap=True, markup=False
        )


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `scrivano backup` has written.")],
    data_dir: DataDir = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the jobs of the data folder.")] = False,
) -> None:
    """Put a backup into a data folder. Its server must be stopped. Unfinished jobs go on when the server starts.

    If the file is damaged, nothing changes.
    """
    from scrivano.backup.restore import restore as put_back

    settings = _settings(data_dir)
    folder = settings.data_dir
    with _errors(folder, settings):
        manifest = put_back(file, folder, force=force, now=_now, blob_url=settings.blob_url)
    print(
        f"restored {folder} as of {manifest.created_at}: {counted(manifest.jobs, 'job')},"
        f" {counted(len(manifest.recordings), 'recording')} (written by Scrivano {manifest.version})"
    )


def migrate(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="The DATA_DIR of the earlier server.")],
    data_dir: DataDir = None,
) -> None:
    """Add the jobs of the earlier server ({id}.json) to a data folder. Its server must be stopped.

    The command can be repeated: it does not change jobs that are there already. Exit code 1: some files are not jobs.
    """
    from scrivano.backup.migration import migrate as add_jobs
    from scrivano.files.disk_space import DiskSpace
    from scrivano.server.blob_storage import open_blobs

    settings = _settings(data_dir)
    folder = settings.data_dir
    with _errors(folder, settings):
        done = add_jobs(source, folder, lambda: open_blobs(settings, DiskSpace(folder)), now=_now)
    for path, reason in done.refused.items():
        stderr_console().print(f"{path}: {reason}", soft_wrap=True, markup=False)
    print(
        f"added {counted(done.migrated, 'job')} to {folder} (with a recording: {done.recordings});"
        f" already there: {done.present}; files that are not jobs: {len(done.refused)}"
    )
    raise typer.Exit(ExitCode.FAILED if done.refused else ExitCode.OK)


def migrate_store(
    data_dir: DataDir = None,
    database_url: Annotated[
        str | None, typer.Option(help="A PostgreSQL database that has no jobs.  [default: DATABASE_URL]")
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="From the PostgreSQL database to the data folder.")] = False,
) -> None:
    """Copy all jobs of a data folder to PostgreSQL, once, before servers share it. Stop all servers first.

    Nothing is deleted. Recordings are not copied: move them to where BLOB_URL says. Then start the servers with
    DATABASE_URL and BLOB_URL.
    """
    from scrivano.backup.store_move import move_store
    from scrivano.server.settings import Settings

    with exit_on_start_error():
        settings = Settings.load({"data_dir": data_dir, "database_url": database_url})
    if settings.database_url is None:
        fail("name the PostgreSQL database: set DATABASE_URL, or use --database-url")
    with _errors(settings.data_dir, settings):
        counts = move_store(settings.data_dir, settings.database_url.get_secret_value(), back=back, now=_now)
    jobs, events = counted(counts["jobs"], "job"), counted(counts["events"], "event")
    print(f"copied {jobs}, {events} and {counted(counts['deliveries'], 'webhook delivery')}")
    place = "the folder uploads of DATA_DIR" if back else "where BLOB_URL says"
    stderr_console().print(
        f"recordings were not copied: move them to {place} before a server starts", soft_wrap=True, markup=False
    )


def _settings(data_dir: Path | None) -> Settings:
    """The settings of a server that has its jobs in its data folder."""
    from scrivano.server.settings import Settings

    with exit_on_start_error():
        settings = Settings.load({"data_dir": data_dir})
    if settings.database_url is not None:
        fail(
            "the jobs are in PostgreSQL (DATABASE_URL), and not in the data folder: back it up with"
            ' pg_dump --format=custom --file=FILE "$DATABASE_URL", and restore it with pg_restore'
        )
    return settings


@contextmanager
def _errors(written: Path, settings: Settings) -> Iterator[None]:
    """Exits with a message. What root writes belongs to the server's user afterwards."""
    from scrivano.domain.errors import StorageFull, StorageUnreachable
    from scrivano.files.ownership import owned_like_folder

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            signal.signal(number, end_as_exception)
    with exit_on_start_error(), owned_like_folder(settings.data_dir, *_shared_folder(settings)):
        try:
            yield
        except (StorageFull, StorageUnreachable) as error:
            fail(str(error), ExitCode.FAILED)
        except OSError as error:
            fail(f"cannot write {written} ({error.strerror or error})", ExitCode.FAILED)


def _shared_folder(settings: Settings) -> Iterator[Path]:
    """Where recordings are, if that is a folder outside of the data folder."""
    from scrivano.files.blob_url import folder_of

    if settings.blob_url is not None and settings.blob_url.startswith("file:"):
        yield folder_of(settings.blob_url)


def _now() -> datetime:
    return datetime.now(UTC)
