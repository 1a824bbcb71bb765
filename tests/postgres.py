"""A private PostgreSQL for tests: Debian's binaries, a folder that is deleted, a socket in it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

# PostgreSQL refuses to run as root: it gets one of these users.
USERS = ("postgres", "nobody")


def postgres_is_missing() -> str | None:
    """Why the tests with PostgreSQL cannot run; None: they can."""
    if _binaries() is None:
        return "PostgreSQL is not installed"
    if os.getuid() == 0 and _user() is None:
        return "there is no user for PostgreSQL, which refuses to run as root"
    return None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running PostgreSQL. Without fsync: what it stores does not survive the machine, and that is enough here."""

    folder: Path
    binaries: Path

    def url(self, name: str) -> str:
        return f"postgresql://scrivano@/{name}?host={self.folder}"

    @contextmanager
    def database(self, template: str | None = None) -> Iterator[str]:
        """The URL of a new database, which is deleted at the end. `template`: the name of one that it is a copy of."""
        name = f"d{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        engine = sa.create_engine(
            sa.make_url(self.url("postgres")).set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
        )
        with engine.connect() as db:
            db.execute(sa.text(statement))

    def start(self) -> None:
        # It listens on a socket in its own folder only.
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off -c max_connections=200"
        self._control("start", "--options", options, "--log", str(self.folder / "log"))

    def stop(self, mode: str = "immediate") -> None:
        self._control("stop", "--mode", mode)

    def _control(self, *command: str) -> None:
        _run([str(self.binaries / "pg_ctl"), "--pgdata", str(self.folder / "data"), "--wait", "-t", "120", *command])


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Takes a few seconds. Ends PostgreSQL in any case."""
    binaries = _binaries()
    assert binaries is not None
    # The path of a socket may have 107 bytes, which the folders of pytest can exceed.
    folder = Path(tempfile.mkdtemp(prefix="scrivano-pg-"))
    try:
        if (user := _user()) is not None and os.getuid() == 0:
            shutil.chown(folder, user)
        options = ["--username=scrivano", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        _run([str(binaries / "initdb"), "--pgdata", str(folder / "data"), *options])
        folder.chmod(0o755)
        cluster = Cluster(folder, binaries)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str]) -> None:
    prefix = ["setpriv", f"--reuid={_user()}", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []
    # The server keeps the output open for as long as it runs: a pipe would never end.
    with tempfile.TemporaryFile() as output:
        ended = subprocess.run([*prefix, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
        output.seek(0)
        assert ended.returncode == 0, output.read().decode()


def _binaries() -> Path | None:
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def _user() -> str | None:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((user for user in USERS if user in known), None)
