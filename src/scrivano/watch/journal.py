"""What has become of each recording of a folder, kept in the folder itself, so that it survives restarts.

Nothing is lost with the journal but jobs that are under way: sidecars show which recordings are done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from scrivano.watch.settling import Stamp

__all__ = ["Entry", "Journal", "State"]

FORMAT = 1


class State(StrEnum):
    SUBMITTED = "submitted"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`sha256`: of the recording. `sidecars`: the names of files that were written for it. `attempt`: from 1.

    `options`: stand for those of its job. `extensions`: of the sidecars that it has had; None: not known.
    """

    stamp: Stamp
    sha256: str
    state: State
    job_id: str | None = None
    attempt: int = 1
    sidecars: tuple[str, ...] = ()
    options: str = ""
    extensions: tuple[str, ...] | None = ()


class Journal:
    """The entries by the recordings' names, relative to the folder. `changed`: since it was last stored.

    `id`: part of the keys of its jobs. With another journal, recordings get other jobs.
    """

    def __init__(self, id: str, entries: Mapping[str, Entry] | None = None, *, changed: bool = True) -> None:
        self.id = id
        self._entries = dict(entries or {})
        self.changed = changed

    def get(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def put(self, name: str, entry: Entry) -> None:
        self._entries[name] = entry
        self.changed = True

    def drop_missing(self, names: Iterable[str]) -> None:
        """Forget the recordings that are not among these, unless these are none: then the share itself is gone."""
        present = self._entries.keys() & set(names)
        if present and len(present) < len(self._entries):
            self._entries = {name: entry for name, entry in self._entries.items() if name in present}
            self.changed = True

    def submitted(self) -> dict[str, Entry]:
        return {name: entry for name, entry in self._entries.items() if entry.state is State.SUBMITTED}

    def failed(self) -> list[str]:
        return [name for name, entry in self._entries.items() if entry.state is State.FAILED]

    def twins(self, sha256: str, name: str) -> dict[str, Entry]:
        """Other recordings with the same content."""
        return {other: entry for other, entry in self._entries.items() if entry.sha256 == sha256 and other != name}

    def to_json(self) -> str:
        entries = {name: asdict(entry) for name, entry in self._entries.items()}
        return json.dumps({"format": FORMAT, "id": self.id, "recordings": entries}, indent=1)

    @classmethod
    def from_json(cls, text: str, new_id: str) -> Journal:
        """A journal that cannot be read is a new one: it only saves work. `new_id`: for a journal that has none."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                return cls(new_id)
            entries = {name: _entry(values) for name, values in data["recordings"].items()}
            return cls(str(data["id"]), entries, changed=False) if "id" in data else cls(new_id, entries)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(new_id)


def _entry(values: Mapping[str, Any]) -> Entry:
    state, had = State(values["state"]), values.get("extensions")
    typed = {
        "stamp": Stamp(**values["stamp"]),
        "state": state,
        "sidecars": tuple(values["sidecars"]),
        # Earlier versions did not store them.
        "extensions": None if had is None and state is State.DONE else tuple(had or ()),
    }
    return Entry(**{**values, **typed})
