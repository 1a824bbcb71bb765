"""Looks at a folder again and again, submits its recordings, and writes the transcripts beside them.

Each step may be repeated: a restart, at any moment, does no work twice and loses none.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from scrivano.domain.errors import ServerStopping
from scrivano.domain.file_names import valid_name
from scrivano.text.formats import FORMATS, render
from scrivano.text.shape import shape_of
from scrivano.watch.folder import JOURNAL, Folder, error_name, sidecar_names
from scrivano.watch.journal import Entry, Journal, State
from scrivano.watch.settling import Settling, Stamp
from scrivano.watch.transcriber import Done, Failed, Gone, NoServer, Transcriber, TryLater

__all__ = ["WatchOptions", "Watcher"]

# Recordings that are submitted at a time: the server keeps a copy of each until its job ends.
IN_FLIGHT = 4

# What is wrong with a file without content; a server would say it of the upload.
EMPTY = "the file is empty"

Report = Callable[[str, str], None]


class UnusableFolder(Exception):
    """Nothing can be done in the folder. The message says why."""


Trouble = OSError | TryLater | UnusableFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """`formats`: of the sidecars, names of `FORMATS`. `profile`: limits of subtitles. `key`: stands for the options of
    the jobs; with another one, a job of earlier options is not used."""

    formats: Sequence[str] = ("srt", "txt", "json")
    settle_s: float = 10.0
    profile: str | None = None
    key: str = ""

    @property
    def extensions(self) -> dict[str, str]:
        """The format of each sidecar, by its extension."""
        return {FORMATS[format].extension: format for format in self.formats}


class Watcher:
    """Not thread-safe. `report` is called with a recording's name (empty: the folder) and what has become of it."""

    def __init__(
        self,
        root: Path,
        transcriber: Transcriber,
        options: WatchOptions,
        report: Report,
        *,
        stopping: Callable[[], bool] = lambda: False,
        now_s: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._folder = Folder(root, stopping)
        self._transcriber = transcriber
        self._options = options
        self._tell = report
        self._stopping = stopping
        self._now_s = now_s
        self._new_id = new_id
        self._settling = Settling(options.settle_s)
        self._journal: Journal | None = None
        self._stored = False
        self._troubled: set[str] = set()
        self._trouble: Trouble | None = None

    def poll(self) -> bool:
        """Do what can be done now. Returns whether all recordings have been dealt with."""
        idle, trouble = False, None
        try:
            idle = self._poll()
        except (OSError, TryLater, UnusableFolder) as error:
            trouble = error
        except ServerStopping:
            pass
        self._report_trouble(trouble)
        self._trouble = trouble
        return idle

    @property
    def no_server(self) -> bool:
        """Whether the last poll ended because the server did not respond."""
        return isinstance(self._trouble, NoServer)

    @property
    def no_folder(self) -> bool:
        """Whether the last poll ended because nothing could be done in the folder."""
        return isinstance(self._trouble, OSError | UnusableFolder)

    @property
    def failed(self) -> list[str]:
        """The recordings that could not be transcribed, or whose transcripts could not be written."""
        return sorted({*(self._journal.failed() if self._journal is not None else ()), *self._troubled})

    def _poll(self) -> bool:
        files = self._folder.scan()
        if not files and self._journal is None:
            return True  # The share may be away: its journal may come with it.
        journal = self._journal = self._current_journal(files)
        self._troubled &= files.keys()
        try:
            self._collect(journal, files)
            self._save(journal)  # Before its id is in the key of a job. If this fails, nothing more is submitted.
            settled = self._settling.settled(files, self._now_s())
            for name in settled:
                if self._stopping() or self._in_flight(journal) >= IN_FLIGHT:
                    break
                if not self._under_way(journal, files, name):
                    self._try(name, partial(self._consider, journal, files, name))
            journal.drop_missing(files)
            return len(settled) == len(files) and all(self._dealt_with(journal, files, name) for name in settled)
        finally:
            self._save(journal)

    def _current_journal(self, files: Mapping[str, Stamp]) -> Journal:
        """The journal in the folder. One that was deleted is begun anew, unless the share is away."""
        if self._journal is not None and (not files or not self._stored or self._folder.exists(JOURNAL)):
            return self._journal
        journal = Journal.from_json(self._folder.read(JOURNAL) or "", self._new_id())
        self._stored = not journal.changed
        return journal

    def _save(self, journal: Journal) -> None:
        """Raises `UnusableFolder`: without a journal, a restart would submit every recording again."""
        if not journal.changed:
            return
        try:
            self._folder.write(JOURNAL, journal.to_json())
        except OSError as error:
            raise UnusableFolder(f"{JOURNAL} cannot be written ({error})") from error
        journal.changed, self._stored = False, True

    def _in_flight(self, journal: Journal) -> int:
        """Recordings whose jobs have not ended: those of the others wait only for a place for their transcripts."""
        return len(journal.submitted().keys() - self._troubled)

    def _under_way(self, journal: Journal, files: Mapping[str, Stamp], name: str) -> bool:
        entry = journal.get(name)
        return entry is not None and entry.stamp == files[name] and entry.state is State.SUBMITTED

    def _dealt_with(self, journal: Journal, files: Mapping[str, Stamp], name: str) -> bool:
        entry = journal.get(name)
        if name in self._troubled:
            return True
        if entry is None or entry.stamp != files[name]:
            return False
        return entry.state is State.FAILED or (entry.state is State.DONE and not self._missing(entry))

    def _missing(self, entry: Entry) -> list[str]:
        """Extensions of sidecars that the recording has not had. One that was deleted is not missing."""
        had = self._options.extensions if entry.extensions is None else entry.extensions
        return [extension for extension in self._options.extensions if extension not in had]

    def _try(self, name: str, step: Callable[[], None]) -> None:
        """A recording that cannot be read, or whose transcript cannot be written, does not keep the others waiting.
        It is tried again at the next poll."""
        try:
            step()
            self._troubled.discard(name)
        except OSError as error:
            if name not in self._troubled:
                self._report(name, f"cannot be read, or its transcript not be written ({error})")
            self._troubled.add(name)

    def _consider(self, journal: Journal, files: Mapping[str, Stamp], name: str) -> None:
        """Submit a recording that has settled, unless its transcript is there or on its way."""
        entry, stamp = journal.get(name), files[name]
        if entry is not None and entry.stamp == stamp:
            self._reconsider(journal, files, name, entry)
            return
        # Before hours of work, not after them.
        self._folder.check_place([*self._sidecars(files, name).values(), error_name(name)])
        sha256 = self._folder.sha256(name)
        if self._folder.stamp(name) != stamp:
            return  # It changed while it was read.
        if entry is not None and entry.sha256 == sha256:
            journal.put(name, replace(entry, stamp=stamp))
            return
        new = Entry(stamp=stamp, sha256=sha256, state=State.DONE, sidecars=entry.sidecars if entry else ())
        known = self._known_state(files, name) if entry is None else None
        if known is not None:
            had = tuple(self._options.extensions) if known is State.DONE else ()
            journal.put(name, replace(new, state=known, extensions=had))
        elif not self._share(journal, files, name, new):
            self._submit(journal, files, name, new)

    def _reconsider(self, journal: Journal, files: Mapping[str, Stamp], name: str, entry: Entry) -> None:
        """Try again what failed, and write the formats that were not wanted before."""
        if entry.state is State.FAILED:
            if not self._folder.exists(error_name(name)):
                self._submit(journal, files, name, replace(entry, attempt=entry.attempt + 1))
        elif entry.extensions is None:
            journal.put(name, replace(entry, extensions=tuple(self._options.extensions)))
        elif self._missing(entry):
            if entry.job_id is not None and entry.options == self._options.key:
                journal.put(name, replace(entry, state=State.SUBMITTED))
                self._follow(journal, files, name, entry, entry.job_id)
            elif not self._share(journal, files, name, entry):
                self._submit(journal, files, name, entry)

    def _known_state(self, files: Mapping[str, Stamp], name: str) -> State | None:
        """What sidecars say of a recording that is not in the journal."""
        if all(self._folder.exists(sidecar) for sidecar in self._sidecars(files, name).values()):
            return State.DONE
        return State.FAILED if self._folder.exists(error_name(name)) else None

    def _share(self, journal: Journal, files: Mapping[str, Stamp], name: str, entry: Entry) -> bool:
        """Use what was written for a recording with the same content. Returns whether there is or will be something.

        What a person wrote beside that recording is no transcript.
        """
        twins = journal.twins(entry.sha256, name)
        if any(twin.state is State.SUBMITTED and other not in self._troubled for other, twin in twins.items()):
            return True
        for other, twin in twins.items():
            if twin.state is not State.DONE:
                continue
            sidecars, absent = self._sidecars(files, other), self._missing(twin)
            texts = {
                extension: self._folder.read(sidecars[extension])
                for extension in self._missing(entry)
                if extension not in absent and sidecars[extension] in twin.sidecars
            }
            whole = {extension: text for extension, text in texts.items() if text is not None}
            if len(whole) == len(self._missing(entry)):
                self._finish(journal, files, name, replace(entry, job_id=twin.job_id, options=twin.options), whole)
                self._report(name, f"has the same content as {other}")
                return True
        return False

    def _submit(self, journal: Journal, files: Mapping[str, Stamp], name: str, entry: Entry) -> None:
        sidecars = self._sidecars(files, name)
        free = [
            sidecars[extension] for extension in self._missing(entry) if not self._folder.exists(sidecars[extension])
        ]
        entry = replace(entry, sidecars=tuple(sorted({*entry.sidecars, *free})))
        if not entry.stamp.size_bytes:  # Some programs create a file long before they write to it: it may change yet.
            self._fail(journal, name, entry, EMPTY)
            return
        # A restart between here and the journal gets the same job.
        key = f"watch-{journal.id}-{entry.sha256}-{entry.attempt}-{self._options.key}"
        submitted = self._transcriber.submit(self._folder.path(name), key)
        if isinstance(submitted, Failed):
            self._fail(journal, name, entry, submitted.reason)
            return
        journal.put(name, replace(entry, state=State.SUBMITTED, job_id=submitted, options=self._options.key))
        self._save(journal)
        self._report(name, f"submitted as job {submitted}")

    def _collect(self, journal: Journal, files: Mapping[str, Stamp]) -> None:
        """Write what has become of the jobs. A recording that is not there now keeps its job."""
        for name, entry in journal.submitted().items():
            if name in files and entry.job_id is not None:
                self._try(name, partial(self._follow, journal, files, name, entry, entry.job_id))

    def _follow(self, journal: Journal, files: Mapping[str, Stamp], name: str, entry: Entry, job_id: str) -> None:
        outcome = self._transcriber.outcome(job_id)
        if isinstance(outcome, Done):
            shape = shape_of(self._options.profile, {})
            texts = {
                extension: render(outcome.transcript, format, shape)
                for extension, format in self._options.extensions.items()
            }
            self._finish(journal, files, name, entry, texts)
        elif isinstance(outcome, Failed):
            self._fail(journal, name, entry, outcome.reason)
        elif isinstance(outcome, Gone):
            self._submit(journal, files, name, replace(entry, attempt=entry.attempt + 1))

    def _finish(
        self, journal: Journal, files: Mapping[str, Stamp], name: str, entry: Entry, texts: Mapping[str, str]
    ) -> None:
        """Write the sidecars that are missing. A file that was not written for this recording stays as it is."""
        sidecars, missing, written = self._sidecars(files, name), self._missing(entry), []
        for extension in missing:
            sidecar = sidecars[extension]
            if sidecar in entry.sidecars or not self._folder.exists(sidecar):
                self._folder.write(sidecar, texts[extension])
                written.append(sidecar)
        self._folder.delete(error_name(name))
        own = tuple(sorted({*entry.sidecars, *written}))
        had = (*(entry.extensions or ()), *missing)
        journal.put(name, replace(entry, state=State.DONE, sidecars=own, extensions=had))
        self._report(name, f"wrote {', '.join(written)}" if written else "its transcripts were there already")

    def _fail(self, journal: Journal, name: str, entry: Entry, reason: str) -> None:
        self._folder.write(error_name(name), f"{reason}\n")
        journal.put(name, replace(entry, state=State.FAILED))
        self._report(name, f"failed: {reason}")

    def _sidecars(self, files: Mapping[str, Stamp], name: str) -> dict[str, str]:
        return sidecar_names(name, self._options.extensions, files.keys())

    def _report(self, name: str, text: str) -> None:
        self._tell(valid_name(name), valid_name(text))

    def _report_trouble(self, trouble: Trouble | None) -> None:
        """Once for each kind of trouble, not at each poll."""
        if trouble is not None and str(trouble) != str(self._trouble):
            self._report("", str(trouble))
