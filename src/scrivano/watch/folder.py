"""The files of a watched folder: its recordings, and the sidecars beside them."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path, PurePath

from scrivano.domain.errors import ServerStopping
from scrivano.domain.file_endings import is_recording_name
from scrivano.watch.settling import Stamp

__all__ = ["JOURNAL", "Folder", "error_name", "sidecar_names"]

JOURNAL = ".scrivano-watch.json"
ERROR = ".error"
READ_BYTES = 1024 * 1024


class Folder:
    """Names are relative to the folder, with `/`. `stopping` ends a long read."""

    def __init__(self, root: Path, stopping: Callable[[], bool] = lambda: False) -> None:
        self.root = root
        self._stopping = stopping

    def scan(self) -> dict[str, Stamp]:
        """The recordings in the folder and its subfolders; hidden ones are left out. Raises `OSError`.

        Regular files only, and links to them: to open a pipe would wait for whoever writes to it.
        """
        os.listdir(self.root)  # `os.walk` says nothing of a folder that is gone.
        found = {}
        for folder, subfolders, files in os.walk(self.root):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            for name in files:
                if is_recording_name(name):
                    path = Path(folder) / name
                    with suppress(OSError):  # It has been moved away in the meantime.
                        status = path.stat()
                        if stat.S_ISREG(status.st_mode):
                            found[path.relative_to(self.root).as_posix()] = Stamp(status.st_size, status.st_mtime_ns)
        return found

    def path(self, name: str) -> Path:
        return self.root / name

    def stamp(self, name: str) -> Stamp | None:
        try:
            status = self.path(name).stat()
        except OSError:
            return None
        return Stamp(status.st_size, status.st_mtime_ns)

    def sha256(self, name: str) -> str:
        """Raises `OSError`, `ServerStopping`."""
        state = hashlib.sha256()
        with self.path(name).open("rb") as file:
            while data := file.read(READ_BYTES):
                if self._stopping():
                    raise ServerStopping
                state.update(data)
        return state.hexdigest()

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    def read(self, name: str) -> str | None:
        """None: there is no such file, or another program wrote it in its own encoding. Raises `OSError`."""
        try:
            return self.path(name).read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def write(self, name: str, text: str) -> None:
        """Replace a file in one step: who looks sees the earlier file, or all of the new one. Raises `OSError`."""
        path = self.path(name)
        temporary = path.with_name(temporary_name(path.name))
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise

    def check_place(self, names: Iterable[str]) -> None:
        """Find out, without a trace, whether files with these names can be written. Raises `OSError` if not."""
        for name in names:
            self.exists(name)  # Raises for a name that is too long.
            folder = self.path(name).parent
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "this user may not write to the folder", str(folder))

    def delete(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)


def sidecar_names(name: str, extensions: Collection[str], others: Collection[str]) -> dict[str, str]:
    """The names of a recording's sidecars, by their extensions: `a.mp3` has `a.srt`, as players expect it.

    `others`: all recordings. Where two in a folder differ only in their endings, they have `a.mp3.srt`, `a.wav.srt`.
    """
    path = PurePath(name)
    stems = Counter(str(PurePath(other).with_suffix("")) for other in {*others, name})
    base = path if stems[str(path.with_suffix(""))] > 1 else path.with_suffix("")
    return {extension: f"{base.as_posix()}.{extension}" for extension in extensions}


def error_name(name: str) -> str:
    return f"{name}{ERROR}"


def temporary_name(name: str) -> str:
    """The same for a file each time, so that what a killed process left is replaced. It does not grow with the name."""
    return f".scrivano-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.part"
