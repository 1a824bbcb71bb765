"""The machine of a job's run, without threads, stores or children: in any order, with any process ending in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.coverage import Span
from scrivano.domain.decoding import ChunkResult, DecodingOptions
from scrivano.domain.job import DETECT_LANGUAGE, VOICE_SAMPLE, Job, JobOptions, JobStatus, Task
from scrivano.domain.recording import AudioTrack, ChannelUse, RecordingWarning
from scrivano.domain.speakers import NO_SPEAKERS, Diarization, Speaker, SpeakerCount
from scrivano.domain.transcript import Segment
from scrivano.processes.messages import ChunkCut, Described, PreparationFailed, Prepared, Probed, pairs_of
from scrivano.processes.voice_messages import NamedSpeaker
from scrivano.running.chunk_run import ResultCodec, StoredResult
from scrivano.running.job_choices import JobDefaults, channel_use, decoding_options
from scrivano.running.job_messages import (
    AllEnqueued,
    ChunkDecoded,
    ChunkLost,
    ChunkRefused,
    Command,
    CountCrash,
    Enqueue,
    Fail,
    MediaDied,
    MediaLate,
    Message,
    Publish,
    RecordingMissing,
    StartPreparing,
    StoreChunk,
    StoreGuess,
    StorePlan,
)
from scrivano.running.job_run import CRASHES_ALLOWED, KILLS_ALLOWED, MEDIA_TRIES, Earlier, JobRun
from scrivano.running.language import Detection, JobLanguage
from scrivano.running.scheduler import WorkItem
from scrivano.running.speaker_run import FindVoices, GuessSpeakers, SpeakersFound, SpeakersGuessed, VoicesFound
from scrivano.running.speaker_warnings import fewer_speakers, speaker_warnings
from scrivano.store.chunk_rows import StoredChunk
from scrivano.store.jobs import Decoded

JOB = Job(
    id="a", status=JobStatus.RUNNING, task=Task.TRANSCRIBE, created_at=datetime(2030, 1, 1, tzinfo=UTC), attempt=1
)
CODEC = ResultCodec()
SAMPLES = 10**5


def chunk(index: int) -> Chunk:
    return Chunk(index, (Piece(index * SAMPLES, (index + 1) * SAMPLES),))


def cut(index: int) -> ChunkCut:
    """There is speech in its first two seconds."""
    return ChunkCut(
        index=index, pieces=pairs_of(chunk(index).pieces), speech=((index * SAMPLES, index * SAMPLES + 32_000),)
    )


MADE_UP = Segment(start=4.0, end=5.0, text="Thanks for watching!", no_speech_prob=0.5)


def said(text: str, language: str = "en", probabilities: Mapping[str, float] | None = None) -> ChunkResult:
    segments = (Segment(start=0.0, end=1.0, text=text),) if text else ()
    return ChunkResult(
        language=language, language_probability=1.0, segments=segments, language_probabilities=probabilities or {}
    )


def started(job: Job = JOB, stored: Sequence[StoredChunk] = (), logged: int = 0) -> JobRun:
    run = JobRun(job, "base", JobDefaults(), Earlier(chunks=stored, logged=logged), CODEC, 0.0)
    assert run.start() == [StartPreparing()]
    return run


def enqueued(commands: Sequence[Command]) -> list[WorkItem]:
    return [item for command in commands if isinstance(command, Enqueue) for item in command.items]


def told(commands: Sequence[Command]) -> list[str]:
    """The texts of `segment` events."""
    return [segment["text"] for record in of_kind(commands, Decoded) for segment in record.segments]


def of_kind(commands: Sequence[Command], kind: type) -> list[Any]:
    return [command for command in commands if isinstance(command, kind)]


def test_a_recording_of_one_chunk_in_the_order_in_which_it_happens() -> None:
    run = started()

    assert run.step(Probed(duration=6.5), 0.0) == []
    stored, first = run.step(cut(0), 0.0)
    assert stored == StoreChunk(chunk(0), 6.5)
    assert [item.index for item in enqueued([first])] == [0]
    assert run.step(Prepared(duration=6.25, chunks=1), 0.0) == [StorePlan(1, 6.25), AllEnqueued()]
    assert run.request(0, "p").language is None

    record, publish = run.step(ChunkDecoded(0, said("Yes.", probabilities={"en": 0.9})), 1.0)

    assert isinstance(record, Decoded)
    assert record.result is None, "the transcript is stored in the same transaction"
    assert [segment["text"] for segment in record.segments] == ["Yes."]
    assert record.progress == {"percent": 100, "chunk": 1, "chunks_total": 1}
    assert (record.language, record.detected) == (
        "en",
        {"language": "en", "probability": 0.9, "probabilities": {"en": 0.9}},
    )
    assert isinstance(publish, Publish)
    assert ([one.text for one in publish.segments], publish.language, publish.duration_s) == (["Yes."], "en", 6.25)


def test_what_was_found_out_about_the_recording_goes_with_its_plan() -> None:
    run = started()
    warning = RecordingWarning(code="quiet", message="so")
    track = AudioTrack(track=0, codec="aac", channels=1, sample_rate=8000, duration=None, start=0.0)

    assert run.step(Described(audio=track, warnings=(warning,)), 0.0) == []
    assert run.step(Prepared(duration=9.0, chunks=0), 0.0)[0] == StorePlan(0, 9.0, track, (warning,))


def test_a_recording_without_speech_is_done_with_its_plan() -> None:
    assert started().step(Prepared(duration=9.0, chunks=0), 0.0)[-1] == Publish((), None, 9.0, NOTHING_SAID)


NOTHING_SAID: Mapping[str, Any] = {
    "coverage": None,
    "uncovered": [],
    "repaired": 0,
    "loops_cut": 0,
    "doubtful": [],
    "word_probability": None,
}


def test_the_text_of_a_job_and_its_quality_survive_a_restart() -> None:
    """What was repaired is stored with the chunk; the speech is known when the recording is prepared again.

    Without it, what the engine made up where nobody spoke would come back.
    """
    spoken = replace(cut(0), speech=((0, 40_000),))
    result = ChunkResult(
        language="en",
        language_probability=1.0,
        segments=(
            Segment(start=0.0, end=1.0, text="Yes.", avg_logprob=-0.2),
            Segment(start=3.0, end=5.0, text="10.5 nm", avg_logprob=-2.4),
        ),
        repaired=(Span(1.0, 2.5),),
    )

    def finished(run: JobRun, messages: Sequence[Message]) -> Publish:
        commands = [command for message in messages for command in run.step(message, 1.0)]
        return next(command for command in commands if isinstance(command, Publish))

    job = replace(JOB, language="en")
    first = started(job)
    whole = finished(first, [spoken, ChunkDecoded(0, result), Prepared(duration=6.25, chunks=1)])
    row = CODEC.encode(StoredResult(language="en", segments=result.segments, repaired=result.repaired))
    again = started(replace(job, attempt=2), [StoredChunk(chunk(0), row, 0)])
    resumed = finished(again, [spoken, Prepared(duration=6.25, chunks=1)])

    assert whole == resumed
    assert [one.text for one in whole.segments] == ["Yes."]
    assert whole.quality["repaired"] == 1
    assert whole.quality["coverage"] < 1


def test_until_its_language_is_known_only_the_first_chunk_is_decoded_then_the_others_before_later_ones() -> None:
    run = started()
    first, second, third = (enqueued(run.step(cut(index), 0.0)) for index in range(3))
    assert ([item.index for item in first], second, third) == ([0], [], [])
    run.request(0, "p")

    commands = run.step(ChunkDecoded(0, said("Sì.", "it", {"it": 0.95})), 0.0)

    [enqueue] = of_kind(commands, Enqueue)
    assert ([item.index for item in enqueue.items], enqueue.first) == ([1, 2], True)
    assert run.request(1, "p").language == "it"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (PreparationFailed(code="not_media", message="no"), "not_media"),
        (RecordingMissing(), "audio_gone"),
        (MediaLate(), "media_timeout"),
    ],
)
def test_what_ends_a_preparation_fails_the_job(message: Message, code: str) -> None:
    [fail] = started().step(message, 0.0)

    assert isinstance(fail, Fail)
    assert fail.code == code


def test_a_media_child_that_dies_is_started_again_and_sends_the_same_chunks() -> None:
    run = started()
    run.step(cut(0), 0.0)
    for _ in range(MEDIA_TRIES - 1):
        assert run.step(MediaDied("signal SIGSEGV"), 0.0) == [StartPreparing()]
        assert run.step(cut(0), 0.0) == []

    [fail] = run.step(MediaDied("signal SIGSEGV"), 0.0)

    assert isinstance(fail, Fail)
    assert (fail.code, "SIGSEGV" in fail.message) == ("media_crashed", True)


@pytest.mark.parametrize(("killed", "allowed"), [(False, CRASHES_ALLOWED), (True, KILLS_ALLOWED)])
def test_a_chunk_that_ends_engines_is_decoded_alone_and_fails_its_job_in_the_end(killed: bool, allowed: int) -> None:
    run = started()
    run.step(cut(0), 0.0)
    for count in range(allowed):
        crash, enqueue = run.step(ChunkLost(0, "SIGSEGV", alone=count > 0, killed=killed), 0.0)
        assert crash == CountCrash(0)
        assert [item.alone for item in enqueued([enqueue])] == [True]

    crash, fail = run.step(ChunkLost(0, "SIGSEGV", alone=True, killed=killed), 0.0)

    assert isinstance(fail, Fail)
    assert fail.code == "engine_crashed"


def test_crashes_of_earlier_attempts_count() -> None:
    run = started(stored=[StoredChunk(chunk(0), None, CRASHES_ALLOWED)])

    assert [item.alone for item in enqueued(run.step(cut(0), 0.0))] == [True]
    assert of_kind(run.step(ChunkLost(0, "SIGSEGV", alone=True, killed=False), 0.0), Fail)


def test_a_chunk_that_is_refused_in_a_batch_goes_alone_and_alone_fails_its_job() -> None:
    run = started()
    run.step(cut(0), 0.0)

    assert [item.alone for item in enqueued(run.step(ChunkRefused(0, "bad", alone=False), 0.0))] == [True]
    [fail] = run.step(ChunkRefused(0, "bad", alone=True), 0.0)
    assert isinstance(fail, Fail)
    assert fail.code == "engine_input"


def test_progress_is_told_at_most_twice_a_second() -> None:
    run = started(replace(JOB, language="en"))
    run.step(Probed(duration=8 * SAMPLES / 16_000), 0.0)
    for index in range(4):
        run.step(cut(index), 0.0)
    told = []
    for index, now_s in enumerate([1.0, 1.3, 1.6]):
        run.request(index, "p")
        [record] = of_kind(run.step(ChunkDecoded(index, said("a")), now_s), Decoded)
        told.append(record.progress and record.progress["percent"])

    assert told == [12, None, 37]


def test_a_recording_that_is_now_cut_otherwise_is_decoded_anew_from_there() -> None:
    old = Chunk(1, (Piece(SAMPLES, SAMPLES + 5),))
    results = [CODEC.encode(StoredResult(language="en", segments=said("old").segments)) for _ in range(2)]
    run = started(
        replace(JOB, attempt=2, language="en"),
        [StoredChunk(chunk(0), results[0], 0), StoredChunk(old, results[1], 0)],
        logged=2,
    )

    assert enqueued(run.step(cut(0), 0.0)) == []
    commands = run.step(cut(1), 0.0)

    assert of_kind(commands, StoreChunk) == [StoreChunk(chunk(1), None, restarts_log=True)]
    assert [item.index for item in enqueued(commands)] == [1]
    assert told(commands) == ["old"], "the log starts again, so it needs the text of the chunks before, too"
    assert told(run.step(ChunkDecoded(1, said("new")), 0.0)) == ["new"]


def test_the_log_stays_if_none_of_its_text_is_cut_otherwise() -> None:
    result = CODEC.encode(StoredResult(language="en", segments=said("old").segments))
    lacking, later = (Chunk(index, (Piece(index * SAMPLES, index * SAMPLES + 5),)) for index in (1, 2))
    stored = [StoredChunk(chunk(0), result, 0), StoredChunk(lacking, None, 0), StoredChunk(later, result, 0)]
    run = started(replace(JOB, attempt=2, language="en"), stored, logged=1)

    assert told(run.step(cut(0), 0.0)) == []

    assert of_kind(run.step(cut(1), 0.0), StoreChunk) == [StoreChunk(chunk(1), None, restarts_log=False)]
    assert told(run.step(ChunkDecoded(1, said("new")), 0.0)) == ["new"]


def test_a_job_changes_the_options_of_the_server() -> None:
    defaults = DecodingOptions(beam_size=5)

    assert decoding_options(defaults, JobOptions()) == defaults
    assert decoding_options(
        defaults, JobOptions(word_timestamps=False, prompt="Minutes.", temperature=0.6)
    ) == DecodingOptions(beam_size=5, word_timestamps=False, initial_prompt="Minutes.", temperatures=(0.6, 0.8, 1.0))


# Random sequences


class World:
    """A job, its rows and its engine: chunks are decoded in any batches, and any process may end in between."""

    def __init__(self, heard: Sequence[Mapping[str, float]], options: Mapping[str, Any]) -> None:
        self.heard = heard
        self.job = replace(JOB, options=options)
        self.rows: dict[int, StoredChunk] = {}
        self.told: list[str] = []
        self.told_indexes: list[int] = []
        self.published: list[Publish] = []
        self.languages: dict[int, str] = {}
        # By how many samples chunks are cut later, from the middle on.
        self.later = 0
        self.restart()

    def restart(self) -> None:
        """The server was killed: what it had not stored is lost."""
        self.run = started(self.job, [self.rows[index] for index in sorted(self.rows)], len(self.told))
        self.waiting: list[WorkItem] = []
        self.sent = 0
        self.planned = False

    def send_chunk(self) -> None:
        if self.sent < len(self.heard):
            one = cut(self.sent)
            if self.sent >= len(self.heard) // 2:
                (start, end) = one.pieces[0]
                one = replace(one, pieces=((start + self.later, end + self.later),))
            self._obey(self.run.step(one, 0.0))
            self.sent += 1

    def end_plan(self) -> None:
        while self.sent < len(self.heard):
            self.send_chunk()
        if not self.planned:
            self.planned = True
            self._obey(self.run.step(Prepared(duration=1e6, chunks=len(self.heard)), 0.0))

    def decode(self, count: int, *, stored: bool = True) -> None:
        """`stored` False: the disk is full, so the run is put off, and another attempt starts."""
        batch = [(item, self.run.request(item.index, "p").language) for item in self.waiting[:count]]
        del self.waiting[:count]
        commands = [
            command
            for item, asked in batch
            for command in self.run.step(ChunkDecoded(item.index, self._result(item.index, asked)), 0.0)
        ]
        if stored:
            self._obey(commands)
        else:
            self.restart()

    def lose(self, count: int) -> None:
        """The engine was killed over a batch."""
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        for item in reversed(batch):
            self._obey(self.run.step(ChunkRefused(item.index, "lost", alone=False), 0.0))

    def _result(self, index: int, asked: str | None) -> ChunkResult:
        language = asked or max(self.heard[index], key=self.heard[index].__getitem__)
        text = "" if "fr" in self.heard[index] else f"{index} {language}"
        result = said(text, language, {} if asked else self.heard[index])
        return replace(result, segments=(*result.segments, MADE_UP)) if text else result

    def _obey(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case StoreChunk(one, _, restarts_log):
                    self.rows = {index: row for index, row in self.rows.items() if index < one.index}
                    self.rows[one.index] = StoredChunk(one, None, 0)
                    if restarts_log:
                        self.told, self.told_indexes = [], []
                case Decoded():
                    self.told += [segment["text"] for segment in command.segments]
                    self.told_indexes += [segment["index"] for segment in command.segments]
                    self.job = replace(self.job, language=self.job.language or command.language)
                    if command.index is not None and command.result is not None:
                        self.rows[command.index] = replace(self.rows[command.index], result=command.result)
                case Enqueue(items, first):
                    self.waiting = [*items, *self.waiting] if first else [*self.waiting, *items]
                case Publish():
                    self.published.append(command)
                case Fail():
                    raise AssertionError(command)


probabilities = st.sampled_from(
    [{"en": 0.9, "it": 0.1}, {"it": 0.9, "en": 0.1}, {"en": 0.55, "it": 0.45}, {"it": 0.55, "en": 0.45}, {"fr": 0.5}]
)


@given(
    heard=st.lists(probabilities, min_size=1, max_size=7),
    options=st.sampled_from([{}, {"multilingual": True}]),
    steps=st.lists(
        st.sampled_from(["chunk", "chunk", "one", "three", "lost", "disk full", "killed", "updated", "plan"]),
        max_size=20,
    ),
    data=st.data(),
)
def test_whatever_happens_a_job_is_published_once_with_the_text_that_was_told(
    heard: list[dict[str, float]], options: dict[str, Any], steps: list[str], data: st.DataObject
) -> None:
    """`fr` stands for noise. Each chunk ends up in its language, whatever was decoded first or lost in between, and
    what the engine makes up where no speech was detected stays out."""
    expected = JobLanguage(None, multilingual="multilingual" in options)
    for index, one in enumerate(heard):
        expected.detect(index, Detection(one, SAMPLES / 16_000 if "fr" not in one else 0.0))
    expected.complete(len(heard))
    world = World(heard, options)
    for step in steps:
        if world.published:
            break
        world.waiting = data.draw(st.permutations(world.waiting))
        match step:
            case "chunk":
                world.send_chunk()
            case "one" | "three" if world.waiting:
                world.decode(3 if step == "three" else 1)
            case "disk full" if world.waiting:
                world.decode(2, stored=False)
            case "lost" if world.waiting:
                world.lose(2)
            case "killed":
                world.restart()
            case "updated":
                world.later += 1
                world.restart()
            case "plan":
                world.end_plan()
    world.end_plan()
    while world.waiting:
        world.decode(2)

    texts = [f"{index} {expected.of(index)}" for index, one in enumerate(heard) if "fr" not in one]
    assert [[segment.text for segment in publish.segments] for publish in world.published] == [texts]
    assert world.told == texts
    assert world.told_indexes == list(range(len(texts)))
    assert world.job.language == (expected.choice.language if texts and expected.choice else None)


def test_a_recording_without_words_has_no_language_unless_it_was_told() -> None:
    """What the detector took for speech is noise. The engine's text for it is one that models make up."""
    for job, language in ((JOB, None), (replace(JOB, language="it"), "it")):
        run = started(job)
        run.step(replace(cut(0), speech=()), 0.0)
        run.step(Prepared(duration=6.25, chunks=1), 0.0)
        made_up = said("Thank you.", "cy", {"cy": 0.4, "en": 0.1})
        made_up = replace(made_up, segments=tuple(replace(one, no_speech_prob=0.9) for one in made_up.segments))

        asked = run.request(0, "p").language
        commands = run.step(ChunkDecoded(0, made_up if asked is None else replace(made_up, language=asked)), 1.0)

        [publish] = of_kind(commands, Publish)
        assert (publish.segments, publish.language) == ((), language)
        assert [one.detected for one in of_kind(commands, Decoded)] == [None]


