"""The watcher over a real folder, with a transcriber that does what a test says."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scrivano.cli.console import ExitCode
from scrivano.cli.watch import watch_once
from scrivano.domain.transcript import Segment, Transcript
from scrivano.watch.folder import temporary_name
from scrivano.watch.transcriber import Done, Failed, Gone, NoServer, Outcome, TryLater
from scrivano.watch.watcher import Watcher, WatchOptions

TEXT = "Good morning."


@dataclass
class FakeTranscriber:
    """Answers with `outcomes`, by the content of the recording; without one, the job has not ended."""

    outcomes: dict[bytes, Outcome] = field(default_factory=dict)
    jobs: dict[str, bytes] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    refused: str = ""
    away: bool = False

    def submit(self, recording: Path, key: str) -> str | Failed:
        if self.away:
            raise TryLater("no server")
        if self.refused:
            return Failed(self.refused)
        self.keys.append(key)
        job_id = f"job{len(set(self.keys))}"
        self.jobs[job_id] = recording.read_bytes()
        return job_id

    def outcome(self, job_id: str) -> Outcome | None:
        if self.away:
            raise TryLater("no server")
        return self.outcomes.get(self.jobs[job_id]) if job_id in self.jobs else Gone()


def done(text: str = TEXT) -> Done:
    return Done(Transcript(language="en", duration=2.0, segments=(Segment(start=0.0, end=2.0, text=text),)))


class Watched:
    """A folder and its watcher; `look` lets a second pass and looks twice, so that what was written has settled."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.time_s = 0.0
        self.said: list[str] = []
        self.transcriber = FakeTranscriber()
        self.restart()

    def restart(self, *formats: str, key: str = "") -> None:
        def say(name: str, text: str) -> None:
            self.said.append(f"{name}: {text}")

        options = WatchOptions(formats=formats or ("srt", "txt", "json"), settle_s=1.0, key=key)
        self.watcher = Watcher(self.root, self.transcriber, options, say, now_s=lambda: self.time_s)

    def look(self) -> bool:
        self.watcher.poll()
        self.time_s += 1.0
        return self.watcher.poll()

    def names(self) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    (tmp_path / "in").mkdir()
    return Watched(tmp_path / "in")


def test_transcripts_are_written_beside_a_recording_once_it_has_stopped_growing(watched: Watched) -> None:
    recording = watched.root / "sub" / "a.mp3"
    recording.parent.mkdir()
    recording.write_bytes(b"so")
    (watched.root / "notes.txt").write_text("no recording")
    watched.watcher.poll()
    watched.time_s += 0.9
    recording.write_bytes(b"sound")
    watched.watcher.poll()
    watched.time_s += 0.9
    assert not watched.watcher.poll()
    assert watched.transcriber.keys == []

    assert not watched.look()
    watched.transcriber.outcomes[b"sound"] = done()
    assert watched.look()

    beside = {path.name: path.read_text() for path in recording.parent.iterdir() if path != recording}
    assert beside["a.txt"] == f"{TEXT}\n"
    assert beside["a.srt"].startswith("1\n00:00:00,000 --> 00:00:02,000\nGood morning.\n")
    assert json.loads(beside["a.json"])["text"] == TEXT
    assert beside.keys() == {"a.txt", "a.srt", "a.json"}
    assert watched.watcher.failed == []


def test_a_restart_follows_the_job_that_was_submitted(watched: Watched) -> None:
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    watched.restart()
    watched.look()
    watched.transcriber.outcomes[b"sound"] = done()
    watched.look()
    watched.restart()
    assert watched.look()

    assert len(watched.transcriber.keys) == 1
    assert "a.srt" in watched.names()


@pytest.mark.parametrize("damaged", [b"{ damaged", b"\xff\xfe{ not UTF-8"])
def test_without_its_journal_a_folder_shows_what_is_done(watched: Watched, damaged: bytes) -> None:
    watched.transcriber.outcomes = {b"sound": done(), b"noise": Failed("no speech codec")}
    (watched.root / "a.mp3").write_bytes(b"sound")
    (watched.root / "b.mp3").write_bytes(b"noise")
    watched.look()
    assert watched.look()
    before = watched.names()
    (watched.root / ".scrivano-watch.json").write_bytes(damaged)

    watched.restart()
    assert watched.look()

    assert len(watched.transcriber.keys) == 2
    assert watched.names() == before
    assert watched.watcher.failed == ["b.mp3"]


