"""What the server, media children and engine children send each other: one JSON object a line, typed at both ends.

A child decodes untrusted bytes, so whatever it sends is validated before it is used. What cannot be parsed raises
`ValueError`: `processes.child` then kills the child.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from types import UnionType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Base64Bytes, Field, TypeAdapter

from scrivano.domain.chunk import Chunk, Piece
from scrivano.domain.coverage import Span
from scrivano.domain.decoding import ChunkResult, DecodingOptions
from scrivano.domain.job import Task
from scrivano.domain.recording import MOST_PEAKS, MOST_SIDES, AudioTrack, ChannelUse, RecordingWarning, Waveform
from scrivano.domain.transcript import Segment

__all__ = [
    "ChunkCut",
    "ChunkRequest",
    "Close",
    "Decode",
    "Decoded",
    "Described",
    "Downloading",
    "Drawn",
    "EngineMessage",
    "EngineRequest",
    "Failed",
    "FailureKind",
    "Load",
    "Loaded",
    "MediaMessage",
    "Pairs",
    "Placed",
    "PreparationFailed",
    "Prepare",
    "Prepared",
    "Preparing",
    "Probed",
    "Queued",
    "encoder",
    "pairs_of",
    "parser",
]

# No time in a chunk is later. A chunk has at most 30 s; a window's own clock runs a little beyond its audio.
LAST_SECOND = 60.0
# Rounding may move equal times and probabilities this far apart.
SLACK = 1e-3

Pairs = tuple[tuple[int, int], ...]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def pairs_of(pieces: Iterable[Piece]) -> Pairs:
    """Pieces as they are sent: (start, end) in samples."""
    return tuple((piece.start, piece.end) for piece in pieces)


def _ascending(pairs: Pairs) -> Pairs:
    flat = [0, *(time for pair in pairs for time in pair)]
    if flat != sorted(flat):
        raise ValueError("speech out of order")
    return pairs


# Server to media child ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Decode `source` (a path) into `target`, and cut it into chunks.

    `memory_bytes` limits the data of the process (what it may write to), `cpu_s` its CPU time from now on; None: no
    limit. A day of speech takes about 5 minutes of one core and 150 MB; a day of MP4, whose index FFmpeg keeps in
    memory, up to 400 MB. `vad` False: the whole recording counts as speech. `ending`: that of the file's name, without
    the dot. `audio_track` (a number or a language) names the track to read; `language`: prefer a track in it.
    `channels`: what to do with several channels; the audio of each side has a file of its own (`side_path`).
    `speakers`: how many there are; None: not known. `voices`: they will be looked for, also between the chunks.
    """

    source: str
    target: str
    max_audio_s: float
    vad: bool = True
    memory_bytes: int | None = 1 << 30
    cpu_s: int | None = 3600
    max_chunk_s: float = 30.0
    ending: str = ""
    audio_track: str | None = None
    language: str | None = None
    channels: ChannelUse = ChannelUse.MIX
    speakers: int | None = None
    voices: bool = False


# No recording needs more warnings, or longer ones.
MOST_WARNINGS = 100
LONGEST_WARNING = 1000
_FEW = Field(max_length=MOST_WARNINGS)
Sides = Annotated[int, Field(ge=1, le=MOST_SIDES)]


def _plausible_track(track: AudioTrack) -> AudioTrack:
    numbers = (track.track, *track.tracks, track.channels, track.sample_rate, track.start, track.duration or 0.0)
    if not all(math.isfinite(number) and number >= 0 for number in numbers) or not 1 <= track.sides <= MOST_SIDES:
        raise ValueError("a track with an impossible number")
    return track


def _plausible_warning(warning: RecordingWarning) -> RecordingWarning:
    if len(warning.message) + len(warning.code) > LONGEST_WARNING or not math.isfinite(warning.at or 0.0):
        raise ValueError("an impossible warning")
    return warning


# From where children are started, in their place -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """The child does not run yet: the cluster has no place for it. Sent again every few seconds."""

    type: Literal["queued"] = "queued"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The child runs, on the machine of this name."""

    type: Literal["placed"] = "placed"
    node: str


# Media child to server ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The recording is open. `duration`: seconds as the container claims; None: it does not say.

    Sent again when it is known that there are several `sides`.
    """

    type: Literal["probe"] = "probe"
    duration: Seconds | None
    sides: Sides = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkCut:
    """A chunk whose audio is in the target file. `pieces` and the `speech` in them: (start, end) in samples.

    `side`: which side of a recording it is of, if that is split.
    """

    type: Literal["chunk"] = "chunk"
    index: Annotated[int, Field(ge=0)]
    pieces: Annotated[Pairs, Field(min_length=1)]
    speech: Annotated[Pairs, AfterValidator(_ascending)] | None = None
    side: Annotated[int, Field(ge=0, lt=MOST_SIDES)] | None = None

    @property
    def chunk(self) -> Chunk:
        speech = None if self.speech is None else tuple(starmap(Piece, self.speech))
        return Chunk(self.index, tuple(starmap(Piece, self.pieces)), speech, self.side)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """At most a minute of audio was decoded since the last message."""

    type: Literal["progress"] = "progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What is to be said about the recording; sent before the end. `audio`: the track that was read."""

    type: Literal["about"] = "about"
    audio: Annotated[AudioTrack, AfterValidator(_plausible_track)] | None
    warnings: Annotated[tuple[Annotated[RecordingWarning, AfterValidator(_plausible_warning)], ...], _FEW] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The outline of the recording, as in `Waveform`; sent before the end."""

    type: Literal["drawn"] = "drawn"
    peak_secs: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    peaks: Annotated[Base64Bytes, Field(max_length=MOST_PEAKS)]

    @property
    def waveform(self) -> Waveform:
        return Waveform(self.peak_secs, self.peaks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The end. `duration`: decoded seconds. `chunks`: how many were sent."""

    type: Literal["end"] = "end"
    duration: Seconds
    chunks: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationFailed:
    """`code` and `message` become those of the job."""

    type: Literal["error"] = "error"
    code: str
    message: str