@pytest.mark.parametrize("told", [None, "en"])
def test_a_text_in_another_language_than_is_spoken_is_in_doubt_unless_the_language_was_told(told: str | None) -> None:
    job = replace(JOB, language=told, options={"requested_language": told} if told else {})
    run = started(job)
    for index in (0, 1):
        run.step(replace(cut(index), speech=((index * SAMPLES, (index + 1) * SAMPLES),)), 0.0)
    run.step(Prepared(duration=12.5, chunks=2), 0.0)
    commands: list[Command] = []
    for index, found in enumerate([{"en": 0.99}, {"fr": 0.99, "en": 0.01}]):
        assert run.request(index, "p").check_language is (told is None)
        commands = run.step(ChunkDecoded(index, said(f"{index} yes.", "en", found)), 1.0)

    [publish] = of_kind(commands, Publish)
    assert [one.doubts for one in publish.segments] == [(), () if told else ("language",)]
    assert [one["index"] for one in publish.quality["doubtful"]] == ([] if told else [1])


def test_a_recording_without_speech_has_a_guessed_language_for_who_asks_for_nothing_else() -> None:
    asks = replace(JOB, options=JobOptions(purpose=DETECT_LANGUAGE).stored())
    run = JobRun(asks, "nano", JobDefaults(), Earlier(), CODEC, 0.0)
    run.start()

    stored, *_ = run.step(Prepared(duration=40.0, chunks=0), 0.0)
    record, *_ = run.step(ChunkDecoded(0, said("", probabilities={"cy": 0.5, "en": 0.1})), 1.0)

    assert stored == StoreChunk(Chunk(0, (Piece(0, 30 * 16_000),)), None)
    assert isinstance(record, Decoded)
    assert record.detected == {"language": "cy", "probability": 0.2, "probabilities": {"cy": 0.2, "en": 0.1}}


