"""The history of the schema: one revision a file in `versions/`, named `r0001.py`, `r0002.py`, …

A released revision never changes, and no revision imports the current tables. Importing Alembic takes half a second, so
it is imported only if there is something to migrate; the known revisions are read from the file names.
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
    """The revision of the database. None: it is new. An empty string: it is not a database of Scrivano."""
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
