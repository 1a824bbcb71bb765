"""One attempt at a job as a pure state machine: messages in, commands out. No thread, no file, no child inside.

    StartPreparing ─► Probed, ChunkCut … Prepared ─► Enqueue ─► ChunkDecoded … ─► Publish

`JobRuns` carries the commands out. All of the state can be rebuilt from the store, so a run that is dropped at any
moment goes on in the next attempt.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from scrivano.domain.chunk import Chunk, side_path, speechless_start
from scrivano.domain.coverage import seconds_of
from scrivano.domain.decoding import ChunkResult
from scrivano.domain.job import Job
from scrivano.domain.quality import Doubt
from scrivano.domain.recording import ChannelUse, Waveform
from scrivano.domain.speakers import NO_SPEAKERS, Diarization, sides_as_speakers, speaker_of_side
from scrivano.domain.transcript import Segment
from scrivano.processes.messages import (
    ChunkCut,
    ChunkRequest,
    Described,
    Drawn,
    PreparationFailed,
    Prepared,
    Probed,
    pairs_of,
)
from scrivano.running.chunk_run import ChunkRun, ResultCodec, StoredResult
from scrivano.running.job_choices import JobDefaults, channel_use, decoding_options, speaker_count
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
from scrivano.running.language import Choice, JobLanguage, is_other_language
from scrivano.running.progress import Progress
from scrivano.running.scheduler import WorkItem
from scrivano.running.speaker_run import (
    GuessLost,
    SpeakerMessage,
    SpeakerRun,
    SpeakersFound,
    SpeakersGuessed,
    VoicesFound,
    VoicesLost,
)
from scrivano.running.speaker_warnings import fewer_speakers, speaker_warnings
from scrivano.speakers.words import main_speakers, with_speakers
from scrivano.store.chunk_rows import StoredChunk
from scrivano.store.jobs import Decoded
from scrivano.text.assembly import (
    chunk_text,
    join_sides,
    quality,
    said_by_merged,
    segment_json,
    spoken_most,
)

__all__ = ["Earlier", "JobRun"]

# A media child that dies is started again; after so many deaths the recording is to blame.
MEDIA_TRIES = 5

# If an engine crashes (not killed from outside), each chunk of its batch is decoded again, alone. If that crashes an
# engine, too, the job of the chunk fails.
CRASHES_ALLOWED = 1

# SIGKILL and SIGTERM come from outside (an operator, the kernel's memory killer): they rarely mean the chunk.
KILLS_ALLOWED = 5

# The language of a recording without speech is guessed from its start, with at most this probability.
GUESSED_AT_MOST = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What earlier attempts at a job, and earlier versions of it, have left.

    `chunks` are in order; `logged`: how many segments are in the event log. `side_names`: the names that people gave to
    speakers, by id, where each side is one. `merges`: which speakers people have merged, by id; `side_merges` likewise,
    where each side is one.
    """

    chunks: Sequence[StoredChunk] = ()
    logged: int = 0
    side_names: Mapping[str, str] = field(default_factory=dict)
    merges: Mapping[str, str] = field(default_factory=dict)
    side_merges: Mapping[str, str] = field(default_factory=dict)