def test_an_empty_recording_has_no_language_to_guess() -> None:
    asks = replace(JOB, options=JobOptions(purpose=DETECT_LANGUAGE).stored())
    run = JobRun(asks, "nano", JobDefaults(), Earlier(), CODEC, 0.0)
    run.start()

    assert isinstance(run.step(Prepared(duration=0.0, chunks=0), 0.0)[-1], Publish)


def test_of_a_sample_of_a_voice_no_text_is_made() -> None:
    sample = replace(JOB, options=JobOptions(purpose=VOICE_SAMPLE, speakers=True, num_speakers=1).stored())
    run = started(sample)
    assert of_kind(run.step(cut(0), 0.0), Enqueue) == []
    *_, find, every = run.step(Prepared(duration=6.25, chunks=1), 0.0)
    assert isinstance(find, FindVoices)
    assert every == AllEnqueued()
    run.step(VoicesFound(0, find.start, find.end, b"voices"), 1.0)

    [publish] = run.step(SpeakersFound((NamedSpeaker(id="S1", name=None, centre=b"one"),), ((0.0, 2.0, 0),)), 2.0)

    assert isinstance(publish, Publish)
    assert (publish.segments, publish.language) == ((), None)
    assert publish.speakers is not None
    assert publish.speakers.centres == {"S1": b"one"}