def test_a_copy_of_a_recording_gets_the_same_transcripts_without_a_job(watched: Watched) -> None:
    watched.transcriber.outcomes[b"sound"] = done()
    (watched.root / "a.mp3").write_bytes(b"sound")
    (watched.root / "b.wav").write_bytes(b"sound")
    watched.look()
    assert watched.look()

    assert len(watched.transcriber.keys) == 1
    assert (watched.root / "b.srt").read_text() == (watched.root / "a.srt").read_text()
    assert any("b.wav: has the same content as a.mp3" in line for line in watched.said)


def test_a_touched_or_copied_recording_is_not_transcribed_again(watched: Watched) -> None:
    watched.transcriber.outcomes[b"sound"] = done()
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    watched.look()
    os.utime(watched.root / "a.mp3", (1, 1))
    watched.look()
    shutil.copy(watched.root / "a.mp3", watched.root / "new.mp3")
    watched.look()

    assert len(watched.transcriber.keys) == 1
    assert "new.srt" in watched.names()


def test_a_changed_recording_replaces_its_own_transcripts_only(watched: Watched) -> None:
    watched.transcriber.outcomes = {b"sound": done(), b"other sound": done("Good evening.")}
    (watched.root / "a.mp3").write_bytes(b"sound")
    (watched.root / "a.txt").write_text("by hand")
    watched.look()
    watched.look()
    (watched.root / "a.mp3").write_bytes(b"other sound")
    watched.look()
    watched.look()

    assert (watched.root / "a.txt").read_text() == "by hand"
    assert "Good evening." in (watched.root / "a.srt").read_text()


def test_a_recording_that_fails_says_why_and_is_tried_again_when_that_is_deleted(watched: Watched) -> None:
    watched.transcriber.outcomes[b"noise"] = Failed("not a recording")
    (watched.root / "a.mp3").write_bytes(b"noise")
    watched.look()
    assert watched.look()
    assert (watched.root / "a.mp3.error").read_text() == "not a recording\n"
    assert watched.watcher.failed == ["a.mp3"]
    assert watched.look()
    assert len(watched.transcriber.keys) == 1

    (watched.root / "a.mp3.error").unlink()
    watched.transcriber.outcomes[b"noise"] = done()
    watched.look()
    assert watched.look()

    assert len(set(watched.transcriber.keys)) == 2, "another job, not the failed one"
    assert watched.names() == [".scrivano-watch.json", "a.json", "a.mp3", "a.srt", "a.txt"]
    assert watched.watcher.failed == []


def test_a_recording_that_the_server_refuses_has_its_reason_beside_it(watched: Watched) -> None:
    watched.transcriber.refused = "too large"
    (watched.root / "a.mp3").write_bytes(b"sound")
    assert watched.look()

    assert (watched.root / "a.mp3.error").read_text() == "too large\n"


def test_a_server_that_is_away_is_waited_for(watched: Watched) -> None:
    watched.transcriber.away = True
    (watched.root / "a.mp3").write_bytes(b"sound")
    for _ in range(3):
        assert not watched.look()
    assert watched.said == [": no server"], "said once"

    watched.transcriber.away = False
    watched.look()
    watched.transcriber.outcomes[b"sound"] = done()
    assert watched.look()


def test_a_job_that_the_server_has_lost_is_submitted_again(watched: Watched) -> None:
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    watched.transcriber.jobs.clear()
    watched.transcriber.outcomes[b"sound"] = done()
    watched.look()
    assert watched.look()

    assert len(set(watched.transcriber.keys)) == 2
    assert "a.srt" in watched.names()


def test_a_share_that_is_away_loses_nothing(watched: Watched) -> None:
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    away = watched.root.with_name("away")
    watched.root.rename(away)
    assert not watched.look()
    watched.root.mkdir()  # the mount point without its share
    watched.transcriber.outcomes[b"sound"] = done()
    watched.look()
    assert watched.names() == []
    watched.root.rmdir()
    away.rename(watched.root)
    watched.look()
    assert watched.look()

    assert len(watched.transcriber.keys) == 1
    assert "a.srt" in watched.names()


def test_only_a_few_recordings_are_with_the_server_at_a_time(watched: Watched) -> None:
    for n in range(10):
        (watched.root / f"{n}.mp3").write_bytes(b"%d" % n)
    watched.look()
    assert len(watched.transcriber.keys) == 4

    watched.transcriber.outcomes = {b"%d" % n: done() for n in range(10)}
    for _ in range(4):
        watched.look()
    assert len(watched.transcriber.keys) == 10


