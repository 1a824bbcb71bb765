"""A PostgreSQL on this machine, for a while."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scrivano.domain.errors import StartError

__all__ = ["Postgres", "postgres_is_missing", "private_postgres"]


def postgres_is_missing() -> str | None:
    """Why there can be no private PostgreSQL; None: there can."""
    if _postgres_binaries() is None:
        return "PostgreSQL is not installed (Debian, Ubuntu: apt install postgresql)"
    if os.getuid() == 0 and _postgres_user() is None:
        return "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`"
    return None


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL with a database. `user`: as whom it runs; None: as this process. `durable`: what is
    committed survives the machine, too."""

    folder: Path
    binaries: Path
    user: str | None
    durable: bool = False

    @property
    def url(self) -> str:
        return f"postgresql://scrivano@/postgres?host={self.folder}"

    @property
    def pid(self) -> int:
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        # It listens on a socket in its own folder only.
        fsync = "on" if self.durable else "off"
        server = f"-k {self.folder} -c listen_addresses= -c fsync={fsync} -c max_connections=200"
        self._control("start", "--options", server, "--log", str(self.folder / "log"))

    def kill(self) -> None:
        """As if it had crashed: it recovers when it is started."""
        self._control("stop", "--mode", "immediate")

    def _control(self, *command: str) -> None:
        _run_as(self.user, [str(self.binaries / "pg_ctl"), "--pgdata", str(self.folder / "data"), "--wait", *command])


@contextmanager
def private_postgres(folder: Path, *, durable: bool = False) -> Iterator[Postgres]:
    """With a new database in `folder`, on a socket there. Raises `StartError`."""
    binaries, user = _postgres_binaries(), _postgres_user() if os.getuid() == 0 else None
    if (reason := postgres_is_missing()) is not None or binaries is None:
        raise StartError(reason or "")
    folder.mkdir()
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    options = ["--username=scrivano", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    _run_as(user, [str(binaries / "initdb"), "--pgdata", str(data), *options])
    folder.chmod(0o755)
    postgres = Postgres(folder, binaries, user, durable)
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.kill()


def _run_as(user: str | None, command: Sequence[str]) -> None:
    prefix = ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups"] if user is not None else []
    # The server keeps its output open for as long as it runs: a pipe would never end.
    ended = subprocess.run(
        [*prefix, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
    )
    if ended.returncode:
        raise StartError(f"PostgreSQL: {Path(command[0]).name} failed")


def _postgres_binaries() -> Path | None:
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def _postgres_user() -> str | None:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((user for user in ("postgres", "nobody") if user in known), None)
