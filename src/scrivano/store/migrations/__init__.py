"""The schema's history, one revision a file in `versions/`: `r0001.py`, `r0002.py`, … each named by its revision.

A released revision never changes, and none imports the tables of today. Alembic takes half a second to import, so
it is imported only where there is something to migrate: which revisions exist is read from the file names.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

__all__ = ["FOLDER", "current_revision", "revisions", "upgrade"]

FOLDER = Path(__file__).parent


def revisions(folder: Path = FOLDER) -> list[str]:
    """Every revision that this version knows, oldest first."""
    return sorted(path.stem for path in (folder / "versions").glob("r*.py"))


def current_revision(db: Connection) -> str | None:
    """The revision that the database is at; None: it is new. An empty string: its tables are not ours."""
    tables = inspect(db).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        return ""
    return db.scalar(text("SELECT version_num FROM alembic_version")) or ""


def upgrade(db: Connection, folder: Path = FOLDER) -> None:
    """Bring the schema to the newest revision, inside the caller's transaction: all of it, or nothing."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": db})
    # Alembic expands % in its options.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    command.upgrade(config, "head")
