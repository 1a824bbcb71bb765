"""A disk as it is after a power cut: what was fsynced, and any part of what was not. Pure.

The model is stricter than today's file systems: a name lasts only once its folder was fsynced, and of what was written
to a file since its last fsync, any part may be there, in 512-byte sectors, whatever the order.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

SECTOR = 512

# Offset and data; no data: the file was truncated to this length.
Write = tuple[int, bytes]

# A system call that matters: `write` (path, offset, data), `append`, `cut`, `sync`, `create`, `remove`, `rename`, or
# `say` (output on stdout).
Op = tuple[Any, ...]


@dataclass(slots=True)
class File:
    """`kept`: the synced content; `loose`: writes since then, which may be lost."""

    kept: bytearray = field(default_factory=bytearray)
    loose: list[Write] = field(default_factory=list)
    size: int = 0

    def write(self, offset: int, data: bytes) -> None:
        self.loose.append((offset, data))
        self.size = max(self.size, offset + len(data))

    def cut(self, size: int) -> None:
        self.loose.append((size, b""))
        self.size = size

    def sync(self) -> None:
        self.kept, self.loose = bytearray(self.after(self.loose)), []

    def after(self, writes: list[Write]) -> bytes:
        content = bytearray(self.kept)
        for offset, data in writes:
            if not data:
                del content[offset:]
            content.extend(bytes(max(0, offset + len(data) - len(content))))
            content[offset : offset + len(data)] = data
        return bytes(content)

    def torn(self, lot: random.Random) -> bytes:
        """A content that a power cut might leave."""
        match lot.choice(("nothing", "everything", "the first", "some")):
            case "nothing":
                return bytes(self.kept)
            case "everything":
                return self.after(self.loose)
            case "the first":
                first = self.loose[: lot.randint(0, len(self.loose))]
                return self.after(first[:-1] + [_torn(one, lot) for one in first[-1:]])
            case _:
                return self.after([_torn(one, lot) for one in self.loose if lot.random() < 0.5])


def _torn(write: Write, lot: random.Random) -> Write:
    """The first sectors of a write; all of a short one."""
    offset, data = write
    sectors = len(data) // SECTOR
    return (offset, data[: SECTOR * lot.randint(1, sectors)]) if sectors > 1 else write


class Disk:
    """Files in one folder. Paths are as the process wrote them."""

    def __init__(self) -> None:
        self.files: dict[PurePath, File] = {}
        self._kept: dict[PurePath, File] = {}
        self._loose: list[tuple[PurePath, File | None]] = []

    def do(self, op: Op) -> None:
        match op:
            case ("create", PurePath() as path) if path not in self.files:
                self._name(path, File())
            case ("write", PurePath() as path, int(offset), bytes(data)):
                self.files[path].write(offset, data)
            case ("append", PurePath() as path, bytes(data)):
                self.files[path].write(self.files[path].size, data)
            case ("cut", PurePath() as path, int(size)):
                self.files[path].cut(size)
            case ("sync", PurePath() as path) if path in self.files:
                self.files[path].sync()
            case ("sync", PurePath() as folder):
                self._sync_folder(folder)
            case ("remove", PurePath() as path):
                self._name(path, None)
            case ("rename", PurePath() as old, PurePath() as new):
                file = self.files[old]
                self._name(new, file)
                self._name(old, None)

    def cut_off(self, lot: random.Random) -> Iterator[tuple[PurePath, bytes]]:
        """The files that exist after the power cut."""
        names = dict(self._kept)
        for path, file in self._loose[: lot.randint(0, len(self._loose))]:
            _set(names, path, file)
        for path, file in names.items():
            yield path, file.torn(lot)

    def _name(self, path: PurePath, file: File | None) -> None:
        _set(self.files, path, file)
        self._loose.append((path, file))

    def _sync_folder(self, folder: PurePath) -> None:
        for path, file in self._loose:
            if path.parent == folder:
                _set(self._kept, path, file)
        self._loose = [(path, file) for path, file in self._loose if path.parent != folder]


def _set(names: dict[PurePath, File], path: PurePath, file: File | None) -> None:
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


# The output of strace (`-y -xx`): every string in hexadecimal, every descriptor with its path.

_CALL = re.compile(r"^(\w+)\((.*)\) = (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PATH = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2})*)>")


def calls(trace: Iterator[str], folder: PurePath) -> Iterator[Op]:
    """The successful calls that affect the folder, and the output on stdout."""
    for line in trace:
        if (match := _CALL.match(line)) and not match[3].startswith("-"):
            yield from _op(match[1], match[2], int(match[3]), folder)


def _op(name: str, arguments: str, result: int, folder: PurePath) -> Iterator[Op]:
    at = _PATH.match(arguments)
    if name == "write" and at and at[1] == "1":
        yield "say", _bytes(arguments).decode()
        return
    texts = [
        PurePath(bytes.fromhex(text.replace("\\x", "")).decode(errors="replace")) for text in _paths(name, arguments)
    ]
    path = PurePath(_unhex(at[2]).decode()) if at else texts[0] if texts else None
    if path is None or (path != folder and folder not in path.parents):
        return
    match name:
        case "openat" | "open":
            if "O_CREAT" in arguments:
                yield "create", texts[0]
        case "write":
            yield "append", path, _bytes(arguments)[:result]
        case "pwrite64":
            yield "write", path, int(arguments.rsplit(",", 1)[1]), _bytes(arguments)[:result]
        case "ftruncate":
            yield "cut", path, int(arguments.rsplit(",", 1)[1])
        case "fsync" | "fdatasync":
            yield "sync", path
        case "unlink":
            yield "remove", path
        case "rename":
            yield "rename", texts[0], texts[1]


def _paths(name: str, arguments: str) -> list[str]:
    return _TEXT.findall(arguments) if name in ("openat", "open", "unlink", "rename") else []


def _bytes(arguments: str) -> bytes:
    found = _TEXT.search(arguments)
    return _unhex(found[1]) if found else b""


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