class JobRun:
    """A claimed job from its claim to its end.

    `resumed`: an earlier attempt left chunks. `started_at`: when this attempt started, monotonic.
    """

    def __init__(
        self,
        job: Job,
        model: str,
        defaults: JobDefaults,
        earlier: Earlier,
        codec: ResultCodec,
        now_s: float,
        *,
        max_chunk_s: float = 30.0,
    ) -> None:
        """`now_s` is monotonic, here and in `step`. `max_chunk_s`: the most audio of a chunk."""
        options = job.decoding
        self.job = job
        self.model = model
        self.priority = job.priority
        self.options = decoding_options(defaults.decoding, options)
        self.started_at = now_s
        self.max_chunk_s = max_chunk_s
        self.resumed = bool(earlier.chunks)
        self._codec = codec
        self._chunks: dict[int, ChunkRun] = {}
        self._count = speaker_count(options, defaults.speakers)
        self._speakers = SpeakerRun(self._count, earlier.merges)
        self.channels = channel_use(options, defaults.channels, self._count)
        names = options.channel_names or defaults.channel_names
        self._side_names = {speaker_of_side(side): name for side, name in enumerate(names)} | {**earlier.side_names}
        self._side_merges = earlier.side_merges
        self._keeps_voices = defaults.voices
        self._sides = 1
        # None: more chunks may come.
        self.chunks_total: int | None = None
        # Seconds as the container claims, later as decoded.
        self._duration: float | None = None
        self._described = Described(audio=None)
        self._waveform: Waveform | None = None
        self._guessed = False
        # The language in the row and the event log of the job; `_languages` may already know more.
        self._language = job.language
        self._languages = JobLanguage(job.language, multilingual=bool(options.multilingual))
        # Chunks that wait for a language to be known: before they are decoded, or to see whether it was the right one.
        self._waiting: set[int] = set()
        self._all_enqueued = False
        # Chunks whose text is final, up to the first one that is not, and their segments. The first `_logged` segments
        # are in the event log already.
        self._told_chunks = self._told_segments = 0
        self._logged = earlier.logged
        self._progress = Progress(max_chunk_s)
        self._media_tries = 0
        self._recall(earlier.chunks)

    def start(self) -> list[Command]:
        self._media_tries += 1
        return [StartPreparing()]

    @property
    def speakers_given(self) -> int | None:
        """How many speakers there are; None: not known."""
        return None if self._count is None else self._count.exactly

    @property
    def finds_voices(self) -> bool:
        """Whether voices may be looked for in its audio."""
        return self._count is not None

    @property
    def may_split(self) -> bool:
        """Whether the recording may have several sides, each with a file of prepared audio."""
        return self.channels is not ChannelUse.MIX

    def step(self, message: Message, now_s: float) -> list[Command]:
        """What to do after `message`, in order."""
        match message:
            case Probed():
                self._duration = message.duration
                self._progress.expect(message.duration, message.sides)
                if message.sides > 1:  # who speaks is known by the side
                    self._sides, self._speakers = message.sides, SpeakerRun(None)
                    return [StoreGuess(sides_as_speakers([()] * message.sides, self._side_names), ())]
                return []
            case ChunkCut():
                return self._add(message.chunk)
            case Described():
                self._described = message
                return []
            case Drawn():
                self._waveform = message.waveform
                return []
            case Prepared():
                return self._complete_plan(message)
            case PreparationFailed():
                return [Fail(message.code, message.message)]
            case RecordingMissing():
                return [Fail("audio_gone", "the recording is no longer kept; submit it again")]
            case MediaDied(reason) if self._media_tries < MEDIA_TRIES:
                return self.start()
            case MediaDied(reason):
                why = f"the process that reads it ended {MEDIA_TRIES} times ({reason})"
                return [Fail("media_crashed", f"the recording cannot be prepared: {why}")]
            case MediaLate():
                advice = "cut it into smaller files, or convert it to WAV or FLAC"
                return [Fail("media_timeout", f"preparing the recording took too long; {advice}")]
            case ChunkDecoded(index, result):
                return self._decoded(index, result, now_s)
            case ChunkRefused(index, reason, alone):
                if alone:
                    return [Fail("engine_input", f"a part of the recording cannot be decoded: {reason}")]
                return [Enqueue([self._item(index, alone=True)], first=True)]
            case ChunkLost():
                return self._lost(message)
            case VoicesFound() | SpeakersFound() | SpeakersGuessed() | VoicesLost() | GuessLost():
                return self._step_speakers(message)

    def _step_speakers(self, message: SpeakerMessage) -> list[Command]:
        guess = self._speakers.guess
        commands, end = self._speakers.step(message), self._end()
        news = [self._guess()] if self._speakers.guess is not guess and not end else []
        return [*commands, *news, *end]

    def request(self, index: int, path: str) -> ChunkRequest:
        """What to ask an engine for, at the moment when the chunk goes to it. `path`: the prepared audio."""
        return ChunkRequest(
            path=side_path(path, self._chunks[index].chunk.side),
            pieces=pairs_of(self._chunks[index].chunk.pieces),
            task=self.job.task,
            language=self._languages.request(index),
            languages=self.job.decoding.languages or (),
            speech=self._chunks[index].chunk.speech_within(),
            detect=index == 0 and bool(self.job.decoding.language_probabilities),
            check_language=self.job.requested_language is None,
        )

    # Chunks ----------------------------------------------------------------------------------------------------

    def _recall(self, stored: Sequence[StoredChunk]) -> None:
        """Take in what earlier attempts decoded. Its text is made when the media child sends the chunk again."""
        for row in stored:
            run = self._chunks[row.chunk.index] = ChunkRun(row.chunk, row.crashes)
            self._speakers.recall(row.chunk.index, row.voices)
            if row.result is None:
                continue
            with suppress(ValueError):  # another version stored it in a form of its own: the chunk is decoded again
                run.result = self._codec.parse(row.result)
                self._languages.recall(row.chunk.index, run.result.language, run.result.detected)

    def _add(self, chunk: Chunk) -> list[Command]:
        if chunk.index < self._progress.cut:  # the media child was started again
            return []
        commands: list[Command] = []
        known = self._chunks.get(chunk.index)
        if known is None or known.chunk != chunk:
            restarts_log = known is not None and self._forget_from(chunk.index)
            commands.append(StoreChunk(chunk, self._duration, restarts_log=restarts_log))
            known = self._chunks[chunk.index] = ChunkRun(chunk)
        known.cut_as(chunk)
        self._progress.add_cut(chunk)
        self._waiting.add(chunk.index)
        commands += _worth(self._record(None, None, None))
        return [*commands, *self._speakers.cut(chunk), *self._enqueue_known(first=False)]

    def _forget_from(self, index: int) -> bool:
        """From this chunk on the audio is cut differently than in earlier attempts: what they decoded is void.

        Returns whether the event log has text of that, or of a chunk whose language depended on that.
        """
        self._chunks = {known: run for known, run in self._chunks.items() if known < index}
        self._languages.forget_from(index, self._language)
        self._speakers.forget_from(index)
        final = 0
        for before in range(index):
            if (text := self._final_text(before)) is None:
                break
            final += len(text)
        if self._logged <= final:
            return False
        self._told_chunks = self._told_segments = self._logged = 0
        return True

    def _complete_plan(self, plan: Prepared) -> list[Command]:
        start = speechless_start(plan.duration)
        if self.job.decoding.detects_language and not plan.chunks and start.end:
            # There is no speech, but whoever asks for a language gets the model's best guess.
            self._guessed = True
            cut = self._add(Chunk(0, (start,)))
            return cut + self._complete_plan(replace(plan, chunks=1))
        self.chunks_total, self._duration = plan.chunks, plan.duration
        self._progress.complete()
        self._chunks = {index: run for index, run in self._chunks.items() if index < plan.chunks}
        commands: list[Command] = [
            StorePlan(plan.chunks, plan.duration, self._described.audio, self._described.warnings, self._waveform),
            *self._speakers.complete(plan.duration),
        ]
        self._languages.complete(plan.chunks)
        return commands + self._proceed(self._record(None, None, None))

    # Decoding --------------------------------------------------------------------------------------------------

    def _decoded(self, index: int, result: ChunkResult, now_s: float) -> list[Command]:
        run = self._chunks[index]
        # The clean text: what the model made up where nobody spoke has no vote on the language.
        run.text = chunk_text(run.chunk, result.segments, result.repaired)
        language = self._languages.record(index, result, run.chunk.seconds if run.text.segments else 0.0)
        spoken = language if self._languages.multilingual else None
        detected = self._languages.detections.get(index)
        found = result.language_probabilities or (detected.probabilities if detected else {})
        doubts = (Doubt.LANGUAGE,) if self._is_other_language(run.chunk, language, found) else ()
        segments = result.segments
        if spoken or doubts:
            segments = tuple(replace(one, language=spoken, doubts=doubts) for one in segments)
            run.text = chunk_text(run.chunk, segments, result.repaired)
        stored = StoredResult(
            language=language,
            segments=segments,
            detected=detected,
            repaired=result.repaired,
            speech=run.chunk.speech,
        )
        self._waiting.add(index)
        return self._proceed(self._with_probabilities(self._record(index, stored, now_s), result))

    def _is_other_language(self, chunk: Chunk, language: str, found: Mapping[str, float]) -> bool:
        if self.job.requested_language is not None:
            return False
        seconds = chunk.seconds if chunk.speech is None else seconds_of(chunk.speech_spans)
        return is_other_language(language, found, seconds, multilingual=self._languages.multilingual)

    def _with_probabilities(self, record: Decoded, result: ChunkResult) -> Decoded:
        """The same, with what was detected beside a language that was given."""
        if record.index != 0 or record.detected or not self.job.decoding.language_probabilities:
            return record
        found = result.language_probabilities or {result.language: result.language_probability}
        likeliest = max(found, key=found.__getitem__)
        return replace(record, detected=_detected(Choice(likeliest, found[likeliest], found), 1.0))

    def _record(self, index: int | None, stored: StoredResult | None, now_s: float | None) -> Decoded:
        """What the store is to know after a chunk, or the plan, has become known."""
        self._finish_chunks()
        choice = self._choice_to_tell()
        if choice is not None:
            self._language = choice.language
        segments = self._tell()
        # The last result need not be stored: the transcript is published in the same transaction.
        ends = self._complete and self._speakers.ready
        result = self._codec.encode(stored) if stored is not None and not ends else None
        return Decoded(
            job_id=self.job.id,
            attempt=self.job.attempt,
            index=index,
            result=result,
            language=None if choice is None else choice.language,
            segments=segments,
            progress=None if now_s is None else self._progress.due(now_s, last=self._complete),
            detected=None if choice is None else _detected(choice, GUESSED_AT_MOST if self._guessed else 1.0),
        )

    def _choice_to_tell(self) -> Choice | None:
        """The language, when it becomes known. Only who asks for a language gets one that is guessed without words."""
        choice = self._languages.choice if self._language is None else None
        guessed = choice is not None and choice.guessed
        return None if guessed and not self.job.decoding.detects_language else choice

    def _proceed(self, record: Decoded) -> list[Command]:
        return [*_worth(record), *self._enqueue_known(first=True), *self._end()]

    def _end(self) -> list[Command]:
        """Publish, if nothing is missing any more."""
        if not (self._complete and self._speakers.ready):
            return []
        texts = [(run.chunk, run.text) for run in self._chunks.values() if run.text is not None]
        joined = [(chunk, text.segments) for chunk, text in texts]
        segments, loops_cut = join_sides(joined, self._duration or 0.0)
        language, found, failure = spoken_most(segments) or self._language, self._speakers.found, self._speakers.failure
        if self._sides > 1:
            sides = self._speaking_sides({segment.speaker for segment in segments})
            found = sides.merged_as_before(self._side_merges)
            segments = said_by_merged(segments, {first: one.now for first, one in found.merged_from.items()})
        elif found is not None:
            segments = with_speakers(segments, found.turns)
        options = self.job.decoding
        warnings = speaker_warnings(options, failure, sides=self._sides, keeps_voices=self._keeps_voices)
        if self._sides == 1 and found is not None:
            warnings += fewer_speakers(found, self._count)
        judged = quality(segments, texts, loops_cut)
        return [Publish(segments, language, self._duration or 0.0, judged, found, warnings)]

    def _speaking_sides(self, heard: Collection[str | None]) -> Diarization:
        """The sides with speech, or with text (`heard`: the speakers of the segments): a silent channel is nobody."""
        found = sides_as_speakers([self._speech_of(side) for side in range(self._sides)], self._side_names)
        return replace(found, speakers=tuple(one for one in found.speakers if one.seconds or one.id in heard))

    def _speech_of(self, side: int) -> list[tuple[float, float]]:
        """Where speech was detected on a side."""
        chunks = [run.chunk for run in self._chunks.values() if run.chunk.side == side]
        return [(span.start, span.end) for chunk in chunks for span in chunk.speech_spans]

    def _enqueue_known(self, *, first: bool) -> list[Command]:
        """Enqueue the chunks that waited for a language and may be decoded now.

        `first`: ahead of later chunks, because text is told in order.
        """
        commands: list[Command] = []
        if self.job.decoding.is_voice_sample:
            self._waiting.clear()
        if self._waiting and (ready := self._languages.may_decode(sorted(self._waiting))):
            self._waiting.difference_update(ready)
            commands.append(Enqueue([self._item(index) for index in ready], first=first))
        if self.chunks_total is not None and not self._waiting and not self._all_enqueued:
            self._all_enqueued = True
            commands.append(AllEnqueued())
        return commands

    def _item(self, index: int, *, alone: bool = False) -> WorkItem:
        run = self._chunks[index]
        return WorkItem(
            self.job.id,
            index,
            run.chunk.seconds,
            alone=alone or run.crashes > 0,
            options=self.options,
            priority=self.priority,
            attempt=self.job.attempt,
        )

    def _finish_chunks(self) -> None:
        """Chunks that were decoded in their final language are done."""
        for index in list(filter(self._languages.is_done, self._waiting)):
            self._waiting.remove(index)
            self._progress.add_done(self._chunks[index].chunk)

    def _lost(self, lost: ChunkLost) -> list[Command]:
        run = self._chunks[lost.index]
        run.crashes += 1
        count: list[Command] = [CountCrash(lost.index)]
        if lost.alone and run.crashes > (KILLS_ALLOWED if lost.killed else CRASHES_ALLOWED):
            return [*count, Fail("engine_crashed", f"a part of the recording ends the engine: {lost.message}")]
        return [*count, Enqueue([self._item(lost.index, alone=True)], first=True)]

    # Text ------------------------------------------------------------------------------------------------------

    @property
    def _complete(self) -> bool:
        """Whether all text is there that is wanted."""
        wanted = 0 if self.job.decoding.is_voice_sample else self.chunks_total
        return self.chunks_total is not None and self._progress.done >= (wanted or 0)

    def _tell(self) -> list[dict[str, Any]]:
        """The data of `segment` events that are due: the text up to the first chunk that is not final."""
        due: list[dict[str, Any]] = []
        while (segments := self._final_text(self._told_chunks)) is not None:
            numbered = enumerate(self._with_guess(segments), self._told_segments)
            due += [segment_json(number, one) for number, one in numbered if number >= self._logged]
            self._told_segments += len(segments)
            self._told_chunks += 1
        self._logged = max(self._logged, self._told_segments)
        return due

    def _with_guess(self, segments: Sequence[Segment]) -> list[Segment]:
        """The segments with the speakers as far as they are known, but not divided where the speaker changes."""
        if self._speakers.guess is NO_SPEAKERS:
            return list(segments)
        speakers = main_speakers(segments, self._speakers.guess.turns)
        return [replace(one, speaker=speaker) for one, speaker in zip(segments, speakers, strict=True)]

    def _guess(self) -> StoreGuess:
        guess = self._speakers.guess
        told = [self._final_text(index) or () for index in range(self._told_chunks)]
        return StoreGuess(guess, main_speakers([segment for text in told for segment in text], guess.turns))

    def _final_text(self, index: int) -> tuple[Segment, ...] | None:
        text = self._chunks[index].text if self._is_decoded(index) else None
        return None if text is None else text.segments

    def _is_decoded(self, index: int) -> bool:
        """Whether a chunk was decoded in its final language."""
        run = self._chunks.get(index)
        return run is not None and run.decoded and self._languages.is_final(index)


def _worth(record: Decoded) -> list[Command]:
    """The record, unless it says nothing."""
    return [record] if record.index is not None or record.language or record.segments else []


def _detected(choice: Choice, at_most: float) -> dict[str, Any]:
    """The data of the `language` event."""
    known = {name: round(min(value, at_most), 4) for name, value in choice.probabilities.items()}
    probability = round(min(choice.probability, at_most), 4)
    return {"language": choice.language, "probability": probability, "probabilities": known}