MediaMessage = Queued | Placed | Probed | ChunkCut | Preparing | Described | Drawn | Prepared | PreparationFailed


# Server to engine child --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Load a model. `path` None: `model` is a name, downloaded if its files are missing.

    `compute_type` as in CTranslate2. `cpu_threads` 0: one for each core. `fast`: short windows are padded with little
    silence.
    """

    type: Literal["load"] = "load"
    model: str = ""
    path: str | None = None
    device: str = "cpu"
    device_index: int = 0
    compute_type: str = "default"
    cpu_threads: int = 0
    fast: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRequest:
    """A chunk to decode: `pieces` of the prepared file at `path`.

    `language` None: detect it, among `languages` unless that is empty. `detect`: also if it is given, without effect on
    the text; `check_language`: the same, if that costs little. `speech`: in seconds from the first sample.
    """

    path: str
    pieces: Pairs
    task: Task = Task.TRANSCRIBE
    language: str | None = None
    languages: tuple[str, ...] = ()
    speech: tuple[Span, ...] = ()
    detect: bool = False
    check_language: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decode:
    """Decode a batch. `options.urgent`: on the engine's second thread, at the same time as another batch."""

    type: Literal["decode"] = "decode"
    id: int
    options: DecodingOptions
    chunks: tuple[ChunkRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    type: Literal["close"] = "close"


EngineRequest = Load | Decode | Close


# Engine child to server --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloading:
    """`total_bytes` None: not known yet."""

    type: Literal["downloading"] = "downloading"
    done_bytes: int
    total_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The model is in memory, and its warm-up inference took `warm_up_s`; 0: not measured.

    `free_mb`: free memory of its GPU then, where that is on another machine.
    """

    type: Literal["loaded"] = "loaded"
    warm_up_s: Seconds = 0.0
    free_mb: Annotated[int, Field(ge=0)] | None = None


def _plausible(segment: Segment) -> Segment:
    """Raises ValueError for numbers that no engine returns: not finite, later than `LAST_SECOND`, or backwards."""
    numbers = [segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio, segment.temperature]
    times = [(segment.start, segment.end), *((word.start, word.end) for word in segment.words)]
    for start, end in times:
        if not -SLACK <= start <= end + SLACK <= LAST_SECOND + 2 * SLACK:
            raise ValueError(f"times from {start} to {end}")
    if not all(map(math.isfinite, (*numbers, *(word.probability for word in segment.words)))):
        raise ValueError("a number that is not finite")
    return segment


def _plausible_result(result: ChunkResult) -> ChunkResult:
    for probability in (result.language_probability, *result.language_probabilities.values()):
        if not -SLACK <= probability <= 1 + SLACK:
            raise ValueError(f"a probability of {probability}")
    for segment in result.segments:
        _plausible(segment)
    for span in result.repaired:
        if not -SLACK <= span.start <= span.end <= LAST_SECOND:
            raise ValueError(f"a repair from {span.start} to {span.end}")
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """The results of batch `id`, one a chunk, in the order of the request; `seconds` that it took."""

    type: Literal["result"] = "result"
    id: int
    results: tuple[Annotated[ChunkResult, AfterValidator(_plausible_result)], ...]
    seconds: Seconds


# memory: the device lacks memory. input: a chunk cannot be decoded. device: the device is lost to this process.
# model: the model cannot be found, downloaded or read. storage: the audio cannot be read now.
FailureKind = Literal["memory", "input", "device", "model", "storage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Batch `id` failed; None: the load."""

    type: Literal["failed"] = "failed"
    id: int | None
    kind: FailureKind
    message: str


EngineMessage = Queued | Placed | Downloading | Loaded | Decoded | Failed


def parser(kind: Any) -> Callable[[bytes], Any]:
    """Parses one line as a message of `kind`, a class or one of the unions above. Unknown fields are ignored.

    Raises `ValueError`. Building a parser takes milliseconds: build it once in a process.
    """
    return partial(_adapter(kind).validate_json, strict=True)


def encoder(kind: Any) -> Callable[[Any], bytes]:
    """The reverse of `parser`."""
    return _adapter(kind).dump_json


def _adapter(kind: Any) -> TypeAdapter[Any]:
    form: Any = Annotated[kind, Field(discriminator="type")] if isinstance(kind, UnionType) else kind
    return TypeAdapter(form)