def test_while_a_job_runs_its_segments_have_the_speakers_so_far() -> None:
    run = started(replace(JOB, language="en", options=JobOptions(speakers=True).stored()))
    run.step(cut(0), 0.0)
    [find] = of_kind(run.step(cut(1), 0.0), FindVoices)
    run.step(ChunkDecoded(0, said("Yes.")), 1.0)
    [ask] = of_kind(run.step(VoicesFound(0, find.start, find.end, b"voices"), 1.0), GuessSpeakers)
    assert ask.voices == (b"voices",)

    ada = (NamedSpeaker(id="S1", name="Ada", centre=b"one"),)
    [guess] = run.step(SpeakersGuessed(ada, ((0.0, 7.0, 0),)), 2.0)
    assert isinstance(guess, StoreGuess)
    assert ([one.name for one in guess.speakers.speakers], guess.segments) == (["Ada"], ["S1"])

    [told] = of_kind(run.step(ChunkDecoded(1, said("No.")), 3.0), Decoded)
    assert told.segments[0]["speaker"] == "S1", "it begins before the last turn ends"
    [last] = of_kind(run.step(Prepared(duration=2 * SAMPLES / 16_000, chunks=2), 3.0), FindVoices)
    run.step(VoicesFound(1, last.start, last.end, b"more"), 4.0)
    eve = (NamedSpeaker(id="S1", name="Eve", centre=b"one"),)
    [publish] = run.step(SpeakersFound(eve, ((0.0, 9.0, 0),)), 5.0)
    assert isinstance(publish, Publish), "and no guess any more"
    assert publish.speakers is not None
    assert [one.name for one in publish.speakers.speakers] == ["Eve"]