def test_hidden_files_are_left_alone(watched: Watched) -> None:
    (watched.root / ".a.mp3.part").write_bytes(b"sound")
    (watched.root / ".b.mp3").write_bytes(b"sound")
    (watched.root / ".trash").mkdir()
    (watched.root / ".trash" / "c.mp3").write_bytes(b"sound")

    assert watched.look()
    assert watched.transcriber.keys == []


def test_an_empty_file_fails_once_it_has_stopped_growing_and_is_taken_when_it_grows_later(watched: Watched) -> None:
    recording = watched.root / "a.mp3"
    recording.touch()
    assert not watched.watcher.poll()

    assert watched.look()
    assert (watched.root / "a.mp3.error").read_text() == "the file is empty\n"
    assert (watched.transcriber.keys, watched.watcher.failed) == ([], ["a.mp3"])

    recording.write_bytes(b"sound")
    watched.transcriber.outcomes[b"sound"] = done()
    watched.look()
    assert watched.look()
    assert "a.mp3.error" not in watched.names()
    assert "a.srt" in watched.names()


def test_a_transcript_that_cannot_be_written_does_not_keep_the_others_waiting(watched: Watched) -> None:
    for n in range(6):
        (watched.root / f"a{n}.mp3").write_bytes(b"sound %d" % n)
    (watched.root / "noise.mp3").write_bytes(b"noise")
    watched.look()
    for n in range(4):
        (watched.root / f"a{n}.srt").mkdir()  # in the place of a transcript
    (watched.root / "noise.mp3.error").mkdir()
    watched.transcriber.outcomes = {b"sound %d" % n: done() for n in range(6)}
    watched.transcriber.outcomes[b"noise"] = Failed("no recording")
    for _ in range(3):
        idle = watched.look()

    assert idle
    assert watched.watcher.failed == ["a0.mp3", "a1.mp3", "a2.mp3", "a3.mp3", "noise.mp3"]
    assert {"a4.srt", "a5.srt"} <= set(watched.names())
    assert len([line for line in watched.said if line.startswith("a0.mp3: cannot")]) == 1, "said once"

    (watched.root / "a0.srt").rmdir()
    (watched.root / "a1.mp3").unlink()
    watched.look()
    assert "a0.srt" in watched.names()
    assert watched.watcher.failed == ["a2.mp3", "a3.mp3", "noise.mp3"]


def test_a_copy_does_not_wait_for_a_recording_whose_transcript_cannot_be_written(watched: Watched) -> None:
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    (watched.root / "a.srt").mkdir()
    watched.transcriber.outcomes[b"sound"] = done()
    shutil.copy(watched.root / "a.mp3", watched.root / "copy.mp3")
    watched.look()
    watched.look()

    assert "copy.srt" in watched.names()
    assert len(set(watched.transcriber.keys)) == 1, "the same job"


def test_long_names_get_transcripts_as_far_as_their_files_can_have_names(watched: Watched) -> None:
    fits, too_long = f"{'n' * 245}.mp3", f"{'n' * 246}.mp3"  # with `.error`: 255 and 256 bytes
    for name in ("a.mp3", fits, too_long):
        (watched.root / name).write_bytes(name.encode())
        watched.transcriber.outcomes[name.encode()] = done()
    watched.look()
    assert watched.look()

    assert {"a.srt", f"{'n' * 245}.srt"} <= set(watched.names())
    assert watched.watcher.failed == [too_long]
    assert too_long.encode() not in watched.transcriber.jobs.values(), "not transcribed in vain"


def test_without_a_journal_nothing_more_is_submitted(watched: Watched) -> None:
    (watched.root / "a.mp3").write_bytes(b"sound")
    (watched.root / "b.mp3").write_bytes(b"other sound")
    watched.watcher.poll()
    temporary = watched.root / temporary_name(".scrivano-watch.json")
    temporary.mkdir()  # so that the journal cannot be written
    watched.look()
    watched.look()
    assert len(watched.transcriber.keys) <= 1
    assert [line for line in watched.said if line.startswith(": .scrivano-watch.json cannot be written")]

    temporary.rmdir()
    watched.transcriber.outcomes = {b"sound": done(), b"other sound": done()}
    watched.look()
    assert watched.look()
    assert len(watched.transcriber.keys) == 2