def test_speakers_that_are_known_before_the_text_are_told_at_once() -> None:
    run = started(replace(JOB, language="en", options=JobOptions(speakers=True).stored()))
    run.step(cut(0), 0.0)
    [find] = of_kind(run.step(Prepared(duration=6.25, chunks=1), 0.0), FindVoices)
    run.step(VoicesFound(0, find.start, find.end, b"voices"), 1.0)

    [guess] = run.step(SpeakersFound((NamedSpeaker(id="S1", name=None, centre=b"one"),), ((0.0, 6.0, 0),)), 2.0)

    assert isinstance(guess, StoreGuess)
    assert guess.segments == []
    assert isinstance(run.step(ChunkDecoded(0, said("Yes.")), 3.0)[-1], Publish)


def test_fewer_speakers_than_asked_for_are_a_warning() -> None:
    one = Diarization(speakers=(Speaker(id="S1", name="Ada", seconds=2.0),), turns=(), centres={})

    assert [warning.code for warning in fewer_speakers(one, SpeakerCount(exactly=2))] == ["fewer_speakers"]
    assert [warning.message[-6:] for warning in fewer_speakers(one, SpeakerCount(least=3))] == ["1 of 3"]
    assert fewer_speakers(one, SpeakerCount(exactly=1)) == fewer_speakers(one, None) == ()
    assert fewer_speakers(NO_SPEAKERS, SpeakerCount(exactly=2)) == ()


# Sides -------------------------------------------------------------------------------------------------------------


def side_cut(index: int, side: int, start: int, end: int) -> ChunkCut:
    return ChunkCut(index=index, pieces=((start, end),), speech=((start, end),), side=side)


def test_each_side_of_a_recording_is_decoded_and_is_a_speaker() -> None:
    job = replace(JOB, language="en", options={"channels": "split"})
    run = JobRun(job, "base", JobDefaults(), Earlier(side_names={"S2": "customer"}), CODEC, 0.0)
    assert (run.start(), run.channels, run.may_split) == ([StartPreparing()], ChannelUse.SPLIT, True)
    run.step(Probed(duration=4.0), 0.0)
    [guess] = run.step(Probed(duration=4.0, sides=2), 0.0)
    assert isinstance(guess, StoreGuess)
    assert [one.name for one in guess.speakers.speakers] == ["Speaker 1", "customer"]
    run.step(side_cut(0, 1, 0, 32_000), 0.0)
    run.step(side_cut(1, 0, 16_000, 48_000), 0.0)
    assert [run.request(index, "p").path for index in (0, 1)] == ["p.1", "p"]
    run.step(Prepared(duration=4.0, chunks=2), 0.0)

    told = run.step(ChunkDecoded(0, said("Yes.")), 1.0)
    [publish] = of_kind(run.step(ChunkDecoded(1, said("No.")), 2.0), Publish)

    assert [one["speaker"] for one in of_kind(told, Decoded)[0].segments] == ["S2"], "already while the job runs"
    assert [(one.text, one.speaker, one.start) for one in publish.segments] == [("Yes.", "S2", 0.0), ("No.", "S1", 1.0)]
    assert [(one.id, one.name, one.seconds) for one in publish.speakers.speakers] == [
        ("S1", "Speaker 1", 2.0),
        ("S2", "customer", 2.0),
    ]
    assert publish.quality["coverage"] == 1.0