@pytest.mark.parametrize("notes", ["my notes", "meine Übersicht"])
def test_a_copy_does_not_get_what_a_person_wrote_beside_the_first_recording(watched: Watched, notes: str) -> None:
    watched.transcriber.outcomes[b"sound"] = done()
    (watched.root / "a.mp3").write_bytes(b"sound")
    (watched.root / "a.txt").write_bytes(notes.encode("latin-1"))
    watched.look()
    watched.look()
    shutil.copy(watched.root / "a.mp3", watched.root / "copy.mp3")
    watched.look()
    assert watched.look()

    assert (watched.root / "copy.txt").read_text() == f"{TEXT}\n"
    assert (watched.root / "a.txt").read_bytes() == notes.encode("latin-1")
    assert len(set(watched.transcriber.keys)) == 1, "the same job"


def test_a_transcript_that_was_saved_in_another_encoding_is_not_copied(watched: Watched) -> None:
    watched.transcriber.outcomes[b"sound"] = done()
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    watched.look()
    (watched.root / "a.txt").write_bytes("Bär".encode("latin-1"))
    shutil.copy(watched.root / "a.mp3", watched.root / "copy.mp3")
    watched.look()
    assert watched.look()

    assert (watched.root / "copy.txt").read_text() == f"{TEXT}\n"


def test_a_pipe_is_no_recording_and_a_link_to_one_is(watched: Watched) -> None:
    os.mkfifo(watched.root / "pipe.mp3")
    (watched.root / "link-to-pipe.mp3").symlink_to("pipe.mp3")
    (watched.root.parent / "elsewhere.mp3").write_bytes(b"sound")
    (watched.root / "a.mp3").symlink_to("../elsewhere.mp3")
    watched.transcriber.outcomes[b"sound"] = done()
    watched.look()
    assert watched.look()

    assert watched.names() == [".scrivano-watch.json", "a.json", "a.mp3", "a.srt", "a.txt"]


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems refuse such names")
def test_a_name_that_is_not_utf_8_is_kept_for_the_transcripts_and_shown_with_replacements(watched: Watched) -> None:
    name = os.fsdecode(b"\xff\xfe.mp3")
    (watched.root / name).write_bytes(b"sound")
    (watched.root / os.fsdecode(b"\xff.wav")).write_bytes(b"noise")
    watched.transcriber.outcomes = {b"sound": done(), b"noise": Failed("no recording")}
    watched.look()
    assert watched.look()
    watched.restart()
    assert watched.look()

    found = {os.fsencode(path.name) for path in watched.root.iterdir()}
    assert {b"\xff\xfe.srt", b"\xff\xfe.txt", b"\xff\xfe.json", b"\xff.wav.error"} <= found
    assert len(watched.transcriber.keys) == 2, "the journal remembers them"
    assert "��.mp3: wrote ��.srt, ��.txt, ��.json" in watched.said


def test_a_submission_that_the_journal_missed_is_not_repeated(watched: Watched) -> None:
    recording, journal = watched.root / "a.mp3", watched.root / ".scrivano-watch.json"
    (watched.root / "b.mp3").write_bytes(b"other sound")
    watched.look()
    recording.write_bytes(b"sound")
    watched.watcher.poll()
    before = journal.read_bytes()
    watched.look()
    journal.write_bytes(before)  # as if the watcher had been killed between the submission and the journal
    watched.restart()
    watched.look()

    assert len(watched.transcriber.keys) == 3
    assert len(set(watched.transcriber.keys)) == 2, "the same job"


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("outcome", [done("Wrong."), Failed("no memory")])
def test_without_transcript_and_journal_a_recording_is_transcribed_again(
    watched: Watched, outcome: Outcome, restart: bool
) -> None:
    watched.transcriber.outcomes[b"sound"] = outcome
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    assert watched.look()
    for path in watched.root.iterdir():
        if path.name != "a.mp3":
            path.unlink()
    watched.transcriber.outcomes[b"sound"] = done()
    if restart:
        watched.restart()
    watched.look()
    assert watched.look()

    assert len(set(watched.transcriber.keys)) == 2
    assert (watched.root / "a.txt").read_text() == f"{TEXT}\n"


def test_a_share_that_is_away_at_the_start_brings_its_journal_with_it(watched: Watched) -> None:
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    away = watched.root.with_name("away")
    watched.root.rename(away)
    watched.root.mkdir()  # the mount point without its share
    watched.restart()
    watched.look()
    assert watched.names() == []
    watched.root.rmdir()
    away.rename(watched.root)
    watched.transcriber.outcomes[b"sound"] = done()
    watched.look()
    assert watched.look()

    assert len(watched.transcriber.keys) == 1


@dataclass
class SlowTranscriber(FakeTranscriber):
    """Raises each exception once before it has an outcome."""

    errors: list[Exception] = field(default_factory=list)

    def outcome(self, job_id: str) -> Outcome | None:
        if self.errors:
            raise self.errors.pop()
        return super().outcome(job_id)


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([TryLater("the queue is full")] * 3, ExitCode.OK),
        ([NoServer("no response")], ExitCode.NO_SERVER),
    ],
)
def test_once_ends_when_the_server_has_not_responded_for_too_long(
    watched: Watched, errors: list[Exception], code: ExitCode
) -> None:
    watched.transcriber = SlowTranscriber(outcomes={b"sound": done()})
    watched.restart()
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    watched.transcriber.errors = list(errors)

    assert watch_once(watched.watcher, threading.Event(), 0.0, give_up_s=0.0) is code


def test_once_waits_for_a_server_that_starts_again(watched: Watched) -> None:
    watched.transcriber = SlowTranscriber(outcomes={b"sound": done()})
    watched.restart()
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    watched.transcriber.errors = [NoServer("no response")] * 3

    assert watch_once(watched.watcher, threading.Event(), 0.0) is ExitCode.OK


def test_once_ends_when_a_recording_failed_or_the_folder_is_gone(watched: Watched) -> None:
    watched.transcriber.outcomes[b"noise"] = Failed("no recording")
    (watched.root / "a.mp3").write_bytes(b"noise")
    watched.look()
    assert watch_once(watched.watcher, threading.Event(), 0.0) is ExitCode.FAILED

    shutil.rmtree(watched.root)
    assert watch_once(watched.watcher, threading.Event(), 0.0) is ExitCode.FAILED


def transcribed_as(watched: Watched, *formats: str) -> None:
    """A recording is done, with these formats; its copy has got its transcripts."""
    watched.transcriber.outcomes[b"sound"] = done()
    watched.restart(*formats)
    (watched.root / "a.mp3").write_bytes(b"sound")
    watched.look()
    watched.look()
    shutil.copy(watched.root / "a.mp3", watched.root / "copy.mp3")
    watched.look()
    assert watched.look()


def test_a_format_that_was_not_wanted_before_is_written_from_the_same_job(watched: Watched) -> None:
    transcribed_as(watched, "vtt", "txt")
    (watched.root / "a.txt").write_text("corrected by hand")
    (watched.root / "a.vtt").unlink()

    watched.restart("vtt", "txt", "srt")
    assert watched.look()

    assert watched.names() == [
        *(".scrivano-watch.json", "a.mp3", "a.srt", "a.txt"),
        *("copy.mp3", "copy.srt", "copy.txt", "copy.vtt"),
    ]
    assert (watched.root / "a.txt").read_text() == "corrected by hand"
    assert len(watched.transcriber.keys) == 1


@pytest.mark.parametrize(("lost", "key"), [(True, ""), (False, "other options")])
def test_a_new_format_is_transcribed_again_without_a_job_of_the_same_options(
    watched: Watched, lost: bool, key: str
) -> None:
    transcribed_as(watched, "vtt")
    if lost:
        watched.transcriber.jobs.clear()

    watched.restart("srt", key=key)
    assert not watched.look()
    watched.look()
    assert watched.look()

    assert {"a.srt", "a.vtt", "copy.srt", "copy.vtt"} <= set(watched.names())
    assert len(set(watched.transcriber.keys)) == 2, "one new job for both"


def test_a_journal_of_an_earlier_version_shows_new_formats_from_then_on(watched: Watched) -> None:
    transcribed_as(watched, "vtt")
    journal = watched.root / ".scrivano-watch.json"
    data = json.loads(journal.read_text())
    for entry in data["recordings"].values():
        del entry["extensions"]
    journal.write_text(json.dumps(data))

    watched.restart("vtt")
    assert watched.look()
    assert len(watched.transcriber.keys) == 1
    watched.restart("srt")
    assert watched.look()
    assert {"a.srt", "copy.srt"} <= set(watched.names())