def test_voices_are_not_looked_for_on_sides() -> None:
    options = JobOptions(speakers=True, voices=True)

    [warning] = speaker_warnings(options, None, sides=2)

    assert (warning.code, "channels=mix" in warning.message) == ("voices_not_used", True)


@pytest.mark.parametrize("sides", [1, 2])
def test_a_server_that_keeps_no_voices_says_so(sides: int) -> None:
    [warning] = speaker_warnings(JobOptions(speakers=True, voices=True), None, sides=sides, keeps_voices=False)

    assert (warning.code, "VOICES=true" in warning.message) == ("voices_not_used", True)
    assert not speaker_warnings(JobOptions(speakers=True), None, keeps_voices=False)


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        (JobOptions(num_speakers=2), []),
        (JobOptions(max_speakers=2), []),
        (JobOptions(num_speakers=3), ["num_speakers_not_used"]),
        (JobOptions(min_speakers=3), ["num_speakers_not_used"]),
        (JobOptions(max_speakers=1), ["num_speakers_not_used"]),
    ],
)
def test_a_number_of_speakers_that_the_sides_do_not_have_is_warned_of(options: JobOptions, codes: list[str]) -> None:
    assert [warning.code for warning in speaker_warnings(options, None, sides=2)] == codes
    assert speaker_warnings(options, None) == ()
    assert speaker_warnings(JobOptions(speakers=True), None, sides=2) == ()


def test_a_silent_side_is_no_speaker() -> None:
    job = replace(JOB, language="en", options={"channels": "split"})
    run = JobRun(job, "base", JobDefaults(), Earlier(), CODEC, 0.0)
    run.start()
    run.step(Probed(duration=4.0, sides=3), 0.0)
    run.step(side_cut(0, 1, 0, 32_000), 0.0)
    run.step(Prepared(duration=4.0, chunks=1), 0.0)

    [publish] = of_kind(run.step(ChunkDecoded(0, said("Yes.")), 1.0), Publish)

    assert [(one.id, one.seconds) for one in publish.speakers.speakers] == [("S2", 2.0)]


def test_sides_that_were_merged_are_one_speaker_again() -> None:
    job = replace(JOB, language="en", options={"channels": "split"})
    run = JobRun(job, "base", JobDefaults(), Earlier(side_merges={"S2": "S1"}), CODEC, 0.0)
    run.start()
    run.step(Probed(duration=4.0, sides=2), 0.0)
    run.step(side_cut(0, 1, 0, 32_000), 0.0)
    run.step(side_cut(1, 0, 16_000, 48_000), 0.0)
    run.step(Prepared(duration=4.0, chunks=2), 0.0)
    run.step(ChunkDecoded(0, said("Yes.")), 1.0)
    [publish] = of_kind(run.step(ChunkDecoded(1, said("No.")), 2.0), Publish)

    assert [one.speaker for one in publish.segments] == ["S1", "S1"]
    assert [(one.id, one.seconds) for one in publish.speakers.speakers] == [("S1", 3.0)]
    assert {first: one.now for first, one in publish.speakers.merged_from.items()} == {"S1": "S1", "S2": "S1"}


@pytest.mark.parametrize(
    ("options", "default", "count", "use"),
    [
        ({}, ChannelUse.AUTO, None, ChannelUse.MIX),
        ({}, ChannelUse.AUTO, SpeakerCount(), ChannelUse.AUTO),
        ({}, ChannelUse.SPLIT, None, ChannelUse.SPLIT),
        ({"channels": "auto"}, ChannelUse.SPLIT, None, ChannelUse.MIX),
        ({"channels": "split"}, ChannelUse.MIX, None, ChannelUse.SPLIT),
        ({"channels": "mix"}, ChannelUse.AUTO, SpeakerCount(), ChannelUse.MIX),
        ({"channels": "split", "purpose": DETECT_LANGUAGE}, ChannelUse.AUTO, None, ChannelUse.MIX),
        ({"known_speakers": ["Ada"]}, ChannelUse.AUTO, SpeakerCount(), ChannelUse.MIX),
        ({"known_speakers": ["Ada"], "channels": "split"}, ChannelUse.AUTO, SpeakerCount(), ChannelUse.SPLIT),
    ],
)
def test_what_is_done_with_the_channels(
    options: dict[str, str], default: ChannelUse, count: SpeakerCount | None, use: ChannelUse
) -> None:
    assert channel_use(JobOptions.restored(options), default, count) is use


def test_the_job_says_which_speakers_have_no_names_and_why() -> None:
    whole = JobOptions(known_speakers=("Ada", "Eve"), known_samples=("1f", "2e"))
    [unheard] = speaker_warnings(replace(whole, known_samples=("1f", "")), None)
    [lost] = speaker_warnings(whole, "it broke")
    [sample] = speaker_warnings(JobOptions(purpose=VOICE_SAMPLE), "it broke")

    assert speaker_warnings(whole, None) == ()
    assert unheard.code == "known_speakers_not_heard"
    assert "sample of Eve;" in unheard.message
    assert (lost.code, sample.code) == ("no_speakers", "no_speakers")
    assert "the transcript is complete" in lost.message
    assert "transcript" not in sample.message
